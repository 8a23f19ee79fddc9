"""How one alerts process runs."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tidemill.contracts.ranges import instance_problems, range_problems
from tidemill.kernel.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Settings:
    """One alerts process.

    Attributes:
        definition: The plant's definition file.
        bootstrap: Brokers, `host:port,...`.
        instance: Stable name of this worker.
        extra: librdkafka settings; those of security hold for all its clients.
        until_idle_s: End after so many seconds without input; None means never.
        probe_host, probe_port: Where probes and metrics are served; port 0 takes a free one.
        heartbeat_s: Between two words that all was looked at.
        tick_s: Between two looks at what time makes of alarms.
        webhook: Where alarms are posted; None means nowhere.
    """

    definition: Path
    bootstrap: str
    instance: str
    extra: Mapping[str, str] = field(default_factory=dict)
    until_idle_s: float | None = None
    probe_host: str = "127.0.0.1"
    probe_port: int = 0
    heartbeat_s: float = 300.0
    tick_s: float = 10.0
    webhook: str | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot work, every problem at once.

        Raises:
            ConfigError: A value is out of its range.
        """
        ranged = (
            ("--probe-port", self.probe_port, 0, 65_535),
            ("--heartbeat", math.ceil(self.heartbeat_s), 1, 86_400),
            ("--tick", math.ceil(self.tick_s), 1, 600),
        )
        problems = [*range_problems(ranged), *instance_problems(self.instance)]
        if self.webhook is not None and not _can_be_posted_to(self.webhook):
            # The address may hold a secret, so it is not said.
            what = "an http or https address in ASCII, without user, password or fragment"
            problems.append(f"--webhook: must be {what}, was something else")
        if problems:
            raise ConfigError(problems)


def _can_be_posted_to(address: str) -> bool:
    try:
        parts = urlsplit(address)
        is_whole = bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    is_plain = address.isascii() and address.isprintable() and not {" ", "#"} & set(address)
    return is_whole and is_plain and parts.scheme in {"http", "https"} and parts.username is None

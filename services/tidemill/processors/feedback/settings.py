"""How one feedback process runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tidemill.contracts.ranges import instance_problems, range_problems
from tidemill.kernel.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Settings:
    """One feedback process.

    Attributes:
        definition: The plant's definition file.
        bootstrap: Brokers, `host:port,...`.
        instance: Stable name of this worker.
        extra: librdkafka settings; those of security hold for all its clients.
        until_idle_s: End after so many seconds without input; None means never.
        probe_host, probe_port: Where probes and metrics are served; port 0 takes a free one.
        per_minute: Feedback of one person that is taken in a minute.
    """

    definition: Path
    bootstrap: str
    instance: str
    extra: Mapping[str, str] = field(default_factory=dict)
    until_idle_s: float | None = None
    probe_host: str = "127.0.0.1"
    probe_port: int = 0
    per_minute: int = 20

    def __post_init__(self) -> None:
        """Refuse what cannot work, every problem at once.

        Raises:
            ConfigError: A value is out of its range.
        """
        ranged = (
            ("--probe-port", self.probe_port, 0, 65_535),
            ("--per-minute", self.per_minute, 1, 100_000),
        )
        problems = [*range_problems(ranged), *instance_problems(self.instance)]
        if problems:
            raise ConfigError(problems)

"""How one labeller process runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tidemill.contracts.ranges import instance_problems, range_problems
from tidemill.kernel.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

# A batch is one call, in which Redis does nothing else; so does one that waits for its answer.
MAX_BATCH = 5_000
MAX_WAIT_MS = 10_000
MIN_ROOM = 1_000
MAX_ROOM = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Settings:
    """One labeller process.

    Attributes:
        definition: The plant's definition file.
        bootstrap: Brokers, `host:port,...`.
        redis_url: Where cases wait; None only where no stream has labels that come later.
        instance: Stable name of this worker.
        extra: librdkafka settings.
        from_end: Whether partitions that were never read start at their end.
        until_idle_s: End after so many seconds without input; None means never.
        probe_host, probe_port: Where probes and metrics are served; port 0 takes a free one.
        batch: Records per transaction, at most.
        wait_ms: Longest wait for a batch to fill.
        room: Of the plant: predictions that events have passed are kept no further back than so
            many where labels are behind or silent, and labels no further that wait for one.
    """

    definition: Path
    bootstrap: str
    redis_url: str | None
    instance: str
    extra: Mapping[str, str] = field(default_factory=dict)
    from_end: bool = False
    until_idle_s: float | None = None
    probe_host: str = "127.0.0.1"
    probe_port: int = 0
    batch: int = 1000
    wait_ms: int = 50
    room: int = 1_000_000

    def __post_init__(self) -> None:
        """Refuse what cannot work, every problem at once.

        Raises:
            ConfigError: A value is out of its range.
        """
        ranged = (
            ("--batch", self.batch, 1, MAX_BATCH),
            ("--wait-ms", self.wait_ms, 1, MAX_WAIT_MS),
            ("--room", self.room, MIN_ROOM, MAX_ROOM),
            ("--probe-port", self.probe_port, 0, 65_535),
        )
        problems = [*range_problems(ranged), *instance_problems(self.instance)]
        if problems:
            raise ConfigError(problems)

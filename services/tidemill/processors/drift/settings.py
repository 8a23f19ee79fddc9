"""How one drift processor process runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tidemill.contracts.ranges import instance_problems, range_problems
from tidemill.kernel.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

MAX_BATCH = 100_000
MAX_WAIT_MS = 10_000


@dataclass(frozen=True, slots=True)
class Settings:
    """One drift processor process.

    Attributes:
        definition: The plant's definition file.
        bootstrap: Brokers, `host:port,...`.
        signing_key: The key that snapshots are signed with.
        instance: Stable name of this worker.
        extra: librdkafka settings.
        registry_url: A schema registry whose ids events may carry, beside the locked ones.
        from_end: Whether partitions without history start at their end.
        until_idle_s: End after so many seconds without input; None means never.
        probe_host, probe_port: Where probes and metrics are served; port 0 takes a free one.
        batch: Records per transaction, at most.
        wait_ms: Longest wait for a batch to fill.
        snapshot_every: Records by which a saved state may lag its partition.
    """

    definition: Path
    bootstrap: str
    signing_key: bytes
    instance: str
    extra: Mapping[str, str] = field(default_factory=dict)
    registry_url: str | None = None
    from_end: bool = False
    until_idle_s: float | None = None
    probe_host: str = "127.0.0.1"
    probe_port: int = 0
    batch: int = 1000
    wait_ms: int = 50
    snapshot_every: int = 10_000

    def __post_init__(self) -> None:
        """Refuse what cannot work, every problem at once.

        Raises:
            ConfigError: A value is out of its range.
        """
        ranged = (
            ("--batch", self.batch, 1, MAX_BATCH),
            ("--wait-ms", self.wait_ms, 1, MAX_WAIT_MS),
            ("--probe-port", self.probe_port, 0, 65_535),
            ("--snapshot-every", self.snapshot_every, 1, 10_000_000),
        )
        problems = [*range_problems(ranged), *instance_problems(self.instance)]
        if problems:
            raise ConfigError(problems)

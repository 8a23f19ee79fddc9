"""The question that a multivariate episode asks: sensor fault or process change?"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tidemill.processors.drift.episodes import Place, Record

# How a release says what was held, in its label.
LABELS = {"FAULT": "fault", "PROCESS_CHANGE": "process_change", "TIMED_OUT": "process_change"}


@dataclass(slots=True)
class Question:
    """One question that is not settled.

    Attributes:
        record: The record of its episode, as it opened.
        from_us: Event time of the first event of the suspicious span.
        until_us: Event time at which it is taken as answered.
        is_held: Whether the models do not learn meanwhile.
        verdict: What was answered, where the span is still held; empty before.
        over_us: Event time reached when the asset was calm again; None while it is not.
    """

    record: Record
    from_us: int
    until_us: int
    is_held: bool
    verdict: str = ""
    over_us: int | None = None

    @property
    def drift_id(self) -> str:
        """The episode's."""
        return str(self.record["drift_id"])

    def hold(self, place: Place) -> Record:
        """Return the instruction not to learn from the span until it is released."""
        return {
            **self._update("HOLD", place, index=1),
            "until": self.until_us,
            "span": {"from": self.from_us, "to": None},
        }

    def release(self, place: Place, verdict: str, reached_us: int, *, index: int = 0) -> Record:
        """Return the instruction that ends the hold and says what it was.

        The span ends where event time has come to, at the latest where the question is answered by
        itself: the last event is not waited for, which may have a clock of its own. A fault ends
        where the asset was calm again, however late that is said.
        """
        until_us = min(reached_us, self.until_us)
        if verdict == "FAULT" and self.over_us is not None:
            until_us = min(until_us, self.over_us)
        return {
            **self._update("RELEASE", place, index=index),
            "update_id": f"{self.drift_id}:{LABELS[verdict]}",
            "origin": f"{self.drift_id}:release",
            "target_id": self.drift_id,
            "label": LABELS[verdict],
            "span": {"from": self.from_us, "to": max(self.from_us, until_us)},
        }

    def _update(self, kind: str, place: Place, *, index: int) -> Record:
        topic, partition, offset, time_us = place
        cause = {"topic": topic, "partition": partition, "offset": offset, "index": index}
        return {
            "update_id": f"{self.drift_id}:{kind.lower()}",
            "cause": cause,
            "asset": self.record["asset"],
            "stream": self.record["stream"],
            "kind": kind,
            "origin": self.drift_id,
            "time": time_us,
        }

    def dump(self) -> dict[str, Any]:  # Any: plain values
        """Return all of it as plain values."""
        return asdict(self)

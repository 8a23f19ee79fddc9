"""The question that a multivariate episode asks: sensor fault or process change?"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tidemill.processors.drift.episodes import Place, Record

# How a release says what was held, in its label.
LABELS = {"FAULT": "fault", "PROCESS_CHANGE": "process_change", "TIMED_OUT": "process_change"}
# What nobody has answered when the share is used up is learned until somebody does.
FREED = "freed"
MOST_AGAIN = 16


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
        is_freed: Whether the models were held until the share was used up.
        again: The last episodes that opened while it waited: a word on one of them is one on it.
    """

    record: Record
    from_us: int
    until_us: int
    is_held: bool
    verdict: str = ""
    over_us: int | None = None
    is_freed: bool = False
    again: list[str] = field(default_factory=list)

    @property
    def drift_id(self) -> str:
        """The episode's."""
        return str(self.record["drift_id"])

    def came_back(self, drift_id: str) -> None:
        """Take it that the asset has left its reference again, by an episode of its own."""
        self.over_us = None
        self.again = [*self.again, drift_id][-MOST_AGAIN:]

    def hold(self, place: Place) -> Record:
        """Return the instruction not to learn from the span until it is released."""
        return {
            **self._update("HOLD", place, index=1),
            "until": self.until_us,
            "span": {"from": self.from_us, "to": None},
        }

    @property
    def waits(self) -> bool:
        """Whether an end of the episode, after a FAULT, is told to the models."""
        return self.is_held or self.is_freed

    def ended(self, place: Place, reached_us: int, *, index: int = 0) -> Record | None:
        """Return what the models are told when the question is over; None where that is nothing."""
        verdict = self.verdict or "TIMED_OUT"
        if self.is_held:
            return self.release(place, verdict, reached_us, index=index)
        if self.is_freed and verdict == "FAULT":
            return self._take_out(place, reached_us, index)
        return None

    def free(self, place: Place, reached_us: int) -> Record:
        """Return the instruction to learn for now what was held, as the share is used up."""
        update = self.release(place, "TIMED_OUT", reached_us)
        self.is_held, self.is_freed = False, True
        return {**update, "update_id": f"{self.drift_id}:{FREED}"}

    def release(self, place: Place, verdict: str, reached_us: int, *, index: int = 0) -> Record:
        """Return the instruction that ends the hold and says what it was."""
        return {
            **self._update("RELEASE", place, index=index),
            "update_id": f"{self.drift_id}:{LABELS[verdict]}",
            "origin": f"{self.drift_id}:release",
            "target_id": self.drift_id,
            "label": LABELS[verdict],
            "span": {"from": self.from_us, "to": self._last_us(verdict, reached_us)},
        }

    def _take_out(self, place: Place, reached_us: int, index: int) -> Record:
        """Return the instruction to learn the span no more, which was a fault and is over."""
        last_us = self._last_us("FAULT", reached_us)
        return {
            **self._update("HOLD", place, index=index),
            "update_id": f"{self.drift_id}:{LABELS['FAULT']}",
            "until": last_us,
            "span": {"from": self.from_us, "to": last_us},
        }

    def _last_us(self, verdict: str, reached_us: int) -> int:
        """Return where the span ends: where event time has come to.

        That is at the latest where the question is answered by itself: the last event is not waited
        for, which may have a clock of its own. A fault ends where the asset was calm again, however
        late that is said.
        """
        last_us = min(reached_us, self.until_us)
        if verdict == "FAULT" and self.over_us is not None:
            last_us = min(last_us, self.over_us)
        return max(self.from_us, last_us)

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

"""A sensor that all but repeats the answer: what people say of it, and what that was good for."""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass
from math import isnan, nan
from statistics import fmean
from typing import TYPE_CHECKING, Any

from tidemill.contracts.feedback_form import FINAL

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from tidemill.demo.cases import Case

    Record = Mapping[str, Any]  # Any: the values of an Avro record

VOTES_EACH = 2
# Of each asset, so many cases after the break are compared: models soon forget the sensor.
COMPARED = 20


@dataclass(frozen=True, slots=True)
class Shortcut:
    """A sensor that breaks with the drift, in every asset; people know it of one.

    Attributes:
        asset: Whose explanations are judged.
        actors: Who judges; the last one does after a processor was killed.
        breaks: What is noted when it breaks.
    """

    asset: str
    sensor: str
    actors: tuple[str, ...]
    breaks: str


class FeedbackTally:
    """What people said, the receipts, and the errors once the sensor broke.

    Args:
        breaks_us: Event time from which on the sensor is broken.
        apart: Assets that are compared to none: other ones from then on, or without that sensor.

    Attributes:
        final: The final receipt of each feedback.
        news: Final receipts that nobody was told yet.
        veto: The receipt of the veto, with before and after; None before it came.
        set_aside: Feedback that was dead-lettered.
    """

    def __init__(self, shortcut: Shortcut, *, breaks_us: int, apart: Collection[str]) -> None:
        self.shortcut = shortcut
        self.final: dict[str, Record] = {}
        self.news: deque[Record] = deque()
        self.veto: Record | None = None
        self.set_aside = 0
        self._sent: set[str] = set()
        self._cases: deque[Record] = deque(maxlen=VOTES_EACH)
        self._breaks_us = breaks_us
        self._apart = frozenset(apart)
        self._errors: defaultdict[str, list[float]] = defaultdict(list)

    def note_prediction(self, record: Record) -> None:
        """Remember what can be judged."""
        if record["asset"] == self.shortcut.asset and not record["quality"]:
            self._cases.append(record)

    @property
    def cases(self) -> list[Record]:
        """The last predictions of the asset that is judged."""
        return list(self._cases)

    def note_sent(self, feedback_id: str) -> None:
        """Expect the receipt of a feedback."""
        self._sent.add(feedback_id)

    def note_receipt(self, record: Record) -> None:
        """Take in a receipt; after the first final one no other is news."""
        if record["status"] not in FINAL or record["feedback_id"] in self.final:
            return
        self.final[record["feedback_id"]] = record
        self.news.append(record)
        if record["effect"] is not None:
            self.veto = record

    def note_set_aside(self) -> None:
        """Count one feedback that was dead-lettered."""
        self.set_aside += 1

    def note_case(self, case: Case) -> None:
        """Count an error, where the sensor is broken."""
        if case.time_us < self._breaks_us or case.asset in self._apart:
            return
        assert case.answer is not None
        if case.answer.value is not None and isinstance(case.truth, float):
            errors = self._errors[case.asset]
            if len(errors) < COMPARED:
                errors.append(abs(case.answer.value - case.truth))

    @property
    def sent(self) -> int:
        """Feedback that was sent."""
        return len(self._sent)

    @property
    def open(self) -> int:
        """Feedback without a final receipt."""
        return len(self._sent - self.final.keys())

    @property
    def is_balanced(self) -> bool:
        """Whether each has its final receipt, and no receipt is of anything else."""
        return self.final.keys() == self._sent and self.set_aside == 0

    def errors_since(self) -> tuple[float, float]:
        """Return the mean errors since the sensor broke, of the asset and of the others; or NaN."""
        own = self.shortcut.asset
        mine = self._errors.get(own, [])
        others = [each for name, errors in self._errors.items() if name != own for each in errors]
        return fmean(mine or [nan]), fmean(others or [nan])

    def harm(self) -> str | None:
        """Return what the broken sensor did to those that use it; None before it broke."""
        mine, others = self.errors_since()
        if isnan(mine + others):
            return None
        asset, sensor = self.shortcut.asset, self.shortcut.sensor
        without = f"{asset} ({sensor} vetoed)" if self.veto is not None else asset
        return (
            f"{self.shortcut.breaks}: mean error of the first {COMPARED} readings since then "
            f"{mine:.2f} at {without}, {others:.2f} at the others"
        )


def vote_text(actor: str, shortcut: Shortcut, events: list[str]) -> str:
    """Return what somebody says."""
    return (
        f"{actor} calls {shortcut.sensor} irrelevant to {' and '.join(events)} of {shortcut.asset}"
    )


def receipt_text(record: Record) -> str:
    """Return what became of a feedback; of a veto what the model says before and after."""
    effect, reason = record["effect"], record["reason"]
    said = f"{record['feedback_id']}: {record['status']}"
    if effect is None:
        return said if reason is None else f"{said}, {reason}"
    otherwise = f"{effect['changed']} of the last {effect['compared']} cases otherwise"
    return (
        f"{said}: veto of {record['feature']} at {record['asset']}, version "
        f"{record['version']}; the case reads {effect['before']:.2f} before and "
        f"{effect['after']:.2f} after, {otherwise}"
    )

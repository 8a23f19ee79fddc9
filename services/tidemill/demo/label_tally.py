"""Labels that come on their own topic, and what became of each."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    Record = Mapping[str, Any]  # Any: the values of an Avro record

# An event with another flag than these is at fault: its label is compared, never learned.
_NO_FAULT = frozenset({"MISSING", "FROZEN", "HELD"})
CHAMPION = "/champion"
HOUR_S = 3_600


@dataclass(slots=True)
class LabelTally:
    """Counts of labels by where they went.

    Attributes:
        joined: Labels that the labeller joined to their prediction.
        flagged: Those of them whose event was at fault.
        outcomes: Comparisons of a label with the stored prediction.
        aside: Labels that were dead-lettered, by reason.
        steps: Learning steps of each champion by asset, as the ledger has them.
        last: The newest comparison; None before the first.
    """

    sent: int = 0
    joined: int = 0
    flagged: int = 0
    outcomes: int = 0
    aside: Counter[str] = field(default_factory=Counter)
    steps: dict[str, int] = field(default_factory=dict)
    last: Record | None = None

    def note_joined(self, update: Record) -> None:
        """Count one label that the labeller joined."""
        self.joined += 1
        self.flagged += not _NO_FAULT.issuperset(update["stored"]["quality"])

    def note_outcome(self, record: Record) -> None:
        """Count one comparison."""
        self.outcomes += 1
        self.last = record

    def note_entry(self, entry: Record) -> None:
        """Note how far the ledger says that champions have come."""
        for changed in entry["models"]:
            if changed["model"].endswith(CHAMPION):
                self.steps[changed["asset"]] = changed["version"]

    @property
    def learned(self) -> int:
        """Labels that the champions have learned."""
        return sum(self.steps.values())

    @property
    def open(self) -> int:
        """Labels of which it is not known everywhere what became of them."""
        done = min(self.joined, self.outcomes, self.learned + self.flagged)
        return self.sent - self.aside.total() - done

    @property
    def is_balanced(self) -> bool:
        """Whether in = learned + flagged + set aside, each of the first two compared once."""
        is_once = self.joined == self.outcomes == self.learned + self.flagged
        return self.open == 0 and is_once


def outcome_text(record: Record) -> str:
    """Return what became of a prediction, once its label came."""
    hours = record["delay_s"] / HOUR_S
    return (
        f"{record['event_id']} of {record['asset']}: version {record['version']} had predicted "
        f"{_said(record['predicted'])}, {hours:.1f} h later the label says "
        f"{_said(record['label'])}, error {record['error']:.2f}"
    )


def _said(value: object) -> str:
    return f"{value:.2f}" if isinstance(value, float) else str(value)

"""What a task tells of itself, for metrics and logs only."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tidemill.kernel.errors import SnapshotRefusal
    from tidemill.kernel.processor import Task


class Refused(NamedTuple):
    """A snapshot record that was not accepted."""

    position: str
    reason: str
    kind: SnapshotRefusal


@dataclass(slots=True)
class Scores:
    """Labels of one stream against what champions had said: sums, for rates.

    Attributes:
        labels: Predictions whose label came.
        error: Sum of their absolute errors, or of log losses of classes.
        compared: Those of which the naive model had said something too.
        naive_error: Sum of its errors.
        compared_error: Sum of the champions' errors where it had.
        regions, covered: Those with an interval or class set, and the labels that lay in it.
    """

    labels: int = 0
    error: float = 0.0
    compared: int = 0
    naive_error: float = 0.0
    compared_error: float = 0.0
    regions: int = 0
    covered: int = 0

    def add(self, error: float, naive: float | None, is_covered: bool | None) -> None:
        """Count one."""
        self.labels += 1
        self.error += error
        if naive is not None:
            self.compared += 1
            self.naive_error += naive
            self.compared_error += error
        if is_covered is not None:
            self.regions += 1
            self.covered += is_covered

    def copy(self) -> Scores:
        """Return the sums of now."""
        return replace(self)


class WhyCompensated(StrEnum):
    """Why a correction was not made by a re-fold; a closed set, also a metric label.

    `ERROR` is what no re-fold may raise: the others are as documented.
    """

    ALLOWANCE = "allowance"
    NO_BASE = "no-base"
    CHANGED = "changed"
    FULL = "full"
    ERROR = "error"


NONE_COMPENSATED: Mapping[str, int] = MappingProxyType({})


class Corrections(NamedTuple):
    """What became of corrections.

    Attributes:
        done: Put in force by re-folds.
        compensated: Made good otherwise, by why.
        seconds: Of work.
        waiting: Assets that have some waiting.
        last_compensated: The last model and why, in words.
        held: How many of them the model has that has most, of those that changed.
        crowded: That model, in words, if there is hardly room for more.
    """

    done: int = 0
    compensated: Mapping[str, int] = NONE_COMPENSATED
    seconds: float = 0.0
    waiting: int = 0
    last_compensated: str = ""
    held: int = 0
    crowded: str = ""


NO_CORRECTIONS = Corrections()


NOTHING_TOLD: Mapping[tuple[str, str], int] = MappingProxyType({})


class Drifts(NamedTuple):
    """What became of what is watched.

    Attributes:
        told: Records of drifts, by kind and status; restores count too.
        standing: Episodes that are not over, by kind.
        unwatched: Signals of which nothing would be told by now, by kind.
        questions: Those that are not settled.
        held: Events held for questions; restores count too.
        held_share: Of all events of the asset of which most were held.
        unmet: Answers that met nothing; restores count too.
    """

    told: Mapping[tuple[str, str], int] = NOTHING_TOLD
    standing: Mapping[str, int] = NONE_COMPENSATED
    unwatched: Mapping[str, int] = NONE_COMPENSATED
    questions: int = 0
    held: int = 0
    held_share: float = 0.0
    unmet: int = 0


NO_DRIFTS = Drifts()


@dataclass(frozen=True, slots=True)
class Report:
    """What one task has done so far, what opening it took, and what it holds.

    Attributes:
        learned: Labels in events learned, once per model; restores count too.
        examples, repeated: Updates learned and passed over, once per model.
        foreign_keys: Records whose key is not their asset.
        dead: Records set aside; `last_dead` names the last one and why.
        flags: Quality flags given, by name.
        scores: What labels made of the champions' predictions, by stream.
        labelled: What came of labels, by verdict; restores do not count.
        kept: What came of predictions that may wait for a label, likewise.
        waiting: Predictions and labels that wait for one another, by topic.
        explained: Explanations made, by whether they are exact; restores count too.
        models, at_budget: Models held, and those of them that learn no more.
        oversized: Models that met their budget since the task was opened, in words.
        refused: Snapshots that opening the task did not accept.
        refolded: Records that opening the task folded again.
        replaced: Models in whose place a changed definition started new ones, by name.
        corrections: Once per model.
        drifts: Of the drift processor.
        code, arithmetic: Digests as the ledger names them.
    """

    learned: int = 0
    examples: int = 0
    repeated: int = 0
    foreign_keys: int = 0
    dead: int = 0
    last_dead: str = ""
    flags: Mapping[str, int] = field(default_factory=dict)
    scores: Mapping[str, Scores] = field(default_factory=dict)
    labelled: Mapping[str, int] = field(default_factory=dict)
    kept: Mapping[str, int] = field(default_factory=dict)
    waiting: Mapping[str, int] = field(default_factory=dict)
    explained: Mapping[bool, int] = field(default_factory=dict)
    models: int = 0
    at_budget: int = 0
    oversized: tuple[str, ...] = ()
    refused: tuple[Refused, ...] = ()
    refolded: int = 0
    replaced: tuple[str, ...] = ()
    corrections: Corrections = NO_CORRECTIONS
    drifts: Drifts = NO_DRIFTS
    code: bytes = b""
    arithmetic: bytes = b""


@runtime_checkable
class Reporting(Protocol):
    """A task that reports."""

    def report(self) -> Report:
        """Return what was done so far; cheap, called once per transaction."""


NOTHING = Report()
NO_SCORES = Scores()


def report_of(task: Task) -> Report:
    """Return what a task reports; nothing if it does not."""
    return task.report() if isinstance(task, Reporting) else NOTHING

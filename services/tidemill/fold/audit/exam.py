"""One ledger entry after another, held against what stands in the topics; no model is needed."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tidemill.contracts.topics import EVENTS, OUTCOMES, PREDICTIONS, RECEIPTS
from tidemill.fold.audit.applied import Inputs
from tidemill.fold.audit.culprits import altered_inputs, altered_outputs
from tidemill.fold.audit.findings import Kind
from tidemill.fold.audit.outputs import Outputs
from tidemill.fold.entry_marks import MARKED
from tidemill.fold.swapping import COMPENSATE, Compensation
from tidemill.fold.terms import KIND as TERMS
from tidemill.kernel.reports import WhyCompensated
from tidemill.models.state import ModelKey

if TYPE_CHECKING:
    from collections.abc import Collection

    from tidemill.fold.audit.applied import Applied
    from tidemill.fold.audit.chain import Walked
    from tidemill.fold.audit.findings import Finding, Findings
    from tidemill.fold.audit.outputs import Answers
    from tidemill.fold.audit.saved import SavedStates
    from tidemill.fold.ledger import Entry
    from tidemill.fold.ledger_log import Placed
    from tidemill.kernel.processor import Log
    from tidemill.kernel.records import Position


_COUNTED = {PREDICTIONS: "predictions", OUTCOMES: "outcomes", RECEIPTS: "receipts"}

NEWER = (
    "outputs stand behind those of the last ledger entry: of transactions newer than this audit, "
    "or the end of the ledger is missing"
)


@dataclass(frozen=True, slots=True)
class Examined:
    """One sound entry and what stands in the topics for it.

    Attributes:
        findings: What contradicts the entry's shape, not its digests.
        inputs_agree: Whether the inputs have the entry's digest; None if they are not retained.
        outputs_agree: The same of the outputs.
    """

    placed: Placed
    applied: Applied
    answers: Answers
    findings: tuple[Finding, ...]
    inputs_agree: bool | None
    outputs_agree: bool | None

    @property
    def entry(self) -> Entry:
        """The entry."""
        return self.placed.entry


class Exam:
    """Walks one partition.

    Args:
        saved: Snapshots and anchors, which are looked at with the entry they belong to.
    """

    def __init__(self, log: Log, partition: int, *, saved: SavedStates, findings: Findings) -> None:
        self._inputs = Inputs(log, partition)
        self._outputs = Outputs(log, partition)
        self._saved = saved
        self._report = findings
        self._before: dict[ModelKey, bytes] = {}
        self._last: Entry | None = None
        self._compensated: Counter[WhyCompensated] = Counter()

    def examine(self, walked: Walked) -> Examined | None:
        """Return what stands there for the next ledger record; None if the record is altered."""
        self._report.add(walked.findings)
        if walked.placed is None or any(f.kind == Kind.LEDGER_GAP for f in walked.findings):
            self._lose_the_thread()
        if walked.placed is None:
            return None
        entry = walked.placed.entry
        if self._last is None and entry.sequence > 0:
            self._outputs.lose_the_thread()
        self._last = entry
        applied = self._inputs.follow(entry)
        events = len(applied.of_topic(EVENTS)) if applied.is_retained else None
        answers = self._outputs.follow(entry, events)
        inputs_agree = outputs_agree = None
        if applied.is_retained:
            inputs_agree = applied.digest() == entry.inputs
        if answers.is_retained or answers.digest == entry.emitted:
            outputs_agree = answers.digest == entry.emitted
        self._count(entry, applied, answers)
        findings = (*applied.findings, *self._saved.follow(entry))
        return Examined(walked.placed, applied, answers, findings, inputs_agree, outputs_agree)

    def _lose_the_thread(self) -> None:
        self._inputs.lose_the_thread()
        self._outputs.lose_the_thread()
        self._saved.lose_the_thread()
        self._before.clear()

    def _count(self, entry: Entry, applied: Applied, answers: Answers) -> None:
        counts = self._report.counts
        self._report.saw(entry.sequence)
        counts["inputs"] += sum(len(run) for run in applied.runs)
        for topic, stored in answers.by_topic.items():
            if stored or topic not in MARKED:
                counts[_COUNTED.get(topic, "dead_letters")] += len(stored)
        if not applied.is_retained:
            counts["entries_without_inputs"] += 1
        elif not answers.is_retained:
            counts["entries_without_outputs"] += 1
        for action in entry.actions:
            if action.kind == COMPENSATE:
                self._count_compensated(entry, Compensation.of(action))

    def _count_compensated(self, entry: Entry, done: Compensation) -> None:
        """Count corrections that no re-fold made; why not is what the entry says."""
        self._report.counts["compensated"] += len(done.offsets)
        self._report.counts[f"compensated_{done.why.kind.replace('-', '_')}"] += len(done.offsets)
        self._compensated[done.why.kind] += len(done.offsets)
        if done.why.kind is WhyCompensated.ERROR:
            self._report.note(
                f"ledger entry {entry.sequence}: corrections of {done.key.encode().decode()} were "
                f"compensated by an error, which no re-fold may end with: {done.why.words}"
            )

    def judge_inputs(self, examined: Examined, accused: Collection[Position] = ()) -> list[Finding]:
        """Return findings for inputs that do not agree with the entry's digest.

        Args:
            examined: The entry.
            accused: Records that a re-fold gave away.
        """
        if examined.inputs_agree is not False or not examined.applied.is_complete:
            return []
        return altered_inputs(
            examined.entry,
            examined.applied,
            examined.answers if examined.outputs_agree else None,
            before=self._before,
            accused=accused,
        )

    def judge_outputs(self, examined: Examined) -> list[Finding]:
        """Return findings for outputs that do not agree with the entry's digest."""
        if examined.outputs_agree is not False:
            return []
        return altered_outputs(examined.entry, examined.applied, examined.answers)

    def go_on(self, entry: Entry) -> None:
        """Remember where an entry that was judged left its models."""
        if any(action.kind == TERMS for action in entry.actions):
            self._before.clear()
        for model in entry.models:
            self._before[ModelKey(model.stream, model.asset, model.model)] = model.lineage

    def end(self) -> list[Finding]:
        """Return what no entry accounts for, once all entries were examined."""
        positions = {} if self._last is None else self._last.positions or {}
        tail = -1 if self._last is None else self._last.sequence
        findings = [*self._outputs.foreign(positions, tail), *self._saved.missing()]
        if self._compensated:
            parts = [f"{count} {why}" for why, count in sorted(self._compensated.items())]
            self._report.note(
                f"corrections were compensated: {', '.join(parts)}; the reasons are the ledger's"
            )
        if self._outputs.has_more:
            self._report.note(NEWER)
        return findings

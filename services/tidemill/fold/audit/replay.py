"""Replay: a span of the past folded again, up to the first divergence, which it locates."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tidemill.contracts.topics import LEDGER, UPDATES
from tidemill.fold.applying import INPUTS
from tidemill.fold.audit.bounds import first_sequence, last_sequence
from tidemill.fold.audit.chain import newest_sound, walk
from tidemill.fold.audit.exam import Exam
from tidemill.fold.audit.explanations import ExplanationAudit
from tidemill.fold.audit.findings import Finding, Findings, Kind, Place
from tidemill.fold.audit.judging import compare, disagreement, emitted_again, given_away, is_ours
from tidemill.fold.audit.labelled import LabelAudit
from tidemill.fold.audit.refolded import RefoldedAgain
from tidemill.fold.audit.saved import SavedStates
from tidemill.fold.audit.starting import Source, Start, choose_start, drained
from tidemill.fold.audit.verify import note_reach
from tidemill.fold.replica import Replica
from tidemill.kernel.errors import InvariantError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from tidemill.fold.audit.bounds import Bound
    from tidemill.fold.audit.exam import Examined
    from tidemill.fold.ledger import Entry
    from tidemill.fold.replica import Step
    from tidemill.fold.snapshots import SigningKey
    from tidemill.fold.terms import Terms
    from tidemill.kernel.processor import Log
    from tidemill.kernel.records import Position

    OnEntry = Callable[[Entry], None]


@dataclass(frozen=True, slots=True)
class Span:
    """The entries to replay; None is as far as is retained."""

    start: Bound | None = None
    stop: Bound | None = None


WHOLE = Span()


def replay(
    log: Log,
    partition: int,
    signing: SigningKey | None = None,
    *,
    span: Span = WHOLE,
    known: Iterable[Terms] = (),
    on_entry: OnEntry | None = None,
) -> Findings:
    """Fold entries again and compare with what stands in the topics, byte for byte.

    Args:
        log: The topics.
        partition: The partition number, the same in every topic.
        signing: The key of snapshots and anchors; None starts from genesis only.
        span: Which entries; what must be folded before them to get there is compared too.
        known: Terms at hand; others are looked up in the ledger.
        on_entry: Told of every entry, for progress.
    """
    report = Findings(partition)
    tail = newest_sound(log, partition)
    if tail is None:
        note_reach(report)
        return report
    saved = SavedStates(log, partition, signing, until=tail.entry.sequence)
    saved.report(report)
    wanted = 0 if span.start is None else first_sequence(log, partition, span.start)
    stop = None if span.stop is None else last_sequence(log, partition, span.stop)
    if wanted is None or (stop is not None and stop < wanted):
        report.note("no entry lies in this span")
        return report
    terms = {each.digest: each for each in known}
    try:
        start = choose_start(Source(log, partition, signing, saved.claims, terms), wanted)
    except InvariantError as error:
        start = Start(tail.offset, obstacle=str(error))
    if _is_broken_before(log, partition, start, report) and (start.obstacle or not wanted):
        return report
    if start.obstacle:
        report.add([_not_replayable(partition, start.offset, None, start.obstacle)])
        return report
    for note in start.notes:
        report.note(note)
    exam = Exam(log, partition, saved=saved, findings=report)
    lacking = saved.unusable - {key.encode() for key in start.states}
    replaying = _Replaying(
        log, partition, signing, start=start, terms=terms, exam=exam, lacks_states=bool(lacking)
    )
    replaying.run(report, stop, on_entry)
    for note in replaying.notes:
        report.note(note)
    note_reach(report)
    return report


def _is_broken_before(log: Log, partition: int, start: Start, report: Findings) -> bool:
    """Walk the chain up to the first entry to fold; report and return whether it is broken."""
    begin, end = log.span(LEDGER, partition)
    records = walk(log, partition, begin, end if start.obstacle else start.offset)
    return report.add([finding for walked in records for finding in walked.findings])


class _Replaying:
    """The fold of one partition, entry by entry, until something differs."""

    def __init__(
        self,
        log: Log,
        partition: int,
        signing: SigningKey | None,
        *,
        start: Start,
        terms: Mapping[bytes, Terms],
        exam: Exam,
        lacks_states: bool,
    ) -> None:
        self._log = log
        self._partition = partition
        self._start = start
        self._exam = exam
        self._explanations = ExplanationAudit(log, partition)
        self._swaps = RefoldedAgain(log, partition, signing)
        self._labels = LabelAudit(log, partition)
        self._replica = Replica(
            log, partition, terms, witness=self._explanations.witness, swaps=self._swaps
        )
        self._replica.start_from(start.states)
        self._ends = {topic: log.span(topic, partition)[1] for topic in INPUTS}
        self._lacks_states = lacks_states
        self._has_all_from = max((state.sequence for state in start.states.values()), default=0)

    @property
    def notes(self) -> list[str]:
        """What could not be made again."""
        return [*self._swaps.notes, *self._labels.notes]

    def run(
        self, report: Findings, stop: int | None, on_entry: Callable[[Entry], None] | None
    ) -> None:
        """Fold the entries up to `stop`, or up to the first divergence."""
        end = self._log.span(LEDGER, self._partition)[1]
        for walked in walk(self._log, self._partition, self._start.offset, end):
            if stop is not None and walked.placed and walked.placed.entry.sequence > stop:
                break
            examined = self._exam.examine(walked)
            if examined is None or walked.findings:
                return
            if report.add(examined.findings or self._judge(examined, report)):
                return
            self._exam.go_on(examined.entry)
            if on_entry is not None:
                on_entry(examined.entry)
            if self._labels.is_due and report.add(self._labelled(report)):
                return
        else:
            report.add(self._exam.end())
        report.add(self._labelled(report))

    def _labelled(self, report: Findings) -> list[Finding]:
        """Hold the examples folded so far against predictions and labels."""
        fold = self._replica.fold
        found = [] if fold is None else self._labels.settle(fold.terms.definition.partitions)
        report.counts["labels"] = self._labels.compared
        return found

    def _judge(self, examined: Examined, report: Findings) -> list[Finding]:
        """Fold one entry; return what differs and where."""
        placed = examined.placed
        try:
            step = self._held(drained(self._replica.step(placed, self._ends)))
        except InvariantError as error:
            found = self._exam.judge_inputs(examined)
            sequence = placed.entry.sequence
            why = _not_replayable(self._partition, placed.offset, sequence, str(error))
            return found or [why]
        report.counts["folded"] += len(step.inputs)
        report.counts["swaps"] = self._swaps.made
        forged = self._swaps.take()
        if forged:
            return forged
        report.counts["compared"] += len(step.emits)
        if examined.inputs_agree is False:
            accused = self._given_away(examined, step)
            inputs = self._exam.judge_inputs(examined, accused)
            return [*inputs, *self._exam.judge_outputs(examined)]
        self._labels.note(placed.entry.sequence, examined.applied.of_topic(UPDATES))
        found = self._judge_fold(examined, step)
        explained = self._explanations.judge(placed.entry, is_partial=step.is_partial)
        report.counts["explanations"] = self._explanations.compared
        return found or explained

    def _held(self, step: Step) -> Step:
        """Hold all models against the entry, the quiet ones too, once the fold has them all."""
        entry, fold = step.placed.entry, self._replica.fold
        if entry.sequence == 0:
            self._lacks_states = False
        has_all = not self._lacks_states and entry.sequence >= self._has_all_from
        if fold is None or not has_all or step.differences:
            return step
        standing = fold.fleet.standing()
        if (standing.models, standing.digest) == (entry.learned, entry.fleet):
            return step
        difference = (
            f"{standing.models} models have learned, to the sum {standing.digest.hex()[:16]}; "
            f"the ledger says {entry.learned}, {entry.fleet.hex()[:16]}"
        )
        return replace(step, differences=(difference,))

    def _given_away(self, examined: Examined, step: Step) -> set[Position]:
        fold = self._replica.fold
        if fold is None or not examined.outputs_agree or not is_ours(examined.entry):
            return set()
        return given_away(examined, step, fold.fleet.changed)

    def _judge_fold(self, examined: Examined, step: Step) -> list[Finding]:
        """Return findings for an entry whose inputs are as they were."""
        different = compare(examined, step) if examined.outputs_agree is not None else []
        is_same = step.is_partial or emitted_again(examined, step)
        if examined.outputs_agree is False:
            if different and is_same:
                return different
            found = self._exam.judge_outputs(examined)
            return found if is_same else [*found, self._disagreement(examined, step)]
        if different and is_same and not step.is_partial and is_ours(examined.entry):
            return different
        if different or step.differences:
            return [self._disagreement(examined, step)]
        return []

    def _disagreement(self, examined: Examined, step: Step) -> Finding:
        return disagreement(examined, step, self._start.places)


def _not_replayable(partition: int, offset: int, sequence: int | None, why: str) -> Finding:
    place = Place(LEDGER, partition, offset, offset)
    must = "inputs, terms and states must be retained from which to fold"
    return Finding(Kind.NOT_REPLAYABLE, place, sequence, must, why)

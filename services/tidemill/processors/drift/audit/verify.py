"""Verify: the drift ledger's chain, and every topic held against it. Folds nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidemill.contracts.topics import DRIFT, DRIFT_LEDGER, DRIFT_SNAPSHOTS
from tidemill.fold.arithmetic import arithmetic_digest, code_digest
from tidemill.fold.audit.applied import Inputs
from tidemill.fold.audit.chain import newest_sound, walk
from tidemill.fold.audit.findings import Finding, Findings, Kind, Place
from tidemill.fold.audit.flips import flipped_output
from tidemill.fold.audit.saved import SavedStates
from tidemill.fold.audit.verify import note_reach
from tidemill.fold.ledger import Digest
from tidemill.processors.drift.audit.inputs import altered_inputs
from tidemill.processors.drift.audit.standing import Standing
from tidemill.processors.drift.audit.told import Told
from tidemill.processors.drift.books import CODE

if TYPE_CHECKING:
    from collections.abc import Callable

    from tidemill.fold.audit.chain import Walked
    from tidemill.fold.ledger import Entry
    from tidemill.fold.ledger_log import Placed
    from tidemill.fold.snapshots import SigningKey
    from tidemill.kernel.processor import Log
    from tidemill.kernel.records import Message

OUTPUTS = "the values told must have the digest that the entry carries"


def verify(
    log: Log,
    partition: int,
    signing: SigningKey | None = None,
    *,
    on_entry: Callable[[Entry], None] | None = None,
) -> Findings:
    """Hold everything that is retained of one partition against its drift ledger.

    Goes on after a finding where that is sound.

    Args:
        log: The topics.
        partition: The partition number, the same in every topic.
        signing: The key of snapshots; None leaves signatures unchecked, and says so.
        on_entry: Told of every entry, for progress.
    """
    report = Findings(partition, ledger=DRIFT_LEDGER)
    begin, end = log.span(DRIFT_LEDGER, partition)
    tail = newest_sound(log, partition, topic=DRIFT_LEDGER)
    until = -1 if tail is None else tail.entry.sequence
    saved = SavedStates(
        log, partition, signing, until=until, snapshots=DRIFT_SNAPSHOTS, anchors=None
    )
    saved.report(report)
    exam = _Exam(log, partition, saved, report)
    for walked in walk(log, partition, begin, end, topic=DRIFT_LEDGER):
        exam.examine(walked)
        if walked.placed is not None and on_entry is not None:
            on_entry(walked.placed.entry)
    exam.end()
    note_reach(report)
    return report


class _Exam:
    """One entry after another, held against what stands in the topics."""

    def __init__(self, log: Log, partition: int, saved: SavedStates, report: Findings) -> None:
        self._partition = partition
        self._inputs = Inputs(log, partition)
        self._told = Told(log, partition)
        self._standing = Standing()
        self._saved = saved
        self._report = report
        self._is_first = True

    def examine(self, walked: Walked) -> None:
        """Look at the next ledger record."""
        report, placed = self._report, walked.placed
        report.add(walked.findings)
        if placed is None or any(f.kind is Kind.LEDGER_GAP for f in walked.findings):
            self._inputs.lose_the_thread()
            self._saved.lose_the_thread()
            self._standing.lose_the_thread()
            self._is_first = True
        if placed is None:
            return
        entry = placed.entry
        report.saw(entry.sequence)
        if self._is_first:
            self._told.pass_over(entry.sequence - 1)
        self._is_first = False
        self._standing.adopt(entry)
        self._take_inputs(entry)
        report.add(self._standing.follow(placed))
        self._take_told(entry)
        report.add(self._saved.follow(entry))
        self._note_others(placed)

    def _take_inputs(self, entry: Entry) -> None:
        applied = self._inputs.follow(entry)
        report = self._report
        report.counts["inputs"] += sum(len(run) for run in applied.runs)
        report.add(applied.findings)
        if not applied.is_retained:
            report.counts["entries_without_inputs"] += 1
        elif applied.is_complete and applied.digest() != entry.inputs:
            standing = self._standing
            report.add(altered_inputs(entry, applied, standing.lineages, standing.terms))

    def _take_told(self, entry: Entry) -> None:
        told, report = self._told.take(entry.sequence), self._report
        report.add(_foreign(each) for each in self._told.odd)
        report.counts["told"] += sum(map(len, told.values()))
        digest = Digest()
        for topic, messages in told.items():
            digest.add(topic, [message.value for message in messages])
        if digest.result() == entry.emitted:
            return
        if not self._told.reaches(entry.sequence):
            report.counts["entries_without_outputs"] += 1
            return
        report.add([_altered(entry, told)])

    def _note_others(self, placed: Placed) -> None:
        if placed.entry.arithmetic != arithmetic_digest():
            self._report.note(
                "some entries were computed with other arithmetic than this machine's"
            )
        if placed.entry.code != code_digest(CODE):
            self._report.note("some entries were computed by other code than this release's")

    def end(self) -> None:
        """Say what no entry accounts for, once all were examined."""
        last = self._report.last
        self._told.take(-1 if last is None else last)
        self._report.add(_foreign(each) for each in self._told.odd)
        self._report.add(self._saved.missing())
        if self._told.has_more:
            self._report.note(
                "records of drifts stand behind those of the last entry: of transactions newer "
                "than this audit, or the end of the drift ledger is missing"
            )


def _altered(entry: Entry, told: dict[str, list[Message]]) -> Finding:
    suspects = [message for messages in told.values() for message in messages]
    if not suspects:
        place = Place(DRIFT, entry.partition, None, None)
        found = "nothing that it told is there"
        return Finding(Kind.OUTPUT_MISSING, place, entry.sequence, OUTPUTS, found)
    flip = flipped_output(told, entry.emitted, suspects)
    if flip is not None:
        found = f"it is altered: {flip}"
        return Finding(Kind.OUTPUT_ALTERED, Place.of(flip.message), entry.sequence, OUTPUTS, found)
    place, *also = Place.spanning(suspects)
    found = f"one of these {len(suspects)} is altered, or one is missing; a replay tells"
    return Finding(Kind.OUTPUT_ALTERED, place, entry.sequence, OUTPUTS, found, tuple(also))


def _foreign(message: Message) -> Finding:
    must = "every record of a drift must come of the ledger entry that it names"
    found = "it names none, or one whose records stand before it"
    return Finding(Kind.OUTPUT_FOREIGN, Place.of(message), None, must, found)

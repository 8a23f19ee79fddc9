"""Replay: the drift ledger of a partition folded again, up to the first divergence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidemill.contracts.topics import DRIFT, DRIFT_LEDGER
from tidemill.fold.arithmetic import arithmetic_digest, code_digest
from tidemill.fold.audit.findings import Finding, Findings, Kind, Place
from tidemill.fold.audit.starting import drained
from tidemill.fold.cursors import Cursor
from tidemill.fold.ledger import Changed, Digest, InputDigest
from tidemill.fold.ledger_log import entries_after, last_entry
from tidemill.fold.terms import KIND as TERMS
from tidemill.fold.terms import Terms
from tidemill.kernel.errors import InvariantError
from tidemill.processors.drift.books import CODE
from tidemill.processors.drift.plans import REFERENCE
from tidemill.processors.drift.processor import INPUTS
from tidemill.processors.drift.watching import Watching

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tidemill.fold.ledger import Entry
    from tidemill.fold.ledger_log import Placed
    from tidemill.kernel.processor import Log
    from tidemill.kernel.records import Emit, Message

    OnEntry = Callable[[Entry], None]


def replay(
    log: Log, partition: int, *, reference: int = REFERENCE, on_entry: OnEntry | None = None
) -> Findings:
    """Fold all entries again, from the genesis on, and compare what comes out byte for byte.

    Args:
        log: The topics.
        partition: The partition number, the same in every topic.
        reference: Events that sensors watched together are held against.
        on_entry: Told of every entry, for progress.
    """
    report = Findings(partition)
    try:
        tail = drained(last_entry(log, partition, DRIFT_LEDGER))
        if tail is None:
            report.note("nothing was ever watched here")
            return report
        replaying = _Replaying(log, partition, reference)
        for placed in entries_after(log, partition, -1, tail, topic=DRIFT_LEDGER):
            if placed is None:
                continue
            report.saw(placed.entry.sequence)
            if report.add(replaying.judge(placed, report)):
                return report
            if on_entry is not None:
                on_entry(placed.entry)
    except InvariantError as error:
        place = Place(DRIFT_LEDGER, partition, None, None)
        must = "ledger and inputs must be retained whole, as they were written"
        report.add([Finding(Kind.NOT_REPLAYABLE, place, report.last, must, str(error))])
        return report
    report.add(replaying.left())
    return report


class _Replaying:
    """The fold of one partition, entry by entry."""

    def __init__(self, log: Log, partition: int, reference: int) -> None:
        self._partition = partition
        self._reference = reference
        self._watching: Watching | None = None
        self._cursors = {
            topic: Cursor(log, topic, partition, log.span(topic, partition)[1]) for topic in INPUTS
        }
        self._written = _records(log, DRIFT, partition)

    def judge(self, placed: Placed, report: Findings) -> list[Finding]:
        """Fold one entry; return what differs and where."""
        entry = placed.entry
        watching = self._under_terms(entry)
        inputs = InputDigest()
        emits: list[Emit] = []
        for run in entry.runs:
            messages = drained(self._cursors[run.topic].take(run.first, run.last))
            inputs.add(messages)
            emits += watching.apply(messages, entry.sequence)
            report.counts["folded"] += len(messages)
        changed = watching.settle()
        report.counts["compared"] += len(emits)
        place = Place(DRIFT_LEDGER, self._partition, placed.offset, placed.offset)
        if inputs.result() != entry.inputs:
            found = "they are others"
            must = "the records that the entry names must be those it was made of"
            return [Finding(Kind.INPUT_ALTERED, place, entry.sequence, must, found)]
        emitted = Digest()
        emitted.add_emits(emits)
        models = tuple(
            Changed(*key, each.version, each.lineage, each.allowance.events)
            for key, each in changed.items()
        )
        standing = watching.standing
        is_same = (
            emitted.result() == entry.emitted
            and models == entry.models
            and (standing.models, standing.digest) == (entry.learned, entry.fleet)
        )
        if not is_same:
            must = "what is folded again must be what the entry says"
            return [Finding(_why(entry), place, entry.sequence, must, "it is something else")]
        return self._hold_written(emits, entry)

    def _under_terms(self, entry: Entry) -> Watching:
        """Return what is watched, under the terms that an entry puts in force.

        Raises:
            InvariantError: There are none.
        """
        for action in entry.actions:
            if action.kind != TERMS:
                continue
            terms = Terms.of(action)
            if self._watching is None:
                self._watching = Watching(terms, self._partition, self._reference)
            elif terms.digest != self._watching.terms.digest:
                self._watching.adopt(terms)
        if self._watching is None:
            msg = f"drift ledger entry {entry.sequence} must follow one with terms, none does"
            raise InvariantError(msg)
        return self._watching

    def _hold_written(self, emits: list[Emit], entry: Entry) -> list[Finding]:
        """Hold the records of drifts against those that stand in the topic, in order."""
        for emit in emits:
            if emit.topic != DRIFT:
                continue
            written = next(self._written, None)
            if written is not None and (written.key, written.value) == (emit.key, emit.value):
                continue
            must = "the record of a drift must stand there as it comes out again"
            if written is None:
                place = Place(DRIFT, self._partition, None, None)
                return [Finding(Kind.OUTPUT_MISSING, place, entry.sequence, must, "none does")]
            found = "another one does"
            return [Finding(Kind.OUTPUT_ALTERED, Place.of(written), entry.sequence, must, found)]
        return []

    def left(self) -> list[Finding]:
        """Return the first record of a drift that no entry accounts for."""
        written = next(self._written, None)
        if written is None:
            return []
        must = "every record of a drift must come of a ledger entry"
        return [Finding(Kind.OUTPUT_FOREIGN, Place.of(written), None, must, "this one does not")]


def _records(log: Log, topic: str, partition: int) -> Iterator[Message]:
    begin, end = log.span(topic, partition)
    for messages in log.read(topic, partition, begin, end):
        yield from messages


def _why(entry: Entry) -> Kind:
    if entry.arithmetic != arithmetic_digest():
        return Kind.OTHER_ARITHMETIC
    return Kind.OTHER_CODE if entry.code != code_digest(CODE) else Kind.FOLD_DIFFERS

"""Replay: entries of the drift ledger folded again, up to the first divergence."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from tidemill.contracts.topics import DRIFT_LEDGER, DRIFT_SNAPSHOTS
from tidemill.fold.arithmetic import arithmetic_digest, code_digest
from tidemill.fold.audit.applied import Applied
from tidemill.fold.audit.bounds import first_sequence, last_sequence
from tidemill.fold.audit.findings import Finding, Findings, Kind, Place
from tidemill.fold.audit.replay import WHOLE
from tidemill.fold.audit.saved import SavedStates
from tidemill.fold.audit.starting import drained
from tidemill.fold.cursors import Cursor
from tidemill.fold.ledger import Changed, Digest
from tidemill.fold.ledger_log import entries_after, last_entry
from tidemill.fold.terms import KIND as TERMS
from tidemill.fold.terms import Terms
from tidemill.kernel.errors import InvariantError
from tidemill.models.state import ModelKey
from tidemill.processors.drift.audit.inputs import altered_inputs
from tidemill.processors.drift.audit.start import DRIFTS, Source, Start, choose_start
from tidemill.processors.drift.audit.told import Told
from tidemill.processors.drift.books import CODE, TOLD
from tidemill.processors.drift.plans import REFERENCE
from tidemill.processors.drift.processor import INPUTS
from tidemill.processors.drift.saving import restored
from tidemill.processors.drift.watching import Watching, retired

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tidemill.fold.audit.replay import Span
    from tidemill.fold.ledger import Entry
    from tidemill.fold.ledger_log import Placed
    from tidemill.fold.snapshots import SigningKey
    from tidemill.kernel.processor import Log
    from tidemill.kernel.records import Emit, Message
    from tidemill.processors.drift.watched import Watched

    OnEntry = Callable[[Entry], None]


class Asked(NamedTuple):
    """What is to be folded again.

    Attributes:
        span: Which entries; what must be folded before them to get there is compared too.
        reference: Events that sensors watched together are held against.
        known: Terms at hand; others are looked up in the ledger.
    """

    span: Span = WHOLE
    reference: int = REFERENCE
    known: tuple[Terms, ...] = ()


def replay(
    log: Log,
    partition: int,
    signing: SigningKey | None = None,
    *,
    asked: Asked = Asked(),  # noqa: B008 - a frozen value
    on_entry: OnEntry | None = None,
) -> Findings:
    """Fold entries again and compare what comes out byte for byte.

    Args:
        log: The topics.
        partition: The partition number, the same in every topic.
        signing: The key of snapshots; None starts from the genesis only.
        asked: Which entries.
        on_entry: Told of every entry, for progress.
    """
    report = Findings(partition, ledger=DRIFT_LEDGER)
    try:
        _run(log, partition, signing, report=report, asked=asked, on_entry=on_entry)
    except InvariantError as error:
        must = "ledger and inputs must be retained whole, as they were written"
        report.add([_not_replayable(partition, report.last, must, str(error))])
    return report


def _run(
    log: Log,
    partition: int,
    signing: SigningKey | None,
    *,
    report: Findings,
    asked: Asked,
    on_entry: OnEntry | None,
) -> None:
    tail = drained(last_entry(log, partition, DRIFT_LEDGER))
    if tail is None:
        report.note("nothing was ever watched here")
        return
    first, last = asked.span.start, asked.span.stop
    wanted = 0 if first is None else first_sequence(log, partition, first, DRIFTS)
    stop = None if last is None else last_sequence(log, partition, last, DRIFTS)
    if wanted is None or wanted > tail.entry.sequence or (stop is not None and stop < wanted):
        report.note("no entry lies in this span")
        return
    until = tail.entry.sequence
    saved = SavedStates(
        log, partition, signing, until=until, snapshots=DRIFT_SNAPSHOTS, anchors=None
    )
    source = Source(log, partition, signing, saved.claims, asked.known)
    start = choose_start(source, wanted, asked.reference)
    if start.obstacle:
        must = "there must be something to fold from"
        report.add([_not_replayable(partition, None, must, start.obstacle)])
        return
    for note in start.notes:
        report.note(note)
    replaying = _Replaying(log, partition, start, asked.reference)
    for placed in entries_after(log, partition, start.after, tail, topic=DRIFT_LEDGER):
        if placed is None:
            continue
        if stop is not None and placed.entry.sequence > stop:
            return
        report.saw(placed.entry.sequence)
        if report.add(replaying.judge(placed, report)):
            return
        if on_entry is not None:
            on_entry(placed.entry)
    report.add(replaying.left())


class _Replaying:
    """The fold of one partition, entry by entry."""

    def __init__(self, log: Log, partition: int, start: Start, reference: int) -> None:
        self._partition = partition
        self._reference = reference
        self._lineages: dict[ModelKey, bytes] = {}
        self._cursors = {
            topic: Cursor(log, topic, partition, log.span(topic, partition)[1]) for topic in INPUTS
        }
        self._told = Told(log, partition)
        self._told.pass_over(start.after)
        self._last = start.after
        self._is_whole = start.after < 0
        self._watching: Watching | None = None
        if start.terms is not None:
            self._watching = self._begin(start.terms, start)

    def _begin(self, terms: Terms, start: Start) -> Watching:
        watching = Watching(terms, self._partition, self._reference)
        for key, state in start.states.items():
            plan = watching.plans[key.stream]
            found = restored(plan, key.asset, self._partition, state.state)
            watching.put(key, found, state.sequence)
            self._lineages[key] = found.lineage
        watching.since |= start.unknown
        watching.settle()
        return watching

    def judge(self, placed: Placed, report: Findings) -> list[Finding]:
        """Fold one entry; return what differs and where."""
        entry = placed.entry
        watching, emits = self._under_terms(entry)
        runs: list[tuple[Message, ...]] = []
        for run in entry.runs:
            messages = drained(self._cursors[run.topic].take(run.first, run.last))
            runs.append(tuple(messages))
            emits += watching.apply(messages, entry.sequence)
            report.counts["folded"] += len(messages)
        changed = watching.settle()
        report.counts["compared"] += len(emits)
        self._last = entry.sequence
        applied = Applied(tuple(runs), True, True, ())
        if applied.digest() != entry.inputs:
            return altered_inputs(entry, applied, self._lineages, watching.terms)
        is_all = self._knows_all(watching, entry)
        self._lineages.update({_key(model): model.lineage for model in entry.models})
        told = self._told.take(entry.sequence)
        if not self._agrees(watching, entry, changed, emits if is_all else None):
            place = Place(DRIFT_LEDGER, self._partition, placed.offset, placed.offset)
            kind, must = _why(entry)
            return [Finding(kind, place, entry.sequence, must, "it leads elsewhere")]
        if not is_all:
            report.counts["entries_in_part"] += 1
            return []
        return [*map(_foreign, self._told.odd), *_differing(emits, told, entry)]

    def _knows(self, watching: Watching, model: Changed) -> bool:
        """Return whether an asset is folded by now."""
        return watching.since.get(_key(model), -1) < self._last

    def _knows_all(self, watching: Watching, entry: Entry) -> bool:
        """Return whether all are folded of which an entry tells; of actions, all there are."""
        late = watching.since.values() if entry.kind == "ACTION" else ()
        is_told = all(since < entry.sequence for since in late)
        return is_told and all(self._knows(watching, model) for model in entry.models)

    def _agrees(
        self,
        watching: Watching,
        entry: Entry,
        changed: Mapping[ModelKey, Watched],
        emits: Sequence[Emit] | None,
    ) -> bool:
        """Return whether assets, and what was told where that is known, are as the entry says."""
        found = [
            Changed(*key, each.version, each.lineage, each.allowance.events)
            for key, each in changed.items()
        ]
        said = [model for model in entry.models if self._knows(watching, model)]
        if found != said:
            return False
        standing = watching.standing
        if self._is_whole and (standing.models, standing.digest) != (entry.learned, entry.fleet):
            return False
        if emits is None:
            return True
        digest = Digest()
        digest.add_emits(emits)
        return digest.result() == entry.emitted

    def _under_terms(self, entry: Entry) -> tuple[Watching, list[Emit]]:
        """Return what is watched, under the terms that an entry puts in force, and what they cause.

        Raises:
            InvariantError: There are none.
        """
        emits: list[Emit] = []
        for action in entry.actions:
            if action.kind != TERMS:
                continue
            terms = Terms.of(action)
            if self._watching is None:
                self._watching = Watching(terms, self._partition, self._reference)
            elif terms.digest != self._watching.terms.digest:
                adopted = self._watching.adopt(terms, entry.sequence)
                emits += adopted.emits
                for key in adopted.gone:
                    self._lineages.pop(key, None)
        if self._watching is None:
            msg = f"drift ledger entry {entry.sequence} must follow one with terms, none does"
            raise InvariantError(msg)
        for key in retired(entry):
            emits += self._watching.retire(key, entry.sequence)
            self._lineages.pop(key, None)
        return self._watching, emits

    def left(self) -> list[Finding]:
        """Return the records of drifts that no entry accounts for."""
        self._told.take(self._last)
        return [_foreign(each) for each in self._told.odd]


def _key(model: Changed) -> ModelKey:
    return ModelKey(model.stream, model.asset, model.model)


def _differing(
    emits: Sequence[Emit], told: Mapping[str, Sequence[Message]], entry: Entry
) -> list[Finding]:
    """Return the first record of each topic that does not stand there as it comes out again."""
    must, findings = "what was told must stand there as it comes out again", []
    for topic in TOLD:
        due = [emit for emit in emits if emit.topic == topic]
        there = told.get(topic, ())
        pairs = zip(due, there, strict=False)
        other = next((m for e, m in pairs if (m.key, m.value) != (e.key, e.value)), None)
        if other is not None:
            place = Place.of(other)
            altered = Finding(Kind.OUTPUT_ALTERED, place, entry.sequence, must, "another one does")
            findings.append(altered)
        elif len(there) < len(due):
            place = Place(topic, entry.partition, None, None)
            found = f"{len(due) - len(there)} of {len(due)} are missing"
            findings.append(Finding(Kind.OUTPUT_MISSING, place, entry.sequence, must, found))
        else:
            findings += [_foreign(message) for message in there[len(due) :]]
    return findings


def _foreign(message: Message) -> Finding:
    must = "every record of a drift must come of the ledger entry that it names"
    return Finding(Kind.OUTPUT_FOREIGN, Place.of(message), None, must, "this one does not")


def _not_replayable(partition: int, sequence: int | None, must: str, found: str) -> Finding:
    place = Place(DRIFT_LEDGER, partition, None, None)
    return Finding(Kind.NOT_REPLAYABLE, place, sequence, must, found)


def _why(entry: Entry) -> tuple[Kind, str]:
    """Return why a fold of unaltered inputs leads elsewhere, and what must hold."""
    if entry.arithmetic != arithmetic_digest():
        must = "the entry was computed with other arithmetic; this machine's must give the same"
        return Kind.OTHER_ARITHMETIC, must
    if entry.code != code_digest(CODE):
        must = "the entry was computed by other code; this release's must give the same"
        return Kind.OTHER_CODE, must
    return Kind.FOLD_DIFFERS, "the fold of unaltered inputs must lead to what the ledger says"

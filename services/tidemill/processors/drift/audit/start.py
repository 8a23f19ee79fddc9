"""Where a replay of drifts begins: at genesis, or at verified states of the assets."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from tidemill.contracts.topics import DRIFT_LEDGER, DRIFT_SNAPSHOTS
from tidemill.fold.audit.bounds import Books, first_entry
from tidemill.fold.audit.chain import walk
from tidemill.fold.audit.starting import drained
from tidemill.fold.ledger_log import retained_terms, terms_missing
from tidemill.fold.shelf import Shelf
from tidemill.models.state import ModelKey
from tidemill.processors.drift.audit.standing import Standing
from tidemill.processors.drift.plans import plans_of
from tidemill.processors.drift.processor import INPUTS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tidemill.fold.audit.saved import Claim
    from tidemill.fold.ledger import Entry
    from tidemill.fold.ledger_log import Placed
    from tidemill.fold.shelf import Restored
    from tidemill.fold.snapshots import SigningKey
    from tidemill.fold.terms import Terms
    from tidemill.kernel.processor import Log
    from tidemill.processors.drift.plans import Plan

DRIFTS = Books(DRIFT_LEDGER, INPUTS)


@dataclass(frozen=True, slots=True)
class Start:
    """What a replay begins with.

    Attributes:
        after: The entry after which it begins; -1 is the genesis.
        terms: Those in force there; None at the genesis.
        states: The assets that do not begin at nothing.
        unknown: Of those that are not folded before they were let go of: the entry that says so.
        notes: What cannot be vouched for, from where on.
        obstacle: Why nothing can be folded; empty if it can.
    """

    after: int = -1
    terms: Terms | None = None
    states: Mapping[ModelKey, Restored] = field(default_factory=dict)
    unknown: Mapping[ModelKey, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    obstacle: str = ""


class Source(NamedTuple):
    """What a start is chosen from: the topics, the states that were saved, terms at hand."""

    log: Log
    partition: int
    signing: SigningKey | None
    claims: Sequence[Claim]
    known: Sequence[Terms] = ()


def choose_start(source: Source, wanted: int, reference: int) -> Start:
    """Return where to begin so that the entries from `wanted` on are folded.

    Without a signing key no state is trusted, so that only the genesis will do.
    """
    oldest = first_entry(source.log, source.partition, _is_from(0), DRIFT_LEDGER)
    if oldest is None:
        return Start(obstacle="the drift ledger holds no entry that can be read")
    lost = _first_with_inputs(source, oldest)
    is_whole = oldest.entry.sequence == 0 and lost == 0
    if is_whole and (wanted <= 1 or source.signing is None):
        return Start()
    if source.signing is None:
        obstacle = "genesis or its inputs are no longer retained, and states need the signing key"
        return Start(obstacle=obstacle)
    found = _among_states(source, oldest, max(wanted, lost, oldest.entry.sequence + 1), reference)
    return Start() if found.obstacle and is_whole else found


def _first_with_inputs(source: Source, oldest: Placed) -> int:
    """Return the first entry from which on all inputs are retained."""
    lost = 0
    for topic in INPUTS:
        begin, _ = source.log.span(topic, source.partition)
        at_start = (oldest.entry.positions or {}).get(topic, 0) if not oldest.entry.runs else 0
        if begin > at_start:
            reached = _having_read(topic, begin)
            placed = first_entry(source.log, source.partition, reached, DRIFT_LEDGER)
            lost = max(lost, 1 + (oldest if placed is None else placed).entry.sequence)
    return lost


def _having_read(topic: str, offset: int) -> Callable[[Entry], bool]:
    return lambda entry: (entry.positions or {}).get(topic, 0) >= offset


def _is_from(sequence: int) -> Callable[[Entry], bool]:
    return lambda entry: entry.sequence >= sequence


class _Changes(NamedTuple):
    """What the entries before the first one wanted say: by asset, those that changed it.

    Of what was watched no more: the entry that says so.
    """

    by_key: dict[ModelKey, list[int]]
    gone: dict[ModelKey, int]
    base: Placed | None


def _read_changes(source: Source, start: int, floor: int) -> _Changes:
    standing = Standing()
    by_key: dict[ModelKey, list[int]] = {}
    gone: dict[ModelKey, int] = {}
    base: Placed | None = None
    end = source.log.span(DRIFT_LEDGER, source.partition)[1]
    for walked in walk(source.log, source.partition, start, end, topic=DRIFT_LEDGER):
        if walked.placed is None:
            continue
        entry = walked.placed.entry
        if entry.sequence >= floor:
            break
        base = walked.placed
        for key in standing.adopt(entry):
            by_key.pop(key, None)
            gone[key] = entry.sequence
        for each in standing.follow(walked.placed):
            del each  # verify tells of it
        for model in entry.models:
            key = ModelKey(model.stream, model.asset, model.model)
            by_key.setdefault(key, []).append(entry.sequence)
    return _Changes(by_key, gone, base)


def _let_go(source: Source, start: int, floor: int) -> dict[ModelKey, int]:
    """Return the first entry from `floor` on with which each asset was watched no more."""
    standing = Standing()
    found: dict[ModelKey, int] = {}
    end = source.log.span(DRIFT_LEDGER, source.partition)[1]
    for walked in walk(source.log, source.partition, start, end, topic=DRIFT_LEDGER):
        if walked.placed is None:
            continue
        for key in standing.adopt(walked.placed.entry):
            if walked.placed.entry.sequence >= floor:
                found.setdefault(key, walked.placed.entry.sequence)
        for each in standing.follow(walked.placed):
            del each  # as above
    return found


def _among_states(source: Source, oldest: Placed, floor: int, reference: int) -> Start:
    """Return a start with a state of every asset that changed before the first entry wanted."""
    changes = _read_changes(source, oldest.offset, floor)
    base = changes.base
    if base is None:
        return Start(obstacle=f"no entry before {floor} can be read")
    plans = plans_of(_terms_at(source, base).definition, reference)
    found = _Candidates(source.claims, changes, oldest.entry.sequence, plans)
    after, notes, chosen = floor - 1, [], []
    known = {key: found.newest(key, floor) for key in found.keys}
    is_lost = any(until + 1 < oldest.entry.sequence for _, until in known.values())
    gone = _let_go(source, oldest.offset, floor) if is_lost else {}
    unknown = {}
    for key, (newest, until) in known.items():
        if until + 1 >= oldest.entry.sequence:
            after = min(after, until)
            chosen += [] if newest is None else found.states[key][newest]
            continue
        later = found.later(key, floor)
        if key in gone and (later is None or later >= gone[key]):
            unknown[key] = later = gone[key]
        elif later is not None:
            chosen += found.states[key][later]
        if later is None:
            name = key.encode().decode()
            return Start(obstacle=f"no state of {name} is retained from which to fold")
        notes.append(f"{key.asset} is vouched for from entry {later + 1} on")
    first = first_entry(source.log, source.partition, _is_from(after), DRIFT_LEDGER)
    if first is None or first.entry.sequence > after + 1:
        return Start(obstacle=f"drift ledger entry {after} is not retained")
    # Where the entry before is lost, the first one was written under the terms that it names.
    terms = _terms_at(source, first)
    return Start(after, terms, _load(source, chosen), unknown, tuple(notes))


def _terms_at(source: Source, placed: Placed) -> Terms:
    digest = placed.entry.definition
    where = (source.log, source.partition, digest, placed.offset + 1)
    terms = drained(retained_terms(*where, topic=DRIFT_LEDGER))
    if terms is None:
        terms = next((each for each in source.known if each.digest == digest), None)
    if terms is None:
        raise terms_missing(source.partition, digest, DRIFT_LEDGER)
    return terms


class _Candidates:
    """The states that were saved of each asset, whole and such as they are watched."""

    def __init__(
        self,
        claims: Sequence[Claim],
        changes: _Changes,
        oldest: int,
        plans: Mapping[str, Plan],
    ) -> None:
        self._changes = changes.by_key
        self._resume = -1 if changes.base is None else changes.base.entry.resume
        self._oldest = oldest
        found: dict[ModelKey, dict[int, dict[int, Claim]]] = {}
        for claim in claims:
            plan = plans.get(claim.key.stream)
            is_past = claim.sequence <= changes.gone.get(claim.key, -1)
            if plan is not None and plan.digest == claim.state_digest and not is_past:
                chunks = found.setdefault(claim.key, {}).setdefault(claim.sequence, {})
                chunks[claim.chunk] = claim
        self.states = {
            key: {
                sequence: [chunks[n] for n in sorted(chunks)]
                for sequence, chunks in by_sequence.items()
                if 0 in chunks and len(chunks) == chunks[0].chunks
            }
            for key, by_sequence in found.items()
        }

    @property
    def keys(self) -> list[ModelKey]:
        """All assets that changed, or were ever saved."""
        return sorted({*self.states, *self._changes})

    def newest(self, key: ModelKey, floor: int) -> tuple[int | None, int]:
        """Return the newest state before an entry, None for nothing, and up to where it holds."""
        fitting = self.states.get(key, {})
        newest = max((sequence for sequence in fitting if sequence < floor), default=None)
        since = -1 if newest is None else newest
        later = [sequence for sequence in self._changes.get(key, ()) if sequence > since]
        # Of an asset that was not saved again nothing changed between its state and `resume`.
        is_last = newest is not None and newest == max(fitting)
        is_known = since >= self._oldest - 1 or (is_last and self._resume >= self._oldest - 1)
        return newest, (later[0] - 1 if later else floor - 1) if is_known else -2

    def later(self, key: ModelKey, floor: int) -> int | None:
        """Return the oldest state from an entry on."""
        found = self.states.get(key, {})
        return min((sequence for sequence in found if sequence >= floor), default=None)


def _load(source: Source, chosen: Sequence[Claim]) -> dict[ModelKey, Restored]:
    """Read the chosen states."""
    assert source.signing is not None
    shelf = Shelf(source.signing)
    offsets = {claim.place.first for claim in chosen}
    if offsets:
        begin, end = source.log.span(DRIFT_SNAPSHOTS, source.partition)
        for messages in source.log.read(DRIFT_SNAPSHOTS, source.partition, begin, end):
            for message in messages:
                if message.offset in offsets:
                    shelf.add(message)
    return dict(shelf.newest)

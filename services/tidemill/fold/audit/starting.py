"""Where a replay begins: at genesis, or at verified states of the models."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from tidemill.contracts.stream import ASSET_TYPE
from tidemill.contracts.topics import LEDGER
from tidemill.fold.applying import Fold
from tidemill.fold.audit.beginnings import beginnings_after, differing, name_of, names_in
from tidemill.fold.audit.bounds import first_entry, first_with_inputs
from tidemill.fold.audit.chain import walk
from tidemill.fold.ledger_log import retained_terms, terms_missing
from tidemill.fold.shelf import Restored, Shelf
from tidemill.fold.terms import KIND as TERMS
from tidemill.fold.terms import Terms
from tidemill.models.state import ModelKey

if TYPE_CHECKING:
    from collections.abc import Collection, Generator, Iterable, Mapping
    from typing import TypeVar

    from tidemill.fold.audit.beginnings import Name, Names
    from tidemill.fold.audit.findings import Place
    from tidemill.fold.audit.saved import Claim
    from tidemill.fold.fleet import Fleet
    from tidemill.fold.ledger_log import Placed
    from tidemill.fold.past import Retired
    from tidemill.fold.snapshots import SigningKey
    from tidemill.kernel.processor import Log
    from tidemill.models.state import Blueprint

    T = TypeVar("T")
    # By model and entry, the chunks of a state.
    States = Mapping[ModelKey, Mapping[int, list[Claim]]]


@dataclass(frozen=True, slots=True)
class Start:
    """The state a replay begins with.

    Attributes:
        offset: Ledger offset of the first entry to fold.
        states: The models that do not start at nothing.
        places: Where those states stand.
        notes: What cannot be vouched for, from where on.
        obstacle: Why nothing can be folded; empty if it can.
    """

    offset: int
    states: Mapping[ModelKey, Restored] = field(default_factory=dict)
    places: Mapping[ModelKey, Place] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    obstacle: str = ""


@dataclass(frozen=True, slots=True)
class Source:
    """What a start is chosen from: the topics, verified states, terms at hand.

    `known` gains the terms that are met on the way.
    """

    log: Log
    partition: int
    signing: SigningKey | None
    claims: tuple[Claim, ...]
    known: dict[bytes, Terms]


def choose_start(source: Source, wanted: int) -> Start:
    """Return where to begin so that the entries from `wanted` on are folded.

    Without a signing key no state is trusted, so that only genesis will do.
    """
    oldest = first_entry(source.log, source.partition, lambda _: True)
    if oldest is None:
        return Start(0, obstacle="the ledger holds no entry that can be read")
    lost = first_with_inputs(source.log, source.partition, oldest)
    is_whole = oldest.entry.sequence == 0 and lost == 0
    if is_whole and (wanted <= 1 or source.signing is None):
        return Start(oldest.offset)
    if source.signing is None:
        obstacle = "genesis or its inputs are no longer retained, and states need the signing key"
        return Start(0, obstacle=obstacle)
    floor = max(wanted, lost, oldest.entry.sequence + 1)
    found = _Candidates(source, oldest, floor, max(lost, oldest.entry.sequence)).start()
    return Start(oldest.offset) if found.obstacle and is_whole else found


class _Candidates:
    """Chooses a state for every model that changed before the first entry wanted.

    Args:
        floor: The first entry wanted; the one before it is retained.
        lowest: The first entry that can be folded.
    """

    def __init__(self, source: Source, oldest: Placed, floor: int, lowest: int) -> None:
        self._source = source
        self._oldest = oldest.entry.sequence
        self._floor = floor
        self._lowest = lowest
        self._changes: dict[ModelKey, list[int]] = {}
        self._base: Placed | None = None
        self._names: Names | None = None
        self._begun: dict[Name, int] = {}
        self._retired: Mapping[tuple[str, str], Retired] = {}
        self._read_changes(oldest.offset)

    def _read_changes(self, start: int) -> None:
        """Note which entry changed which model, up to the first entry wanted."""
        end = self._source.log.span(LEDGER, self._source.partition)[1]
        for walked in walk(self._source.log, self._source.partition, start, end):
            if walked.placed is None:
                continue
            entry = walked.placed.entry
            if entry.sequence >= self._floor:
                return
            self._base = walked.placed
            for action in entry.actions:
                if action.kind == TERMS:
                    terms = Terms.of(action)
                    self._source.known[terms.digest] = terms
                    self._read_names(terms, entry.sequence)
                    if not entry.runs:
                        self._lowest = max(self._lowest, entry.sequence + 1)
            for model in entry.models:
                key = ModelKey(model.stream, model.asset, model.model)
                self._changes.setdefault(key, []).append(entry.sequence)

    def _read_names(self, terms: Terms, sequence: int) -> None:
        """Note which models begin anew with an entry: nothing from before it counts for them."""
        names = names_in(Fold(terms, self._source.partition))
        anew = differing(names if self._names is None else self._names, names)
        self._begun.update(dict.fromkeys(anew, sequence))
        self._names = names

    @cached_property
    def _ends(self) -> Mapping[Name, int]:
        """By model, the first entry wanted or later with which it begins anew."""
        base = self._base
        assert base is not None
        names = names_in(self._fold(base))
        return beginnings_after(base.offset, names, self._source.log, self._source.partition)

    def start(self) -> Start:
        if (base := self._base) is None:
            return Start(0, obstacle=f"no entry before {self._floor} can be read")
        fleet = self._fold(base).fleet
        after = base.entry.resume
        self._retired = fleet.past.assets
        chosen: dict[ModelKey, list[Claim]] = {}
        notes: list[str] = []
        states = self._states()
        caps = self._caps(fleet, states)
        types: dict[str, int] = {}
        for key in sorted({*states, *self._changes}):
            blueprint = fleet.blueprint(key)
            if blueprint is None:
                continue
            fitting = self._fitting(key, blueprint, states)
            if not fitting and self._begin_of(key) > self._changes.get(key, [-1])[-1]:
                continue
            usable, until = self._newest(key, fitting, caps.get(key.stream, self._floor - 1))
            if key.asset == ASSET_TYPE and usable is not None:
                types[key.stream] = max(types.get(key.stream, -1), usable)
            # A model must start behind the states of its type that it starts as.
            starts_too_early = usable is None and until < types.get(key.stream, -1)
            if until + 1 < self._lowest or (starts_too_early and key.asset != ASSET_TYPE):
                usable = None if key.stream in caps else self._later(key, fitting)
                if usable is None:
                    name = key.encode().decode()
                    return Start(0, obstacle=f"no state of {name} is retained from which to fold")
                notes.append(f"{key.asset} is vouched for from entry {usable + 1} on")
            else:
                after = min(after, until)
            if usable is not None:
                chosen[key] = states[key][usable]
        after = max(after, self._lowest - 1)
        first = first_entry(
            self._source.log, self._source.partition, lambda entry: entry.sequence > after
        )
        if first is None:
            return Start(0, obstacle=f"no entry after {after} is there")
        places = {key: chunks[0].place for key, chunks in chosen.items()}
        return Start(first.offset, self._load(chosen.values()), places, tuple(notes))

    def _fitting(self, key: ModelKey, blueprint: Blueprint, states: States) -> set[int]:
        """Return the entries with a state of a model that is one of now."""
        digest, begun = blueprint.digest, self._begin_of(key)
        found = states.get(key, {}).items()
        return {
            sequence
            for sequence, chunks in found
            if chunks[0].state_digest == digest and sequence >= begun
        }

    def _caps(self, fleet: Fleet, states: States) -> dict[str, int]:
        """Return the newest entries after which states of streams may be, where types have models.

        To go on from its states, a type needs each asset as it was then, or before.
        """
        types: dict[str, list[tuple[ModelKey, set[int]]]] = {}
        for key in {*states, *self._changes}:
            blueprint = fleet.blueprint(key)
            if key.asset == ASSET_TYPE and blueprint is not None:
                fitting = self._fitting(key, blueprint, states)
                types.setdefault(key.stream, []).append((key, fitting))
        caps = dict.fromkeys(types, self._floor - 1)
        for stream, models in types.items():
            while (until := min(self._newest(*m, caps[stream])[1] for m in models)) < caps[stream]:
                caps[stream] = until
        return caps

    def _newest(self, key: ModelKey, fitting: Collection[int], cap: int) -> tuple[int | None, int]:
        """Return the newest state up to an entry, and up to where it holds."""
        newest = max((sequence for sequence in fitting if sequence <= cap), default=None)
        begun = self._begin_of(key)
        since = begun - 1 if newest is None else newest
        later = [sequence for sequence in self._changes.get(key, ()) if sequence > since]
        until = later[0] - 1 if later else self._floor - 1
        return newest, until if self._is_known_since(since, max(fitting, default=-1)) else -1

    def _later(self, key: ModelKey, fitting: Collection[int]) -> int | None:
        """Return the oldest state from the first entry wanted on, before the model begins anew.

        Nor may its type have begun to learn before that: it would lack what the model taught it.
        """
        oldest = min((sequence for sequence in fitting if sequence >= self._floor), default=None)
        if oldest is None:
            return None
        names = (name_of(key), name_of(key._replace(asset=ASSET_TYPE)))
        return oldest if all(oldest < self._ends.get(name, oldest + 1) for name in names) else None

    def _begin_of(self, key: ModelKey) -> int:
        """Return the newest entry with which a model had to begin anew; 0 if it never had."""
        retired = self._retired.get((key.stream, key.asset))
        return max(self._begun.get(name_of(key), 0), retired.entry if retired else 0)

    def _is_known_since(self, since: int, last: int) -> bool:
        """Return whether every change after a state is known.

        Of a model that was not saved again, none lies between its last state and `resume`.
        """
        if since >= self._oldest - 1:
            return True
        assert self._base is not None
        return 0 <= since == last and self._base.entry.resume >= self._oldest - 1

    def _states(self) -> States:
        """Return the chunks of every complete state; where compaction took some, of its anchor."""
        found: dict[ModelKey, dict[int, dict[int, Claim]]] = {}
        for claim in self._source.claims:
            chunks = found.setdefault(claim.key, {}).setdefault(claim.sequence, {})
            chunks[claim.chunk] = claim
        return {
            key: {
                sequence: [chunks[n] for n in sorted(chunks)]
                for sequence, chunks in by_sequence.items()
                if 0 in chunks and len(chunks) == chunks[0].chunks
            }
            for key, by_sequence in found.items()
        }

    def _load(self, chosen: Iterable[list[Claim]]) -> dict[ModelKey, Restored]:
        """Read the chosen states, each topic once from front to back."""
        assert self._source.signing is not None
        shelf = Shelf(self._source.signing)
        wanted: dict[str, set[int]] = {}
        for claim in (claim for chunks in chosen for claim in chunks):
            wanted.setdefault(claim.place.topic, set()).add(claim.place.first or 0)
        for topic, offsets in wanted.items():
            where = (topic, self._source.partition, min(offsets), max(offsets) + 1)
            for messages in self._source.log.read(*where):
                for message in messages:
                    if message.offset in offsets:
                        shelf.add(message)
        return shelf.newest

    def _fold(self, base: Placed) -> Fold:
        source, digest = self._source, base.entry.definition
        where = (source.log, source.partition, digest, base.offset + 1)
        terms = drained(retained_terms(*where)) or source.known.get(digest)
        if terms is None:
            raise terms_missing(source.partition, digest)
        return Fold(terms, source.partition)


def drained(steps: Generator[object, None, T]) -> T:
    """Run a generator to its end without a pause; return what it returns."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            value: T = end.value
            return value

"""An operator's skip: what it passes over, what becomes of the models, and its ledger entry."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tidemill.contracts.topics import LEDGER
from tidemill.fold.applying import PROCESSOR
from tidemill.fold.arithmetic import arithmetic_digest, code_digest
from tidemill.fold.books import Books, Policy
from tidemill.fold.crossing import Anchored
from tidemill.fold.ledger import Action, Digest, Entry, InputDigest
from tidemill.fold.ledger_log import entries_after, last_entry
from tidemill.fold.recovery import agreed_positions, gather_states, states_missing
from tidemill.fold.replica import ROLLBACK, SKIP, Replica
from tidemill.fold.retirement import assets_retired
from tidemill.fold.standing import MODULUS, mark_of
from tidemill.kernel.errors import ConfigError
from tidemill.kernel.records import Emit
from tidemill.models.state import ModelKey, ModelState

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

    from tidemill.fold.applying import Fold
    from tidemill.fold.ledger import Changed, Run
    from tidemill.fold.ledger_log import Placed
    from tidemill.fold.shelf import Restored
    from tidemill.fold.snapshots import SigningKey
    from tidemill.fold.terms import Terms
    from tidemill.kernel.processor import Log

BEGINNING, END = "beginning", "end"


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a partition stands.

    Attributes:
        tail: The ledger's last entry.
        positions: Next offset to read, per input.
        spans: First retained and last stable offset, per input.
        gone: Runs that a rebuild would fold again although their records are no longer retained.
    """

    tail: Placed
    positions: Mapping[str, int]
    spans: Mapping[str, tuple[int, int]]
    gone: tuple[Run, ...]

    @property
    def begins(self) -> dict[str, int]:
        """First retained offset, per input."""
        return {topic: begin for topic, (begin, _) in self.spans.items()}


@dataclass(frozen=True, slots=True)
class Skip:
    """What an operator chose: read `topic` on from `to`."""

    topic: str
    start: int
    to: int
    actor: str

    def action(self) -> Action:
        """Return the ledger action."""
        detail = {
            "topic": self.topic,
            "from": str(self.start),
            "to": str(self.to),
            "actor": self.actor,
        }
        return Action(SKIP, detail)


@dataclass(frozen=True, slots=True)
class Fallen:
    """A model that goes back to a saved state; entry -1 is none, the model begins anew.

    Attributes:
        version: The last version the ledger names.
        saved: Version of the state that it goes back to.
        entry: The ledger entry after which that state was saved.
    """

    key: ModelKey
    version: int
    saved: int
    entry: int

    def action(self, actor: str) -> Action:
        """Return the ledger action."""
        detail = {
            "model": self.key.encode().decode(),
            "from": str(self.version),
            "to": str(self.saved),
            "entry": str(self.entry),
            "actor": actor,
        }
        return Action(ROLLBACK, detail)


def survey(
    log: Log, partition: int, committed: Mapping[str, int | None]
) -> Generator[None, None, Standing]:
    """Find out where a partition stands.

    Raises:
        ConfigError: The partition has no ledger, so there is nothing to skip.
        InvariantError: Ledger and offsets contradict one another.
        DependencyUnavailableError: The broker has not yet shown the end of what was committed.
    """
    tail = yield from last_entry(log, partition)
    if tail is None:
        msg = (
            f"{LEDGER}-{partition}: must have an entry, has none: the partition was never read. "
            "Start it with --from-end instead"
        )
        raise ConfigError([msg])
    positions = yield from agreed_positions(log, tail, committed)
    spans = {topic: log.span(topic, partition) for topic in positions}
    gone: list[Run] = []
    for placed in entries_after(log, partition, tail.entry.resume, tail):
        yield
        runs = placed.entry.runs if placed else ()
        gone += [run for run in runs if run.first < spans[run.topic][0]]
    return Standing(tail, positions, spans, tuple(gone))


def choose(standing: Standing, topic: str, to: str, actor: str) -> Skip:
    """Return the skip meant by an offset, `beginning` (first retained, not yet read) or `end`.

    Raises:
        ConfigError: Not a place ahead that is retained.
    """
    start = standing.positions[topic]
    begin, end = standing.spans[topic]
    low = max(start, begin)
    if to in {BEGINNING, END}:
        return Skip(topic, start, low if to == BEGINNING else max(low, end), actor)
    if not (to.isascii() and to.isdigit()) or not low <= int(to) <= max(low, end):
        msg = (
            f"--to: must be beginning, end or an offset from {low} to {max(low, end)}, was {to!r}: "
            f"{topic}-{standing.tail.entry.partition} was read up to {start}, retained are "
            f"{begin} to {end}; a skip never goes back, or records would be applied twice"
        )
        raise ConfigError([msg])
    return Skip(topic, start, int(to), actor)


def plain_skip(standing: Standing, skip: Skip) -> tuple[list[Emit], dict[str, int]]:
    """Return ledger entry and offsets of a skip that leaves every model as it is."""
    tail = standing.tail.entry
    positions = {**standing.positions, skip.topic: skip.to}
    sequence = tail.sequence + 1
    entry = Entry(
        processor=PROCESSOR,
        kind="ACTION",
        sequence=sequence,
        partition=tail.partition,
        actions=(skip.action(),),
        emitted=Digest().result(),
        code=code_digest(),
        arithmetic=arithmetic_digest(),
        previous=tail.hash,
        inputs=InputDigest().result(),
        positions=positions,
        definition=tail.definition,
        resume=sequence if tail.resume == tail.sequence else tail.resume,
        learned=tail.learned,
        fleet=tail.fleet,
    ).sealed()
    key = f"{PROCESSOR}|{tail.partition}".encode()
    return [Emit(LEDGER, tail.partition, key, entry.encode())], positions


@dataclass(frozen=True, slots=True)
class Remains:
    """What can be rebuilt of a partition of which inputs are gone.

    Attributes:
        fold: All models; those that fell stand where they go back to.
        fallen: Those that cannot be rebuilt.
    """

    fold: Fold
    fallen: tuple[Fallen, ...]


def rebuild_what_remains(
    log: Log, standing: Standing, signing: SigningKey
) -> Generator[None, None, Remains]:
    """Rebuild every model whose inputs are retained; let the others go back.

    A model is sound if version and lineage come out as the ledger says, whatever was left out:
    the lineage covers every record that changed it.

    Raises:
        InvariantError: Topics and ledger contradict one another.
        DependencyUnavailableError: The broker has not yet shown the end of what was committed.
    """
    tail = standing.tail
    partition = tail.entry.partition
    known: dict[bytes, Terms] = {}
    shelf, start = yield from gather_states(log, tail, signing=signing, known=known)
    replica = Replica(log, partition, known, swaps=Anchored(log, partition, signing))
    replica.start_from(shelf.newest)
    claims: dict[ModelKey, Changed] = {}
    for placed in entries_after(log, partition, start, tail):
        yield
        if placed is None:
            continue
        yield from replica.step(placed, standing.positions, standing.begins)
        gone = assets_retired(placed.entry)
        claims = {key: each for key, each in claims.items() if (key.stream, key.asset) not in gone}
        claims |= {ModelKey(m.stream, m.asset, m.model): m for m in placed.entry.models}
    fold = yield from replica.become(tail.entry.definition, tail.offset + 1, tail.entry.sequence)
    replica.check_states()
    fold.fleet.changed.clear()
    lost = {key: claim for key, claim in claims.items() if not _is_sound(fold, key, claim)}
    _check_others(fold, lost, tail.entry)
    return Remains(fold, tuple(_fall(fold, claim, shelf.newest, tail) for claim in lost.values()))


def _check_others(fold: Fold, lost: Mapping[ModelKey, Changed], entry: Entry) -> None:
    """Hold the models that do not fall against the ledger: a quiet one is in no entry folded."""
    count, total = fold.fleet.standing()
    for key, claim in lost.items():
        tracked = fold.fleet.get(key)
        found = 0 if tracked is None else tracked.mark
        count += found == 0
        total += mark_of(key, claim.version, claim.lineage, claim.seen) - found
    if (count, total % MODULUS) != (entry.learned, int.from_bytes(entry.fleet)):
        raise states_missing(entry, count)


def _is_sound(fold: Fold, key: ModelKey, claim: Changed) -> bool:
    """Return whether a model stands where the ledger says, or is one the terms dropped."""
    if fold.fleet.blueprint(key) is None:
        return True
    tracked = fold.fleet.get(key)
    found = (tracked.state.version, tracked.state.lineage) if tracked else (0, b"")
    return found == (claim.version, claim.lineage)


def _fall(fold: Fold, claim: Changed, saved: Mapping[ModelKey, Restored], tail: Placed) -> Fallen:
    """Let a model go back; its version does not, and its lineage says that it fell."""
    key = ModelKey(claim.stream, claim.asset, claim.model)
    blueprint = fold.fleet.blueprint(key)
    assert blueprint is not None
    restored = saved.get(key)
    state = restored.load() if restored else ModelState.fresh(key, blueprint)
    fallen = Fallen(key, claim.version, state.version, restored.sequence if restored else -1)
    detail = json.dumps(dict(fallen.action("").detail), sort_keys=True)
    state.version = claim.version
    state.advance(claim.lineage + detail.encode())
    state.structure += 1
    sequence = tail.entry.sequence + 1
    fold.fleet.restore(key, state, sequence)
    tracked = fold.fleet.get(key)
    assert tracked is not None
    fold.fleet.learned(tracked, sequence, fold.records)
    return fallen


def falling_skip(
    standing: Standing, skip: Skip, remains: Remains, signing: SigningKey
) -> tuple[list[Emit], dict[str, int]]:
    """Return ledger entry, snapshots, anchors and offsets of a skip with which models fall.

    Every model that is not saved is saved with it, so that no rebuild needs what is gone.
    """
    positions = {**standing.positions, skip.topic: skip.to}
    policy = Policy(snapshot_every=0, anchor_every=0)
    books = Books(remains.fold, standing.tail.entry, signing=signing, policy=policy)
    actions: Sequence[Action] = [
        skip.action(),
        *(fallen.action(skip.actor) for fallen in remains.fallen),
    ]
    return books.seal(positions, kind="ACTION", actions=actions), positions

"""Recovery: from topics and committed offsets to models that stand exactly there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tidemill.contracts.stream import ASSET_TYPE
from tidemill.contracts.topics import ANCHORS, SNAPSHOTS
from tidemill.fold.applying import Fold
from tidemill.fold.crossing import Anchored
from tidemill.fold.idle import IdleModels
from tidemill.fold.ledger_log import entries_after, last_entry, retained_terms, terms_missing
from tidemill.fold.replica import INPUTS_DIFFER, Replica
from tidemill.fold.shelf import Shelf
from tidemill.kernel.errors import DependencyUnavailableError, InvariantError

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, MutableMapping, Sequence

    from tidemill.fold.ledger import Entry, Run
    from tidemill.fold.ledger_log import Placed
    from tidemill.fold.replica import Step
    from tidemill.fold.snapshots import SigningKey
    from tidemill.fold.terms import Terms
    from tidemill.kernel.processor import Log
    from tidemill.kernel.reports import Refused


@dataclass(frozen=True, slots=True)
class Recovered:
    """The models of one partition, and what was found on the way.

    Attributes:
        positions: Next offset to read, per input topic.
        refused: Every snapshot record that was not accepted.
        refolded: Records that were folded again.
    """

    fold: Fold
    tail: Entry
    positions: Mapping[str, int]
    refused: tuple[Refused, ...]
    refolded: int


def recover(
    log: Log,
    partition: int,
    committed: Mapping[str, int | None],
    *,
    signing: SigningKey,
    terms: Terms | None = None,
    idle: IdleModels | None = None,
) -> Generator[None, None, Recovered | None]:
    """Rebuild a partition; None if its ledger has no entry yet.

    Args:
        log: The topics.
        partition: The partition number, the same in every topic.
        committed: Next offset of the group, per input.
        signing: Verifies snapshots.
        terms: Those at hand; others are looked up in the ledger.
        idle: Where models go that are not needed for now.

    Raises:
        InvariantError: Ledger, offsets and inputs contradict one another.
        DependencyUnavailableError: The broker has not yet shown all of what was committed.
    """
    tail = yield from last_entry(log, partition)
    if tail is None:
        _check_untouched(partition, committed)
        return None
    positions = yield from agreed_positions(log, tail, committed)
    known = {} if terms is None else {terms.digest: terms}
    idle = IdleModels() if idle is None else idle
    shelf, start = yield from gather_states(
        log, tail, signing=signing, known=known, states=idle.store
    )
    for stream in _spoiled(shelf, known[tail.entry.definition]):
        start = 0
        shelf.forget_stream(stream)
    begins = {topic: log.span(topic, partition)[0] for topic in positions}
    replica = Replica(log, partition, known, idle, swaps=Anchored(log, partition, signing))
    replica.start_from(shelf.newest)
    refolded = 0
    gone: tuple[Run, ...] = ()
    entries = entries_after(log, partition, start, tail)
    for placed in entries:
        yield
        if placed is None:
            continue
        step = yield from replica.step(placed, positions, begins)
        refolded += len(step.inputs)
        gone = gone or step.gone
        if INPUTS_DIFFER in step.differences:
            raise _contradiction(partition, step, gone)
    fold = yield from replica.become(tail.entry.definition, tail.offset + 1, tail.entry.sequence)
    replica.check_states()
    for step in replica.doubts.values():
        raise _contradiction(partition, step, gone)
    check_standing(fold, tail.entry)
    shelf.clear()
    fold.fleet.changed.clear()
    fold.is_replica = False
    return Recovered(fold, tail.entry, positions, tuple(shelf.refused), refolded)


def check_standing(fold: Fold, entry: Entry, topic: str = SNAPSHOTS) -> None:
    """Hold all models against the ledger: one that is quiet is in no entry that was folded.

    Args:
        topic: Where their states come from.
    """
    standing = fold.fleet.standing()
    if (standing.models, standing.digest) != (entry.learned, entry.fleet):
        raise states_missing(entry, standing.models, topic)


def states_missing(entry: Entry, found: int, topic: str = SNAPSHOTS) -> DependencyUnavailableError:
    """Return the error for models that are not all there, or not as the ledger says."""
    msg = (
        f"snapshots of all {entry.learned} models of partition {entry.partition} as ledger "
        f"entry {entry.sequence} says; found {found}, or older ones; restore the "
        f"records of {topic};"
    )
    return DependencyUnavailableError(msg, retry_after_s=1.0)


def gather_states(
    log: Log,
    tail: Placed,
    *,
    signing: SigningKey,
    known: dict[bytes, Terms],
    states: MutableMapping[bytes, bytes] | None = None,
) -> Generator[None, None, tuple[Shelf, int]]:
    """Return the newest verified state of each model, and the entry after which to fold on.

    `known` gains the terms in force, as the ledger has them; where it has them no more, those at
    hand must do, whose past is unknown. `states` takes the states' bytes.

    Raises:
        DependencyUnavailableError: The broker has not yet shown a snapshot that was committed, or
            the entry that belongs to one.
    """
    partition, digest = tail.entry.partition, tail.entry.definition
    found = yield from retained_terms(log, partition, digest, tail.offset + 1)
    if found is not None:
        known[digest] = found
    elif digest not in known:
        raise terms_missing(partition, digest)
    shelf = Shelf(signing, plant=known[digest].definition.plant, states=states)
    yield from fill(shelf, log, SNAPSHOTS, partition)
    _check_none_is_newer(shelf, tail.entry)
    fleet = Fold(known[digest], partition).fleet
    shelf.suspects = {key for key in shelf.suspects if fleet.blueprint(key) is not None}
    missing = _announced_but_missing(shelf, tail.entry)
    if missing:
        raise DependencyUnavailableError(f"snapshot of {missing}", retry_after_s=0.1)
    start = tail.entry.resume
    if shelf.suspects:
        anchors = Shelf(signing, plant=known[digest].definition.plant)
        yield from fill(anchors, log, ANCHORS, partition)
        start = _start_for_suspects(shelf, anchors, start)
    return shelf, start


def _spoiled(shelf: Shelf, terms: Terms) -> set[str]:
    """Return streams to fold from their beginning, as what their asset type learned was refused.

    Older models of the type would need every asset as it was then, and a model without any state
    needs those of its type as they were when it started.
    """
    return {
        key.stream
        for key in shelf.suspects
        if terms.has(key.stream, ASSET_TYPE, key.model)
        and (key.asset == ASSET_TYPE or key not in shelf.newest)
    }


def _check_none_is_newer(shelf: Shelf, entry: Entry) -> None:
    """Refuse states from after the ledger's end: records would be taken for applied."""
    for key, saved in shelf.newest.items():
        if saved.sequence > entry.sequence:
            msg = (
                f"ledger entry {saved.sequence} of partition {entry.partition}, which the snapshot "
                f"of {key.encode().decode()} follows and which must be there: the newest is "
                f"{entry.sequence}; restore the ledger topic;"
            )
            raise DependencyUnavailableError(msg, retry_after_s=1.0)


def _contradiction(partition: int, step: Step, gone: Sequence[Run]) -> InvariantError:
    """Return the error for a re-fold that does not lead to what the ledger says."""
    where = f"ledger entry {step.placed.entry.sequence} of partition {partition}"
    found = "; ".join(step.differences)
    if not gone:
        return InvariantError(f"{where}: the re-fold must lead to what the ledger says; {found}")
    topic, first, last = gone[0].topic, gone[0].first, gone[0].last
    others = len(step.differences) - 1
    found = step.differences[0] + (f", and {others} more" if others else "")
    return InvariantError(
        f"{where}: models must be rebuilt from {topic}-{partition}, from {first} on, and records "
        f"{first} to {last} are no longer retained: {found}. Choose: restore the records; or let "
        "these models go back to their newest snapshots with "
        f"`tidemill skip {topic} --partition {partition} --to beginning --fall-back --actor NAME "
        "--execute`, which the ledger records"
    )


def _check_untouched(partition: int, committed: Mapping[str, int | None]) -> None:
    found = {topic: offset for topic, offset in committed.items() if offset is not None}
    if any(found.values()):
        msg = (
            f"ledger of partition {partition}: without it no offset may be committed, found "
            f"{found}; restore the ledger topic, or start the plant under a new name;"
        )
        raise DependencyUnavailableError(msg, retry_after_s=0.1)


def agreed_positions(
    log: Log, tail: Placed, committed: Mapping[str, int | None]
) -> Generator[None, None, dict[str, int]]:
    """Return where to read on, having held the group's offsets against the ledger's tail.

    Raises:
        DependencyUnavailableError: The offsets lie before the ledger's: a coordinator that has not
            read all of its groups yet says so, or someone reset them. Or the broker has not yet
            shown the entry of what was committed.
    """
    entry = tail.entry
    positions = dict(entry.positions or {})
    for topic, offset in committed.items():
        recorded = positions.get(topic)
        if recorded is None or offset is None or offset == recorded:
            positions.setdefault(topic, offset or 0)
            continue
        where = f"{topic}-{entry.partition}"
        if offset < recorded:
            msg = (
                f"{where}: the committed offset must not lie before the ledger's {recorded}, "
                f"was {offset}; if someone reset the group's offsets, set them back"
            )
            raise DependencyUnavailableError(msg, retry_after_s=0.1)
        begin, _ = log.span(topic, entry.partition)
        for messages in log.read(topic, entry.partition, max(begin, recorded), offset):
            yield
            if messages:
                raise DependencyUnavailableError(
                    f"ledger entry for {where} from {recorded} to {offset}", retry_after_s=0.1
                )
        positions[topic] = offset
    return positions


def fill(shelf: Shelf, log: Log, topic: str, partition: int) -> Generator[None, None, None]:
    """Put all records of a topic on a shelf."""
    begin, end = log.span(topic, partition)
    for messages in log.read(topic, partition, begin, end):
        for message in messages:
            shelf.add(message)
        yield


def _announced_but_missing(shelf: Shelf, entry: Entry) -> str:
    """Return a model whose snapshot the last entry announces and the topic does not show yet."""
    at_hand = {key.encode().decode(): saved.sequence for key, saved in shelf.newest.items()}
    suspects = {key.encode().decode() for key in shelf.suspects}
    for name in entry.snapshots:
        if name not in suspects and at_hand.get(name, -1) < entry.sequence:
            return name
    return ""


def _start_for_suspects(shelf: Shelf, anchors: Shelf, start: int) -> int:
    """Find older states for models whose newest snapshot was refused; return where to start."""
    for key in shelf.suspects:
        known, anchor = shelf.newest.get(key), anchors.newest.get(key)
        if anchor is not None and (known is None or known.sequence < anchor.sequence):
            known = shelf.newest[key] = anchor
        start = min(start, known.sequence if known is not None else 0)
    return start

"""From topics and the committed offset to a mirror that stands exactly there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tidemill.contracts.topics import EXPLAINER_SNAPSHOTS, EXPLANATIONS, LEDGER
from tidemill.fold.applying import Fold
from tidemill.fold.audit.bounds import first_entry
from tidemill.fold.audit.saved import SavedStates
from tidemill.fold.audit.starting import Source, Start, choose_start
from tidemill.fold.ledger_log import (
    entries_after,
    entry_before,
    last_entry,
    read_entry,
    retained_terms,
)
from tidemill.fold.recovery import check_standing, fill
from tidemill.fold.shelf import Shelf
from tidemill.fold.views import VIEW
from tidemill.kernel.errors import DependencyUnavailableError, InvariantError
from tidemill.processors.explainer.place import KEY as PLACE
from tidemill.processors.explainer.place import Place

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, MutableMapping, Sequence

    from tidemill.fold.ledger_log import Placed
    from tidemill.fold.shelf import Restored as Shelved
    from tidemill.fold.snapshots import SigningKey
    from tidemill.fold.terms import Terms
    from tidemill.kernel.processor import Log
    from tidemill.kernel.records import Emit
    from tidemill.kernel.reports import Refused
    from tidemill.models.state import ModelKey
    from tidemill.processors.explainer.mirror import Mirror

ANY_SEQUENCE = 1 << 62


@dataclass(frozen=True, slots=True)
class Restored:
    """A mirror, and what was found on the way.

    Attributes:
        offset: Of the next ledger record.
        refused: Every saved record that was not accepted.
        refolded: Records that were folded again.
        first_emits: What must be committed before the first record.
    """

    mirror: Mirror
    offset: int
    refused: tuple[Refused, ...]
    refolded: int
    first_emits: Sequence[Emit] = ()


def restore(
    mirror: Mirror,
    committed: int | None,
    *,
    terms: Terms,
    signing: SigningKey,
    from_end: bool,
    states: MutableMapping[bytes, bytes],
) -> Generator[None, None, Restored]:
    """Rebuild a partition from the explainer's own states; from the learner's if it has none.

    Args:
        mirror: New; it becomes what stood at the offset.
        committed: Next offset of the group in the ledger.
        states: Takes the bytes of states until they are loaded.

    Raises:
        InvariantError: Ledger, offset and states contradict one another.
        DependencyUnavailableError: The broker has not yet shown all of what was committed.
    """
    log, partition = mirror.log, mirror.partition
    shelf = Shelf(signing, plant=terms.definition.plant, states=states)
    yield from fill(shelf, log, EXPLAINER_SNAPSHOTS, partition)
    refused = tuple(shelf.refused)
    kept = None if PLACE in shelf.suspects else shelf.newest.get(PLACE)
    place = None if kept is None else Place.decode(kept.state)
    if place is not None:
        committed = place.offset if committed is None else committed
        if _has_lost_inputs(log, partition, place):
            if not from_end:
                raise _too_late(partition, place.resume)
            place, committed = None, None
    suspects = yield from _missed(shelf, log, partition, terms)
    if place is None or suspects:
        if committed is None and not from_end:
            _check_unexplained(log, partition)
        saved = SavedStates(log, partition, signing, until=ANY_SEQUENCE)
        source = Source(log, partition, signing, saved.claims, {terms.digest: terms})
        offset, refolded = yield from _begin(
            mirror, source, committed, from_end=from_end, leftover=shelf.newest
        )
        shelf.clear()
        return Restored(mirror, offset, refused, refolded, mirror.first_save())
    yield from _check_offset(log, partition, place, committed)
    tail = yield from entry_before(log, partition, place.offset)
    if tail is None or tail.entry.hash.hex() != place.hash:
        raise _other_ledger(partition, place)
    mirror.start_from(shelf.newest, tail, shelf.suspects)
    refolded = yield from _fold_again(mirror, log, place.resume, tail)
    fold = yield from mirror.replica.become(
        tail.entry.definition, tail.offset + 1, tail.entry.sequence
    )
    mirror.replica.check_states()
    if all(state.sequence <= place.sequence for state in shelf.newest.values()):
        check_standing(fold, tail.entry, EXPLAINER_SNAPSHOTS)
    shelf.clear()
    fold.fleet.changed.clear()
    mirror.replica.forget_states(place.sequence)
    return Restored(mirror, place.offset, refused, refolded)


def _missed(
    shelf: Shelf, log: Log, partition: int, terms: Terms
) -> Generator[None, None, set[ModelKey]]:
    """Return the models in force whose newest state was refused; a view can begin anew."""
    suspects = {key for key in shelf.suspects if key != PLACE and key.model != VIEW}
    if not suspects:
        return suspects
    tail = yield from last_entry(log, partition)
    if tail is None:
        return suspects
    digest = tail.entry.definition
    found = yield from retained_terms(log, partition, digest, tail.offset + 1)
    fleet = Fold(found or terms, partition).fleet
    return {key for key in suspects if fleet.blueprint(key) is not None}


def _check_unexplained(log: Log, partition: int) -> None:
    """Hold that an explainer that knows no place has not explained anything before.

    Raises:
        InvariantError: It has: explanations would be written twice.
    """
    begin, end = log.span(EXPLANATIONS, partition)
    for messages in log.read(EXPLANATIONS, partition, begin, end):
        if messages:
            msg = (
                f"{EXPLANATIONS}-{partition}: there are explanations, but neither a place in "
                f"{EXPLAINER_SNAPSHOTS} nor an offset of the group says up to where; restore one "
                "of them, or leave a gap and go on with --from-end"
            )
            raise InvariantError(msg)


def _fold_again(mirror: Mirror, log: Log, after: int, tail: Placed) -> Generator[None, None, int]:
    refolded = 0
    for placed in entries_after(log, tail.entry.partition, after, tail):
        yield
        if placed is not None:
            step = yield from mirror.fold_again(placed)
            refolded += len(step.inputs)
    return refolded


def _has_lost_inputs(log: Log, partition: int, place: Place) -> bool:
    """Return whether records are no longer retained that a mirror from its place would need."""
    known = first_entry(log, partition, lambda entry: entry.sequence >= place.resume)
    if known is None or known.entry.sequence > place.resume:
        return True
    reached = (known.entry.positions or {}).items()
    return any(log.span(topic, partition)[0] > offset for topic, offset in reached)


def _begin(
    mirror: Mirror,
    source: Source,
    committed: int | None,
    *,
    from_end: bool,
    leftover: Mapping[ModelKey, Shelved],
) -> Generator[None, None, tuple[int, int]]:
    """Bring a mirror to where explanations begin, by states of the learner's.

    Args:
        committed: From where on in the ledger; None where the operator chooses.

    Returns:
        The offset of the first ledger entry that can be explained, and the records folded again.

    Raises:
        InvariantError: There are no states from which to begin, or only later than they must.
    """
    log, partition = source.log, source.partition
    begin, end = log.span(LEDGER, partition)
    offset = committed if committed is not None else end if from_end else begin
    if first_entry(log, partition, lambda _: True) is None:
        return offset, 0
    start = yield from _start(source, offset)
    is_short = bool(start.obstacle)
    if committed is not None and not is_short:
        is_short = yield from _was_applied(log, partition, offset, start.offset)
    if is_short and from_end and offset != end:
        offset = end
        start = yield from _start(source, end)
    elif is_short and not start.obstacle:
        raise _too_late(partition, None)
    if start.obstacle:
        msg = (
            f"{LEDGER}-{partition}: explanations from offset {offset} on need states from which to "
            f"fold: {start.obstacle}; begin at the end with --from-end"
        )
        raise InvariantError(msg)
    offset = max(offset, start.offset)
    mirror.take_over(start.states, leftover)
    before = yield from entry_before(log, partition, offset)
    refolded = 0
    for messages in log.read(LEDGER, partition, start.offset, offset):
        yield
        for message in messages:
            placed = read_entry(message)
            step = yield from mirror.fold_again(placed)
            refolded += len(step.inputs)
    if before is not None:
        entry = before.entry
        yield from mirror.replica.become(entry.definition, before.offset + 1, entry.sequence)
        mirror.last = before
    return offset, refolded


def _was_applied(log: Log, partition: int, start: int, stop: int) -> Generator[None, None, bool]:
    """Return whether ledger entries in a span applied anything, or may have.

    An offset that was committed before the first entry lies before markers, and whatever a
    transaction that was aborted left: nothing of it is to be explained.
    """
    if start < stop and start < log.span(LEDGER, partition)[0]:
        return True
    for messages in log.read(LEDGER, partition, start, stop):
        yield
        if any(read_entry(message).entry.runs for message in messages):
            return True
    return False


def _start(source: Source, offset: int) -> Generator[None, None, Start]:
    """Return from where to fold to explain from a ledger offset on.

    The entry before is folded too: from states alone nothing could be held against the ledger.
    """
    tail = yield from entry_before(source.log, source.partition, offset)
    return choose_start(source, 1 if tail is None else max(1, tail.entry.sequence))


def _check_offset(
    log: Log, partition: int, place: Place, committed: int | None
) -> Generator[None, None, None]:
    """Hold the group's offset against the place that was saved with it.

    Raises:
        DependencyUnavailableError: The offset lies before it: a coordinator that has not read all
            of its groups yet says so, or someone reset it. Or the broker has not yet shown the
            place of what was committed.
    """
    if committed is None or committed == place.offset:
        return
    where = f"{LEDGER}-{partition}"
    if committed < place.offset:
        msg = (
            f"{where}: the committed offset must not lie before what was explained, up to "
            f"{place.offset}, was {committed}; if someone reset the group's offsets, set them back"
        )
        raise DependencyUnavailableError(msg, retry_after_s=0.1)
    for messages in log.read(LEDGER, partition, place.offset, committed):
        yield
        if messages:
            msg = f"{EXPLAINER_SNAPSHOTS}-{partition}: the place of {where} at {committed}"
            raise DependencyUnavailableError(msg, retry_after_s=0.1)


def _too_late(partition: int, resume: int | None) -> InvariantError:
    since = "since then" if resume is None else f"after entry {resume}"
    return InvariantError(
        f"{LEDGER}-{partition}: what was applied {since} must be retained to be "
        "explained, it is not any more. Choose: restore the records; or start once with --from-end "
        "to leave the gap unexplained and go on from the models as they are now"
    )


def _other_ledger(partition: int, place: Place) -> InvariantError:
    return InvariantError(
        f"{LEDGER}-{partition}: the entry before offset {place.offset} must be {place.sequence} "
        f"with hash {place.hash[:16]}, it is another or gone; restore the ledger topic, or begin "
        f"anew: delete the records of {EXPLAINER_SNAPSHOTS} and the offsets of the group"
    )

"""Recovery: from topics and committed offsets to what is watched, standing exactly there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tidemill.contracts.topics import DRIFT_LEDGER, DRIFT_SNAPSHOTS
from tidemill.fold.cursors import Cursor
from tidemill.fold.ledger import InputDigest
from tidemill.fold.ledger_log import entries_after, last_entry, retained_terms, terms_missing
from tidemill.fold.recovery import agreed_positions, fill
from tidemill.fold.shelf import Shelf
from tidemill.fold.terms import KIND as TERMS
from tidemill.fold.terms import Terms
from tidemill.kernel.errors import DependencyUnavailableError, InvariantError, RetentionError
from tidemill.processors.drift.saving import restored
from tidemill.processors.drift.watching import Watching, retired

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from tidemill.fold.ledger import Entry
    from tidemill.fold.ledger_log import Placed
    from tidemill.fold.snapshots import SigningKey
    from tidemill.kernel.processor import Log
    from tidemill.kernel.reports import Refused
    from tidemill.models.state import ModelKey

RETRY_AFTER_S = 0.5


@dataclass(frozen=True, slots=True)
class Recovered:
    """What is watched in one partition, and what was found on the way.

    Attributes:
        positions: Next offset to read, per input topic.
        chunks: Records that the newest snapshot of each asset takes.
        refused: Every snapshot record that was not accepted.
        refolded: Records that were folded again.
    """

    watching: Watching
    tail: Entry
    positions: Mapping[str, int]
    chunks: Mapping[ModelKey, int]
    refused: tuple[Refused, ...]
    refolded: int


def recover(
    log: Log,
    partition: int,
    committed: Mapping[str, int | None],
    *,
    terms: Terms,
    signing: SigningKey,
    reference: int,
) -> Generator[None, None, Recovered | None]:
    """Rebuild a partition; None if its ledger has no entry yet.

    Raises:
        InvariantError: Ledger, offsets and inputs contradict one another.
        DependencyUnavailableError: The broker has not yet shown all of what was committed.
    """
    tail = yield from last_entry(log, partition, DRIFT_LEDGER)
    if tail is None:
        if any(committed.values()):
            msg = f"{DRIFT_LEDGER}-{partition}: without it no offset may be committed; restore it;"
            raise DependencyUnavailableError(msg, retry_after_s=RETRY_AFTER_S)
        return None
    positions = yield from agreed_positions(log, tail, committed)
    in_force = yield from _terms_in_force(log, tail, terms)
    shelf = Shelf(signing, plant=in_force.definition.plant)
    yield from fill(shelf, log, DRIFT_SNAPSHOTS, partition)
    folding = _Folding(log, partition, tail, positions)
    watching = Watching(in_force, partition, reference)
    yield from folding.run(watching, _put(shelf, watching, tail.entry))
    if not is_whole(watching, tail.entry):
        # States are missing; where ledger and inputs are retained whole, nothing is lost by that.
        watching = Watching(in_force, partition, reference)
        try:
            yield from folding.run(watching, -1)
        except RetentionError as error:
            raise states_missing(watching, tail.entry) from error
        if not is_whole(watching, tail.entry):
            raise states_missing(watching, tail.entry)
    watching.since.clear()
    chunks = {key: each.chunks for key, each in shelf.newest.items()}
    refused = tuple(shelf.refused)
    return Recovered(watching, tail.entry, positions, chunks, refused, folding.refolded)


class _Folding:
    """Folds entries of one partition again, up to its tail."""

    def __init__(
        self, log: Log, partition: int, tail: Placed, positions: Mapping[str, int]
    ) -> None:
        self.refolded = 0
        self._log = log
        self._partition = partition
        self._tail = tail
        self._positions = positions

    def run(self, watching: Watching, after: int) -> Generator[None, None, None]:
        """Fold what comes after an entry."""
        log, partition = self._log, self._partition
        ends = self._positions.items()
        cursors = {topic: Cursor(log, topic, partition, end) for topic, end in ends}
        for placed in entries_after(log, partition, after, self._tail, topic=DRIFT_LEDGER):
            yield
            if placed is not None:
                self.refolded += yield from fold_again(watching, placed.entry, cursors)


def _terms_in_force(log: Log, tail: Placed, terms: Terms) -> Generator[None, None, Terms]:
    partition, digest = tail.entry.partition, tail.entry.definition
    if digest == terms.digest:
        return terms
    found = yield from retained_terms(log, partition, digest, tail.offset + 1, topic=DRIFT_LEDGER)
    if found is None:
        raise terms_missing(partition, digest, DRIFT_LEDGER)
    return found


def _put(shelf: Shelf, watching: Watching, entry: Entry) -> int:
    """Put all saved states in; return the entry after which to fold on.

    Where a state was refused, or is of another release's form, all is folded from the beginning:
    nothing older is kept.
    """
    if shelf.suspects or _is_of_another_form(shelf, watching):
        return -1
    for key, each in shelf.newest.items():
        if each.sequence > entry.sequence:
            msg = (
                f"drift ledger entry {each.sequence} of partition {entry.partition}, which the "
                f"state of {key.encode().decode()} follows; restore the ledger topic;"
            )
            raise DependencyUnavailableError(msg, retry_after_s=RETRY_AFTER_S)
        plan = watching.plans.get(key.stream)
        if plan is not None:
            found = restored(plan, key.asset, watching.partition, each.state)
            watching.put(key, found, each.sequence)
    watching.settle()
    return entry.resume


def _is_of_another_form(shelf: Shelf, watching: Watching) -> bool:
    """Return whether a state does not fit the terms that it was saved under, as read here."""
    fitting = {name: plan.digest for name, plan in watching.plans.items()}
    return any(
        fitting.get(key.stream, each.state_digest) != each.state_digest
        for key, each in shelf.newest.items()
    )


def fold_again(
    watching: Watching, entry: Entry, cursors: Mapping[str, Cursor]
) -> Generator[None, None, int]:
    """Apply again what an entry names, under its terms; return how many records that were.

    Raises:
        InvariantError: The inputs are not those that the entry names.
    """
    for action in entry.actions:
        if action.kind == TERMS and action.detail["digest"] != watching.terms.digest.hex():
            watching.adopt(Terms.of(action), entry.sequence)
    for key in retired(entry):
        watching.retire(key, entry.sequence)
    inputs, count = InputDigest(), 0
    for run in entry.runs:
        messages = yield from cursors[run.topic].take(run.first, run.last)
        watching.apply(messages, entry.sequence)
        inputs.add(messages)
        count += len(messages)
    if inputs.result() != entry.inputs:
        msg = (
            f"drift ledger entry {entry.sequence} of partition {entry.partition}: the records "
            "it names must be those it was made of; they were altered: restore them"
        )
        raise InvariantError(msg)
    watching.settle()
    return count


def is_whole(watching: Watching, entry: Entry) -> bool:
    """Hold what is watched against the ledger: a quiet asset is in no entry that was folded."""
    standing = watching.standing
    return (standing.models, standing.digest) == (entry.learned, entry.fleet)


def states_missing(watching: Watching, entry: Entry) -> DependencyUnavailableError:
    """Return the error for states that are not all there, or not as the ledger says."""
    msg = (
        f"states of all {entry.learned} assets of partition {entry.partition} as drift ledger "
        f"entry {entry.sequence} says, or all that it was made of; found "
        f"{watching.standing.models}, or older ones; restore the records of {DRIFT_SNAPSHOTS};"
    )
    return DependencyUnavailableError(msg, retry_after_s=1.0)

"""Opens the partitions of the learner: rebuilt, founded, or under changed terms."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidemill.contracts.topics import (
    ANCHORS,
    EVENTS,
    LEDGER,
    OUTCOMES,
    PREDICTIONS,
    RECEIPTS,
    SNAPSHOTS,
    UPDATES,
)
from tidemill.fold.applying import INPUTS, PROCESSOR, Fold
from tidemill.fold.books import Books
from tidemill.fold.giving_up import give_up
from tidemill.fold.idle import IdleModels
from tidemill.fold.recovery import recover
from tidemill.fold.shelf import Shelf
from tidemill.fold.snapshots import tombstones
from tidemill.kernel.deadletters import SUFFIX
from tidemill.kernel.errors import InvariantError, SnapshotRefusal
from tidemill.kernel.processor import Opened
from tidemill.processors.learner.correcting import Allowance, Correcting
from tidemill.processors.learner.task import Learner

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

    from tidemill.fold.books import Policy
    from tidemill.fold.snapshots import SigningKey
    from tidemill.fold.terms import Terms
    from tidemill.kernel.processor import Log
    from tidemill.kernel.records import Emit


__all__ = ["Learner", "LearnerFactory"]


def all_live(_partition: int) -> IdleModels:
    """Let every model stay in memory once it was needed."""
    return IdleModels()


def no_clock() -> float:
    """Return no time at all: corrections take as long as they do."""
    return 0.0


ALLOWANCE = Allowance()


class LearnerFactory:
    """Opens the learner's partitions.

    Args:
        terms: Definition and schemas to work under from now on.
        signing: Signs and verifies snapshots.
        policy: How often state is saved.
        from_end: Whether a partition without any history starts at its end.
        redefines: Whether these terms may come back where others have replaced them.
        idle: Returns where the models of a partition go that are not needed for now; empty.
        clock: Monotonic seconds: how long corrections take.
        allowance: What one correction may cost.
    """

    name = PROCESSOR
    inputs: tuple[str, ...] = INPUTS
    outputs: tuple[str, ...] = (
        PREDICTIONS,
        OUTCOMES,
        RECEIPTS,
        LEDGER,
        SNAPSHOTS,
        ANCHORS,
        EVENTS + SUFFIX,
        UPDATES + SUFFIX,
    )

    def __init__(
        self,
        terms: Terms,
        signing: SigningKey,
        policy: Policy,
        *,
        from_end: bool = False,
        redefines: bool = False,
        idle: Callable[[int], IdleModels] = all_live,
        clock: Callable[[], float] = no_clock,
        allowance: Allowance = ALLOWANCE,
    ) -> None:
        self._terms = terms
        self._signing = signing
        self._policy = policy
        self._end = 1 if from_end else 0
        self._redefines = redefines
        self._idle = idle
        self._clock = clock
        self._allowance = allowance

    def open(
        self, partition: int, committed: Mapping[str, int | None], log: Log
    ) -> Generator[None, None, Opened]:
        """Rebuild one partition; see `tidemill.kernel.processor.TaskFactory`."""
        idle = self._idle(partition)
        recovered = yield from recover(
            log, partition, committed, terms=self._terms, signing=self._signing, idle=idle
        )
        if recovered is None:
            return self._found(partition, committed, log, idle)
        learner = self._learner(recovered.fold, log)
        learner.books.tail = recovered.tail
        mark = learner.mark
        learner.refused, learner.refolded = recovered.refused, recovered.refolded
        emits: list[Emit] = []
        if not recovered.fold.terms.reads_all_of(self._terms):
            emits = self._change_terms(learner, recovered.positions)
        learner.at_budget = recovered.fold.fleet.frozen - len(learner.books.oversized)
        return Opened(learner, recovered.positions, emits, mark)

    def write_smaller(self) -> None:
        """Halve the chunks of snapshots; a large model never stops the data."""
        self._policy = self._policy.smaller()

    def _learner(self, fold: Fold, log: Log) -> Learner:
        books = Books(fold, None, signing=self._signing, policy=self._policy)
        correcting = Correcting(
            fold,
            books,
            log=log,
            signing=self._signing,
            clock=self._clock,
            allowance=self._allowance,
        )
        return Learner(fold, books, correcting)

    def _found(
        self, partition: int, committed: Mapping[str, int | None], log: Log, idle: IdleModels
    ) -> Opened:
        """Start a partition that has no history: its genesis names terms and first offsets.

        Raises:
            InvariantError: There are states without a ledger.
        """
        shelf = Shelf(self._signing)
        begin, end = log.span(SNAPSHOTS, partition)
        for messages in log.read(SNAPSHOTS, partition, begin, end):
            for message in messages:
                shelf.add(message)
        refused = [r for r in shelf.refused if r[2] is not SnapshotRefusal.UNREADABLE]
        if shelf.newest or refused:
            msg = (
                f"partition {partition}: without a ledger there must be no snapshot, found "
                f"{len(shelf.newest) + len(refused)}; restore the ledger topic, or delete the "
                f"records of {SNAPSHOTS} and {ANCHORS} to begin anew"
            )
            raise InvariantError(msg)
        positions = {
            topic: committed.get(topic) or log.span(topic, partition)[self._end]
            for topic in self.inputs
        }
        learner = self._learner(Fold(self._terms, partition, idle), log)
        action = self._terms.action()
        return Opened(
            learner, positions, learner.books.seal(positions, kind="GENESIS", actions=[action])
        )

    def _change_terms(self, learner: Learner, positions: Mapping[str, int]) -> list[Emit]:
        """Come under the new terms; models that do not fit them make room for new ones.

        Raises:
            InvariantError: They are those of another plant, or were replaced before.
        """
        fold, partition = learner.fold, learner.fold.partition
        self._check_may_follow(fold.terms, partition)
        given_up = self._give_up(learner, positions)
        sequence = learner.books.sequence
        retired = fold.fleet.retired(self._terms.models)
        before = _digests(fold)
        terms = self._terms.after(fold.terms, entry=sequence, retired=retired)
        dropped = fold.adopt(terms, sequence)
        if learner.correcting is not None:
            learner.correcting.find()
        now = _digests(fold)
        learner.replaced = tuple(n for n in before if n in now and now[n] != before[n])
        entry = learner.books.seal(positions, kind="ACTION", actions=[terms.action()])
        return [*given_up, *entry, *tombstones(dropped, partition)]

    def _give_up(self, learner: Learner, positions: Mapping[str, int]) -> list[Emit]:
        """Compensate the corrections that wait for models which the new terms replace or drop."""
        fold, now = learner.fold, _digests(Fold(self._terms, learner.fold.partition))
        waiting = fold.fleet.waiting()
        before = _digests(fold)
        keys = [key for key in waiting if now.get(key.model) != before[key.model]]
        why = "its model began anew with another definition"
        return give_up(fold, learner.books, keys, positions, why=why)

    def _check_may_follow(self, terms: Terms, partition: int) -> None:
        """Refuse terms of another plant, and those that the terms in force have replaced."""
        before, plant = terms.definition.plant, self._terms.definition.plant
        if plant != before:
            msg = (
                f"these topics must stay those of plant {before}, the definition is of {plant}; "
                "give it topics of its own, on another cluster"
            )
            raise InvariantError(msg)
        own, now = self._terms.definition_digest, terms.definition_digest
        replaced = terms.past.when_replaced(own)
        if replaced is not None and not self._redefines:
            msg = (
                f"definition {own[:12]} must not come back unasked: it was replaced at ledger "
                f"entry {replaced} of partition {partition}, in force is {now[:12]}; restart this "
                "worker with the new definition, or pass --redefine to go back on purpose"
            )
            raise InvariantError(msg)


def _digests(fold: Fold) -> dict[str, bytes]:
    """Return what each model is built from, by its name."""
    return {each.name: each.digest for plan in fold.plans.values() for each in plan.blueprints}

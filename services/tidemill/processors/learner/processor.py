"""The learner's task: the fold of one partition, with its books."""

from __future__ import annotations

import pickle
from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING, Any

from tidemill.contracts.codec import MAGIC, schema_id_of, wire_prefix
from tidemill.contracts.topics import ANCHORS, EVENTS, LEDGER, PREDICTIONS, SNAPSHOTS, UPDATES
from tidemill.fold.applying import INPUTS, PROCESSOR, Fold
from tidemill.fold.arithmetic import arithmetic_digest, code_digest
from tidemill.fold.books import Books
from tidemill.fold.idle import IdleModels
from tidemill.fold.recovery import recover
from tidemill.fold.shelf import Shelf
from tidemill.fold.snapshots import tombstones
from tidemill.kernel.deadletters import SUFFIX
from tidemill.kernel.errors import InvariantError, SnapshotRefusal
from tidemill.kernel.processor import Opened
from tidemill.kernel.reports import Report
from tidemill.models.pickles import dump_state, load_state
from tidemill.models.state import ModelKey

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence

    from tidemill.fold.books import Policy
    from tidemill.fold.snapshots import SigningKey
    from tidemill.fold.terms import Terms
    from tidemill.kernel.processor import Log
    from tidemill.kernel.records import Emit, Message
    from tidemill.kernel.reports import Refused


class Learner:
    """One partition of the learner.

    Attributes:
        refused: Snapshots that recovery did not accept.
        refolded: Records that recovery folded again.
        replaced: Models in whose place a changed definition started new ones, by name.
        at_budget: Models that met their budget before the task was opened.
    """

    def __init__(self, fold: Fold, books: Books) -> None:
        self.fold = fold
        self.books = books
        self.refused: tuple[Refused, ...] = ()
        self.refolded = 0
        self.replaced: tuple[str, ...] = ()
        self.at_budget = 0

    def process_batch(self, records: Sequence[Message]) -> list[Emit]:
        """Apply records in order; see `tidemill.kernel.processor.Processor`."""
        emits = []
        for _, run in groupby(records, key=lambda record: record.topic):
            messages = list(run)
            caused = self.fold.apply(messages, self.books.sequence)
            self.books.note(messages, caused)
            emits += caused
        return emits

    def seal(self, positions: Mapping[str, int]) -> list[Emit]:
        """Return the ledger entry of the transaction, and the snapshots that go with it."""
        return self.books.seal(positions)

    def unread(self, records: Sequence[Message]) -> set[int]:
        """Return the ids of unknown schemas; see `tidemill.kernel.processor.Growing`."""
        known = {wire_prefix(schema_id) for schema_id in self.fold.terms.schemas}
        met = {record.value[:5] for record in records if record.topic == EVENTS and record.value}
        whole = [prefix for prefix in met - known if len(prefix) == 5 and prefix[0] == MAGIC]
        return set(map(schema_id_of, whole))

    def grow(self, schemas: Mapping[int, Any], positions: Mapping[str, int]) -> list[Emit]:
        """Read by more schemas from here on; see `tidemill.kernel.processor.Growing`."""
        fold, sequence = self.fold, self.books.sequence
        known = {**fold.terms.schemas, **schemas}
        terms = replace(fold.terms, schemas=known).after(fold.terms, entry=sequence, retired={})
        fold.adopt(terms, sequence)
        return self.books.seal(positions, kind="ACTION", actions=[terms.action()], saves=False)

    @property
    def mark(self) -> str:
        """Sequence of the last ledger entry; see `tidemill.kernel.processor.Marked`."""
        return "" if self.books.tail is None else str(self.books.tail.sequence)

    def report(self) -> Report:
        """Return what was done and what is held; see `tidemill.kernel.reports.Reporting`."""
        counts, oversized = self.fold.counts, tuple(self.books.oversized)
        return Report(
            learned=counts.learned,
            examples=counts.examples,
            repeated=counts.repeated,
            foreign_keys=counts.foreign_keys,
            dead=sum(counts.dead.values()),
            last_dead=self.fold.last_error,
            flags=dict(counts.flags),
            scores={stream: scores.copy() for stream, scores in counts.scores.items()},
            models=len(self.fold.fleet),
            at_budget=self.at_budget + len(oversized),
            oversized=oversized,
            refused=self.refused,
            refolded=self.refolded,
            replaced=self.replaced,
            code=code_digest(),
            arithmetic=arithmetic_digest(),
        )

    def snapshot(self) -> bytes:
        """Return the state of all models of the partition."""
        held = [tracked for tracked in self.fold.fleet if not tracked.is_new]
        states = {tracked.key: dump_state(tracked.state) for tracked in held}
        return pickle.dumps([(tuple(key), state) for key, state in sorted(states.items())])

    def restore(self, state: bytes) -> None:
        """Become what `snapshot` returned; only for states of this very process."""
        for key, dumped in pickle.loads(state):  # noqa: S301 - never crosses a process
            self.fold.fleet.restore(ModelKey(*key), load_state(dumped), -1)


def all_live(_partition: int) -> IdleModels:
    """Let every model stay in memory once it was needed."""
    return IdleModels()


class LearnerFactory:
    """Opens the learner's partitions.

    Args:
        terms: Definition and schemas to work under from now on.
        signing: Signs and verifies snapshots.
        policy: How often state is saved.
        from_end: Whether a partition without any history starts at its end.
        redefines: Whether these terms may come back where others have replaced them.
        idle: Returns where the models of a partition go that are not needed for now; empty.
    """

    name = PROCESSOR
    inputs: tuple[str, ...] = INPUTS
    outputs: tuple[str, ...] = (
        PREDICTIONS,
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
    ) -> None:
        self._terms = terms
        self._signing = signing
        self._policy = policy
        self._end = 1 if from_end else 0
        self._redefines = redefines
        self._idle = idle

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
        learner = self._learner(recovered.fold)
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

    def _learner(self, fold: Fold) -> Learner:
        return Learner(fold, Books(fold, None, signing=self._signing, policy=self._policy))

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
        learner = self._learner(Fold(self._terms, partition, idle))
        action = self._terms.action()
        return Opened(
            learner, positions, learner.books.seal(positions, kind="GENESIS", actions=[action])
        )

    def _change_terms(self, learner: Learner, positions: Mapping[str, int]) -> list[Emit]:
        """Come under the new terms; models that do not fit them make room for new ones.

        Raises:
            InvariantError: They are those of another plant, or were replaced before.
        """
        fold, sequence = learner.fold, learner.books.sequence
        partition = fold.partition
        self._check_may_follow(fold.terms, partition)
        retired = fold.fleet.retired(self._terms.models)
        before = _digests(fold)
        terms = self._terms.after(fold.terms, entry=sequence, retired=retired)
        dropped = fold.adopt(terms, sequence)
        now = _digests(fold)
        learner.replaced = tuple(n for n in before if n in now and now[n] != before[n])
        entry = learner.books.seal(positions, kind="ACTION", actions=[terms.action()])
        return [*entry, *tombstones(dropped, partition)]

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

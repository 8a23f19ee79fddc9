"""The learner's task: the fold of one partition, with its books."""

from __future__ import annotations

import pickle
from itertools import groupby
from typing import TYPE_CHECKING

from tidemill.contracts.topics import ANCHORS, EVENTS, LEDGER, PREDICTIONS, SNAPSHOTS, UPDATES
from tidemill.fold.applying import INPUTS, PROCESSOR, Fold
from tidemill.fold.books import Books
from tidemill.fold.recovery import recover
from tidemill.kernel.deadletters import SUFFIX
from tidemill.kernel.processor import Opened
from tidemill.kernel.records import Emit
from tidemill.models.pickles import dump_state, load_state
from tidemill.models.state import ModelKey

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

    from tidemill.fold.books import Policy
    from tidemill.fold.snapshots import SigningKey
    from tidemill.fold.terms import Terms
    from tidemill.kernel.processor import Log
    from tidemill.kernel.records import Message


class Learner:
    """One partition of the learner.

    Attributes:
        refused: Snapshots that recovery did not accept: position and reason.
        refolded: Records that recovery folded again.
    """

    def __init__(self, fold: Fold, books: Books) -> None:
        self.fold = fold
        self.books = books
        self.refused: tuple[tuple[str, str], ...] = ()
        self.refolded = 0

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

    def snapshot(self) -> bytes:
        """Return the state of all models of the partition."""
        states = {tracked.key: dump_state(tracked.state) for tracked in self.fold.fleet}
        return pickle.dumps([(tuple(key), state) for key, state in sorted(states.items())])

    def restore(self, state: bytes) -> None:
        """Become what `snapshot` returned; only for states of this very process."""
        for key, dumped in pickle.loads(state):  # noqa: S301 - never crosses a process
            self.fold.fleet.restore(ModelKey(*key), load_state(dumped), -1)


class LearnerFactory:
    """Opens the learner's partitions.

    Args:
        terms: Definition and schemas to work under from now on.
        signing: Signs and verifies snapshots.
        policy: How often state is saved.
        from_end: Whether a partition without any history starts at its end.
    """

    name = PROCESSOR
    inputs = INPUTS
    outputs = (
        PREDICTIONS,
        LEDGER,
        SNAPSHOTS,
        ANCHORS,
        EVENTS + SUFFIX,
        UPDATES + SUFFIX,
    )

    def __init__(
        self, terms: Terms, signing: SigningKey, policy: Policy, *, from_end: bool = False
    ) -> None:
        self._terms = terms
        self._signing = signing
        self._policy = policy
        self._end = 1 if from_end else 0

    def open(
        self, partition: int, committed: Mapping[str, int | None], log: Log
    ) -> Generator[None, None, Opened]:
        """Rebuild one partition; see `tidemill.kernel.processor.TaskFactory`."""
        recovered = yield from recover(
            log, partition, committed, terms=self._terms, signing=self._signing
        )
        if recovered is None:
            return self._found(partition, committed, log)
        learner = self._learner(recovered.fold)
        learner.books.tail = recovered.tail
        learner.refused, learner.refolded = recovered.refused, recovered.refolded
        emits: list[Emit] = []
        if recovered.fold.terms.digest != self._terms.digest:
            emits = self._change_terms(learner, recovered.positions)
        return Opened(learner, recovered.positions, emits)

    def _learner(self, fold: Fold) -> Learner:
        return Learner(fold, Books(fold, None, signing=self._signing, policy=self._policy))

    def _found(self, partition: int, committed: Mapping[str, int | None], log: Log) -> Opened:
        """Start a partition that has no history: its genesis names terms and first offsets."""
        positions = {
            topic: committed.get(topic) or log.span(topic, partition)[self._end]
            for topic in self.inputs
        }
        learner = self._learner(Fold(self._terms, partition))
        action = self._terms.action()
        return Opened(
            learner, positions, learner.books.seal(positions, kind="GENESIS", actions=[action])
        )

    def _change_terms(self, learner: Learner, positions: Mapping[str, int]) -> list[Emit]:
        """Come under the new terms; models that do not fit make room for new ones."""
        dropped = learner.fold.adopt(self._terms)
        entry = learner.books.seal(positions, kind="ACTION", actions=[self._terms.action()])
        partition = learner.fold.partition
        tombstones = [Emit(SNAPSHOTS, partition, key.encode(), None) for key in dropped]
        return [*entry, *tombstones]

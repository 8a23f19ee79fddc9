"""Opens the partitions of the drift processor: rebuilt, founded, or under changed terms."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidemill.contracts.topics import (
    DRIFT,
    DRIFT_LEDGER,
    DRIFT_SNAPSHOTS,
    EVENTS,
    EXPLANATIONS,
    OUTCOMES,
    PREDICTIONS,
    UPDATES,
)
from tidemill.kernel.errors import InvariantError
from tidemill.kernel.processor import Opened
from tidemill.processors.drift.books import PROCESSOR, Books
from tidemill.processors.drift.plans import REFERENCE
from tidemill.processors.drift.restoring import recover
from tidemill.processors.drift.task import DriftTask
from tidemill.processors.drift.watching import Watching

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from tidemill.fold.books import Policy
    from tidemill.fold.snapshots import SigningKey
    from tidemill.fold.terms import Terms
    from tidemill.kernel.processor import Log
    from tidemill.kernel.records import Emit

__all__ = ["DriftFactory", "DriftTask"]

INPUTS = (EVENTS, PREDICTIONS, OUTCOMES, EXPLANATIONS, UPDATES)


class DriftFactory:
    """Opens the drift processor's partitions.

    Args:
        terms: Definition and schemas to work under from now on.
        signing: Signs and verifies states.
        policy: How often state is saved.
        from_end: Whether a partition without any history starts at its end.
        reference: Events that sensors watched together are held against.
    """

    name = PROCESSOR
    inputs: tuple[str, ...] = INPUTS
    outputs: tuple[str, ...] = (DRIFT, UPDATES, DRIFT_LEDGER, DRIFT_SNAPSHOTS)

    def __init__(
        self,
        terms: Terms,
        signing: SigningKey,
        policy: Policy,
        *,
        from_end: bool = False,
        reference: int = REFERENCE,
    ) -> None:
        self._terms = terms
        self._signing = signing
        self._policy = policy
        self._end = 1 if from_end else 0
        self._reference = reference

    def open(
        self, partition: int, committed: Mapping[str, int | None], log: Log
    ) -> Generator[None, None, Opened]:
        """Rebuild one partition; see `tidemill.kernel.processor.TaskFactory`."""
        recovered = yield from recover(
            log,
            partition,
            committed,
            terms=self._terms,
            signing=self._signing,
            reference=self._reference,
        )
        if recovered is None:
            return self._found(partition, committed, log)
        task = self._task(recovered.watching)
        task.books.tail = recovered.tail
        task.books.chunks = dict(recovered.chunks)
        task.refused, task.refolded = recovered.refused, recovered.refolded
        mark, emits = task.mark, []
        if not recovered.watching.terms.reads_all_of(self._terms):
            emits = self._change_terms(task, recovered.positions)
        return Opened(task, recovered.positions, emits, mark)

    def write_smaller(self) -> None:
        """Halve the chunks of snapshots; a large state never stops the data."""
        self._policy = self._policy.smaller()

    def _task(self, watching: Watching) -> DriftTask:
        books = Books(watching, None, signing=self._signing, policy=self._policy)
        return DriftTask(watching, books)

    def _found(self, partition: int, committed: Mapping[str, int | None], log: Log) -> Opened:
        """Start a partition that has no history: its genesis names terms and first offsets."""
        positions = {
            topic: committed.get(topic) or log.span(topic, partition)[self._end]
            for topic in self.inputs
        }
        task = self._task(Watching(self._terms, partition, self._reference))
        action = self._terms.action()
        return Opened(task, positions, task.books.seal(positions, kind="GENESIS", actions=[action]))

    def _change_terms(self, task: DriftTask, positions: Mapping[str, int]) -> list[Emit]:
        """Come under the new terms; what does not fit them is watched anew.

        Raises:
            InvariantError: They are those of another plant.
        """
        watching, books = task.watching, task.books
        before, plant = watching.terms.definition.plant, self._terms.definition.plant
        if plant != before:
            msg = (
                f"these topics must stay those of plant {before}, the definition is of {plant}; "
                "give it topics of its own, on another cluster"
            )
            raise InvariantError(msg)
        terms = self._terms.after(watching.terms, entry=books.sequence, retired={})
        adopted = watching.adopt(terms, books.sequence)
        told = books.tell(adopted.emits)
        entry = books.seal(positions, kind="ACTION", actions=[terms.action()])
        return [*told, *entry, *books.forget(adopted.gone)]

"""What every processor is, and what the runtime drives: one task per assigned partition."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Collection, Generator, Iterator, Mapping, Sequence

    from tidemill.kernel.records import Emit, Message


class Processor(Protocol):
    """State of one partition and what its records do to it. Pure: no clock, no randomness, no I/O.

    Five laws hold, checked by `tidemill.testing.laws`: deterministic, atomic, recoverable,
    bounded, cut-invariant.
    """

    def process_batch(self, records: Sequence[Message]) -> list[Emit]:
        """Apply `records` in order; return what they cause, in order.

        A record at fault becomes a dead letter among the emissions and leaves no trace in the
        state. Any other raise means: discard this processor.
        """

    def snapshot(self) -> bytes:
        """Return the whole state."""

    def restore(self, state: bytes) -> None:
        """Become what `snapshot` returned."""


class Task(Protocol):
    """One partition of one processor, as the transactional runtime drives it."""

    def process_batch(self, records: Sequence[Message]) -> list[Emit]:
        """Apply records of one input topic, in order; see `Processor.process_batch`."""

    def seal(self, positions: Mapping[str, int]) -> list[Emit]:
        """End the transaction: return ledger entry and snapshots that go with it.

        Args:
            positions: Next offset of every input topic of this partition, as the transaction
                will commit them.
        """


@runtime_checkable
class Marked(Protocol):
    """A task that names what it stands at, so that less is never taken for all of it."""

    @property
    def mark(self) -> str:
        """What the last `seal` ended with; committed as metadata of the offsets."""


def mark_of(task: Task | None) -> str:
    """Return a task's mark; empty if it has none."""
    return task.mark if isinstance(task, Marked) else ""


@runtime_checkable
class Recalling(Protocol):
    """A factory that is told the mark of a partition before it opens it."""

    def recall(self, partition: int, mark: str) -> None:
        """Take note of the mark that the partition's offsets were last committed with."""


@runtime_checkable
class Confirming(Protocol):
    """A factory whose tasks decide by something outside Kafka that may forget."""

    def confirm(self) -> None:
        """Hold that what was decided by still stands: all is written, nothing committed yet.

        Raises:
            DependencyUnavailableError: It does not, or cannot be asked: the transaction aborts.
        """


@runtime_checkable
class Spreading(Protocol):
    """A factory whose tasks write to partitions that are not theirs."""

    @property
    def spread(self) -> int:
        """How many partitions there are to write to, numbered from 0."""


@runtime_checkable
class Resting(Protocol):
    """A task that has something to do between transactions, now and then."""

    def rest(self, positions: Mapping[str, int], ended: Collection[str]) -> Sequence[Emit]:
        """Do it; return what is to be committed with the next transaction.

        Args:
            positions: Next offset of every input topic of this partition, all of it committed.
            ended: Input topics that were read to their end.

        Raises:
            DependencyUnavailableError: It cannot be done now; the task is discarded.
        """


@runtime_checkable
class Growing(Protocol):
    """A task that is given, while it runs, schemas of records that it could not read."""

    def unread(self, records: Sequence[Message]) -> set[int]:
        """Return the ids in front of records that no schema is known for."""

    def grow(self, schemas: Mapping[int, Any], positions: Mapping[str, int]) -> list[Emit]:
        """Know more schemas from here on; return what is committed before the next record.

        Args:
            schemas: By id; Avro in JSON.
            positions: Next offset of every input topic of this partition.
        """


@runtime_checkable
class Laborious(Protocol):
    """A task with work of its own beside its records, done in slices between transactions."""

    @property
    def is_busy(self) -> bool:
        """Whether there is work, under way or waiting."""

    def work(self, budget_s: float) -> bool:
        """Work on for about so long; return whether what it led to is to be taken over.

        Raises:
            DependencyUnavailableError: Something cannot be read now; `let_go`, and work later.
            InvariantError: What must be read was altered.
        """

    def take_over(self, positions: Mapping[str, int]) -> list[Emit]:
        """Let what the work led to take effect, before anything else is applied.

        Args:
            positions: Next offset of every input topic of this partition.

        Returns:
            What a transaction of its own commits.
        """

    def give_up(self, why: str) -> None:
        """Do without the work under way, which raised something unexpected.

        What is done instead is to be taken over now.
        """

    def let_go(self) -> None:
        """Let go of work under way, and of what it reads by; it begins anew when it is due."""


class SchemaSource(Protocol):
    """Where schemas come from that nobody knew when the worker started."""

    def __call__(self, ids: Collection[int], /) -> Mapping[int, Any]:
        """Return those of the ids that there is a schema for.

        Raises:
            DependencyUnavailableError: It cannot be said now.
        """


class Log(Protocol):
    """Committed records, readable by position. Only ever read."""

    def span(self, topic: str, partition: int) -> tuple[int, int]:
        """Return the first retained offset and the last stable offset (exclusive)."""

    def read(self, topic: str, partition: int, start: int, stop: int) -> Iterator[list[Message]]:
        """Yield the committed records with start <= offset < stop, in order.

        An empty list is a breath: nothing yet, the caller may do something else in between.

        Raises:
            RetentionError: `start` is no longer retained.
        """


@dataclass(frozen=True, slots=True)
class Opened:
    """A task whose state stands where the inputs will be read from next.

    `mark` is that of the last transaction that was found; the offsets must have been committed
    with it.
    """

    task: Task
    positions: Mapping[str, int]
    first_emits: Sequence[Emit] = field(default=())
    mark: str = ""


class TaskFactory(Protocol):
    """How the runtime gets a partition's task, anew after every assignment and every abort."""

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    def open(
        self, partition: int, committed: Mapping[str, int | None], log: Log
    ) -> Generator[None, None, Opened]:
        """Rebuild the state of `partition`, yielding between steps so that the caller can poll.

        Args:
            partition: The partition number, the same in all inputs.
            committed: The group's stable committed offset per input topic; None where none is.
            log: The topics.

        Returns:
            The task, the positions to read on from, and emissions that must be committed with
            these positions before the first record (a genesis or an upgrade).

        Raises:
            InvariantError: Topics, ledger and offsets contradict one another.
        """

    def write_smaller(self) -> None:
        """Take note that a record was refused for its size: write smaller ones from now on.

        Raises:
            InvariantError: There are no smaller ones.
        """

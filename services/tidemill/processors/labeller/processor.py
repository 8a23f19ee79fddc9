"""The labeller: one task for each partition, opened when the store knows all of the plant."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from tidemill.contracts.topics import EVENTS, LABELS, PREDICTIONS, UPDATES
from tidemill.kernel.errors import InvariantError, ServiceAwayError
from tidemill.kernel.processor import Opened
from tidemill.processors.labeller.recovering import DEAD_LABELS, Recovery
from tidemill.processors.labeller.streams import label_streams
from tidemill.processors.labeller.task import INPUTS, PROCESSOR, Labeller
from tidemill.processors.labeller.trail import Starts, Trail

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence

    from tidemill.contracts.definition import PlantDefinition
    from tidemill.contracts.pending import PendingStore
    from tidemill.kernel.processor import Log

# Others recover their partitions meanwhile.
RETRY_AFTER_S = 0.2
# Half a gigabyte in Redis, if nothing else frees them.
ROOM = 1_000_000


class LabellerFactory:
    """Opens the labeller's partitions.

    Args:
        definition: The plant's; at least one stream has a target `label`.
        store: Where cases wait.
        written: Returns the offset behind the last record of a topic and partition, committed or
            not.
        from_end: Whether a partition without any history starts at its end.
        room: As `tidemill.contracts.pending.Progress` has it, of the whole plant.
    """

    name = PROCESSOR
    inputs: tuple[str, ...] = INPUTS
    outputs: tuple[str, ...] = (UPDATES, DEAD_LABELS)

    def __init__(
        self,
        definition: PlantDefinition,
        store: PendingStore,
        written: Callable[[str, int], int],
        *,
        from_end: bool = False,
        room: int = ROOM,
    ) -> None:
        self._streams = label_streams(definition)
        self._partitions = definition.partitions
        self._store = store
        self._written = written
        self._end = 1 if from_end else 0
        self._room = max(1, room // self._partitions)
        self._marks: dict[int, str] = {}
        self._generation = ""
        self._read: Counter[int] = Counter()
        self._ends: dict[tuple[str, int], int] = {}
        self._ends_in = ""

    @property
    def spread(self) -> int:
        """See `tidemill.kernel.processor.Spreading`: a label may be of any partition's event."""
        return self._partitions

    def recall(self, partition: int, mark: str) -> None:
        """Take note of what is needed; see `tidemill.kernel.processor.Recalling`."""
        self._marks[partition] = mark

    def confirm(self) -> None:
        """Hold that the store forgot nothing; see `tidemill.kernel.processor.Confirming`."""
        self._store.confirm(self._generation)

    def open(
        self, partition: int, committed: Mapping[str, int | None], log: Log
    ) -> Generator[None, None, Opened]:
        """Open one partition, recovered if need be; see `tidemill.kernel.processor.TaskFactory`.

        None is served before all of the plant are recovered: label and prediction may both lie in
        what was committed, and only then it is known what was made of them.
        """
        store, mark = self._store, self._marks.get(partition, "")
        generation = store.generation()
        positions = {
            topic: log.span(topic, partition)[self._end] if offset is None else offset
            for topic, offset in ((topic, committed.get(topic)) for topic in self.inputs)
        }
        trail = Trail.decode(mark) if mark else Trail([_all(log, partition)])
        recovery = Recovery(store, generation, self._streams, written=self._end_of(generation))
        is_new = any(committed.get(topic) is None for topic in self.inputs)
        known = store.standing(generation, partition)
        self._hold_known((known.predictions, known.labels), partition)
        if is_new or not known.is_recovered:
            yield from recovery.run(log, partition, trail.lows, positions)
            self._read[partition] += recovery.read
        others = store.unrecovered(generation)
        if others:
            msg = f"the labels' store, to be recovered by the owners of partitions {others},"
            raise ServiceAwayError(msg, retry_after_s=RETRY_AFTER_S)
        self._generation = generation
        known = store.standing(generation, partition)
        task = Labeller(
            store,
            (store.lease(generation, partition), partition),
            self._streams,
            trail=trail,
            ends=_Ends(log, self._written, partition),
            room=self._room,
            applied=(known.predictions or 0, known.labels or 0),
        )
        task.refolded = self._read.pop(partition, 0)
        return Opened(task, positions, mark=mark)

    def _hold_known(self, applied: Sequence[int | None], partition: int) -> None:
        """Hold that what the store has applied is there.

        Raises:
            InvariantError: It is not: the topic was made anew.
        """
        for topic, offset in zip(self.inputs, applied, strict=True):
            end = self._written(topic, partition)
            if offset is not None and offset > end:
                msg = (
                    f"{topic}-{partition} must reach to {offset}, up to where the labels' store "
                    f"has applied it, ended at {end}: it was made anew, and what waits is of the "
                    "old one; delete the keys tidemill:<plant>:labeller:* from Redis, then start"
                )
                raise InvariantError(msg)

    def _end_of(self, generation: str) -> Callable[[str, int], int]:
        """Return where topics ended when that was first asked in a generation.

        What comes later was decided by what the store knows; and who waits for the end of all
        transactions must not run after those that others begin meanwhile.
        """
        if self._ends_in != generation:
            self._ends_in = generation
            self._ends.clear()

        def end(topic: str, partition: int) -> int:
            if (topic, partition) not in self._ends:
                self._ends[topic, partition] = self._written(topic, partition)
            return self._ends[topic, partition]

        return end

    def write_smaller(self) -> None:
        """Refuse: an example is little more than its prediction.

        Raises:
            InvariantError: Always.
        """
        msg = (
            f"a record of {UPDATES} must fit into its topic, one was refused for its size; raise "
            "max.message.bytes there to that of model.predictions"
        )
        raise InvariantError(msg)


class _Ends:
    """See `tidemill.processors.labeller.task.Ends`."""

    def __init__(self, log: Log, written: Callable[[str, int], int], partition: int) -> None:
        self._log = log
        self._written = written
        self._partition = partition

    def written(self) -> tuple[int, int]:
        """Return where updates and dead letters end."""
        _, updates = self._log.span(UPDATES, self._partition)
        return updates, self._log.span(DEAD_LABELS, self._partition)[1]

    def labels(self) -> int:
        """Return the offset behind the last label."""
        return self._written(LABELS, self._partition)

    def events(self) -> int:
        """Return the offset behind the last event."""
        return self._written(EVENTS, self._partition)


def _all(log: Log, partition: int) -> Starts:
    """Return where what is retained begins."""
    topics = (PREDICTIONS, LABELS, UPDATES, DEAD_LABELS)
    return Starts(*(log.span(topic, partition)[0] for topic in topics))

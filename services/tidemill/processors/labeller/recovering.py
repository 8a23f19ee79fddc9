"""What the store forgot, known again from the topics."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidemill.contracts.codec import codec
from tidemill.contracts.pending import Buried
from tidemill.contracts.topics import LABELS, PREDICTIONS, UPDATES
from tidemill.kernel.deadletters import REASON_HEADER, SUFFIX
from tidemill.kernel.errors import DeadLetterReason, DependencyUnavailableError, InvalidRecordError
from tidemill.processors.labeller.examples import KIND, ORIGIN, done_of
from tidemill.processors.labeller.labels import LabelReader
from tidemill.processors.labeller.predictions import PredictionReader

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence

    from tidemill.contracts.pending import Done, Held, PendingStore
    from tidemill.kernel.processor import Log
    from tidemill.kernel.records import Message
    from tidemill.processors.labeller.streams import LabelStream
    from tidemill.processors.labeller.trail import Starts

DEAD_LABELS = LABELS + SUFFIX
RETRY_AFTER_S = 0.2
_LATE = DeadLetterReason.LATE.value.encode()
_DECIDED = {_LATE, DeadLetterReason.UNKNOWN_EVENT.value.encode()}


class Recovery:
    """Makes the store know one partition again.

    What was decided comes first, from the outputs, so that nothing is decided twice; then what
    waits, from the inputs, up to where they are committed.

    Args:
        generation: Of the store, in which all of it is done.
        streams: Those whose labels come apart from their events, by name.
        written: Returns the offset behind the last record of a topic and partition, committed or
            not: what was being decided when the store forgot is waited for.
    """

    def __init__(
        self,
        store: PendingStore,
        generation: str,
        streams: Mapping[str, LabelStream],
        *,
        written: Callable[[str, int], int],
    ) -> None:
        self._store = store
        self._generation = generation
        self._streams = streams
        self._predictions = PredictionReader(streams)
        self._labels = LabelReader(streams.values())
        self._written = written
        self.read = 0

    def run(
        self, log: Log, partition: int, lows: Starts, positions: Mapping[str, int]
    ) -> Generator[None, None, None]:
        """Do it, counting in `read` what is read.

        Args:
            lows: From where on all is needed.
            positions: Where the inputs will be read on from.

        Raises:
            DependencyUnavailableError: Transactions are open that may have decided something.
        """
        store, generation = self._store, self._generation
        updates, letters = (self._settled(log, t, partition) for t in (UPDATES, DEAD_LABELS))
        for messages in self._read(log, UPDATES, partition, (lows.updates, updates)):
            dones = list(self._dones(messages))
            store.restore_done(generation, partition, dones, lows.predictions)
            yield
        dead: set[int] = set()
        for messages in self._read(log, DEAD_LABELS, partition, (lows.dead, letters)):
            buried = list(self._buried(messages, partition))
            dead.update(each.offset for each in buried if not each.is_late)
            span = lows.labels, positions[LABELS]
            store.restore_buried(generation, partition, buried, span)
            yield
        known = store.standing(generation, partition)
        start = lows.predictions if known.predictions is None else known.predictions
        for messages in self._read(log, PREDICTIONS, partition, (start, positions[PREDICTIONS])):
            found = (self._predictions.read(message).kept for message in messages)
            store.restore_kept(generation, partition, [kept for kept in found if kept is not None])
            yield
        start = lows.labels if known.labels is None else known.labels
        for messages in self._read(log, LABELS, partition, (start, positions[LABELS])):
            alive = (message for message in messages if message.offset not in dead)
            store.restore_held(generation, partition, list(self._held(alive)))
            yield
        store.finish(generation, partition, positions[PREDICTIONS], positions[LABELS])

    def _settled(self, log: Log, topic: str, partition: int) -> int:
        """Return the end of a topic, once nothing before it can be taken back any more."""
        end = self._written(topic, partition)
        _, stable = log.span(topic, partition)
        if stable < end:
            msg = f"the end of transactions that write to {topic}-{partition}"
            raise DependencyUnavailableError(msg, retry_after_s=RETRY_AFTER_S)
        return end

    def _read(
        self, log: Log, topic: str, partition: int, span: tuple[int, int]
    ) -> Iterator[list[Message]]:
        """Yield what is retained of a span, counting it."""
        begin, _ = log.span(topic, partition)
        for messages in log.read(topic, partition, max(begin, span[0]), span[1]):
            self.read += len(messages)
            yield messages

    def _dones(self, messages: Sequence[Message]) -> Iterator[Done]:
        for message in messages:
            try:
                update = codec("Update").decode(message.value)
                stream = self._streams.get(update["stream"])
                if stream and update["kind"] == KIND and update["origin"] == ORIGIN:
                    yield done_of(update, stream)
            except InvalidRecordError:
                continue  # not ours: whoever wrote it, the learner sets it aside

    def _buried(self, messages: Sequence[Message], partition: int) -> Iterator[Buried]:
        for message in messages:
            headers = dict(message.headers)
            reason = headers.get(REASON_HEADER)
            if reason not in _DECIDED:
                continue
            offset = int(headers["__streams.errors.offset"])
            original = message._replace(topic=LABELS, partition=partition, offset=offset)
            for held in self._held([original]):
                yield Buried(held.case, offset, held.time_us, reason == _LATE)

    def _held(self, messages: Iterable[Message]) -> Iterator[Held]:
        for message in messages:
            try:
                yield self._labels.read(message).held
            except InvalidRecordError:
                continue  # it was set aside when it came

"""What corrections concern, found among the updates: read backwards, no further than is needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidemill.contracts.codec import codec
from tidemill.contracts.topics import EVENTS, LEDGER, UPDATES
from tidemill.fold.editing import BY_NAME
from tidemill.fold.ledger_log import last_entry_where
from tidemill.kernel.errors import InvalidRecordError

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Mapping, Sequence
    from typing import Any

    from tidemill.fold.editing import Correction
    from tidemill.fold.ledger import Entry
    from tidemill.kernel.processor import Log
    from tidemill.kernel.records import Message
    from tidemill.models.state import ModelKey

FIRST_STEP = 256
# So many offsets of the ledger an event is looked for first.
NEAR = 64
# What one feedback causes stands together.
TOGETHER = 256
# So many more are read even if no base is known to stand before.
LITTLE = 4_096


class Concerned:
    """Finds the updates that corrections of one model concern.

    Args:
        log: The topics.
        partition: The partition number.
        key: The model.
        corrections: Those that a base must heed.

    Attributes:
        low: The offset from which on the updates were read.
    """

    def __init__(
        self, log: Log, partition: int, key: ModelKey, corrections: Sequence[Correction]
    ) -> None:
        self._log = log
        self._partition = partition
        self._key = key
        self._needle = key.asset.encode()
        self._found: dict[int, list[int]] = {each.offset: [] for each in corrections}
        self._since: dict[int, int | None] = {}
        self._asking = [each for each in corrections if not each.is_of_events]
        self._begin, _ = log.span(UPDATES, partition)
        self._top = max((each.offset for each in self._asking), default=0)
        self.low = self._top
        self._step = FIRST_STEP

    @property
    def is_all(self) -> bool:
        """Whether there is no more to be read."""
        return not self._asking or self.low <= self._begin

    @property
    def misses_any(self) -> bool:
        """Whether nothing is known of what one that is not in force yet concerns."""
        waiting = [each for each in self._asking if each.swapped is None]
        return self._begin > 0 and any(not self.knows(each) for each in waiting)

    def offsets(self, correction: Correction) -> Sequence[int]:
        """Return the updates found that a correction concerns."""
        return self._found[correction.offset]

    def knows(self, correction: Correction) -> bool:
        """Return whether all that a correction concerns was found, or read past."""
        found = self._found[correction.offset]
        is_from_first = self.is_all and self._begin == 0
        if correction.is_of_events or is_from_first:
            return True
        left = self._left(correction)
        return left <= 0 if left is not None else self.is_all and bool(found)

    def is_soon_known(self, corrections: Iterable[Correction]) -> bool:
        """Return whether little is left to be read for one of these."""
        left = (self._left(each) for each in corrections)
        return any(each is not None and 0 < each <= LITTLE for each in left)

    def _left(self, correction: Correction) -> int | None:
        """Return how many updates are to be read for a correction; None if nobody knows."""
        since, found = self._since.get(correction.offset), self._found[correction.offset]
        if correction.kind in BY_NAME and found and not self.is_all:
            since = min(found) - TOGETHER
        return None if since is None else self.low - since

    def locate(self, corrections: Sequence[Correction]) -> Generator[None, None, None]:
        """Find out from where on the updates may speak of the events that corrections are about.

        Nothing is said of an event before it is predicted.
        """
        for each in corrections:
            event = each.update["event"]
            if each.kind != "EXAMPLE" or each.offset in self._since or event is None:
                continue
            if (event["topic"], event["partition"]) == (EVENTS, self._partition):
                self._since[each.offset] = yield from self._reached_at(event["offset"])

    def _reached_at(self, event: int) -> Generator[None, None, int | None]:
        """Return how far the updates were applied before an event; None if nobody knows."""
        _, end = self._log.span(LEDGER, self._partition)

        def holds(entry: Entry) -> bool:
            return (entry.positions or {}).get(EVENTS, 0) <= event

        placed = yield from last_entry_where(self._log, self._partition, holds, end, near=NEAR)
        return None if placed is None else (placed.entry.positions or {}).get(UPDATES)

    def widen(self) -> Generator[None, None, None]:
        """Read on, twice as far as before."""
        low = max(self._begin, self.low - self._step)
        yield from self._read(low, self.low)
        self.low, self._step = low, self._step * 2

    def _read(self, start: int, stop: int) -> Generator[None, None, None]:
        for messages in self._log.read(UPDATES, self._partition, start, stop):
            yield
            for message in _naming(messages, self._needle):
                update = _update(message, self._key)
                if update is not None:
                    self._note(update, message.offset)

    def _note(self, update: Mapping[str, Any], offset: int) -> None:  # Any: an Avro record
        for each in self._asking:
            if each.revises(update, offset) or each.takes_back(update, offset):
                self._found[each.offset].append(offset)


def _naming(messages: Iterable[Message], needle: bytes) -> list[Message]:
    return [message for message in messages if needle in (message.value or b"")]


def _update(message: Message, key: ModelKey) -> dict[str, Any] | None:  # Any: an Avro record
    """Return an update to a model; None if it is another's, or none at all."""
    try:
        update: dict[str, Any] = codec("Update").decode(message.value)
    except InvalidRecordError:
        return None
    is_ours = (update["stream"], update["asset"]) == (key.stream, key.asset)
    return update if is_ours and update["model"] in {None, key.model} else None

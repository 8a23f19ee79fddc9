"""Anchors of one partition: where those of a model stand, and their states."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, NamedTuple

from tidemill.contracts.codec import codec
from tidemill.contracts.topics import ANCHORS
from tidemill.fold.shelf import Shelf
from tidemill.fold.snapshots import split_key
from tidemill.kernel.errors import InvalidRecordError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

    from tidemill.fold.shelf import Restored
    from tidemill.fold.snapshots import SigningKey
    from tidemill.kernel.processor import Log
    from tidemill.kernel.records import Message
    from tidemill.models.state import ModelKey

FIRST_STEP = 64
# The chunks of one state stand together; an aborted transaction's may stand between.
FURTHER = 256


class Anchor(NamedTuple):
    """What the first record of an anchor says, unverified.

    Attributes:
        offset: Of that record.
        positions: Next offset of every input topic once its ledger entry was applied.
    """

    offset: int
    sequence: int
    version: int
    state_digest: bytes
    chunks: int
    positions: Mapping[str, int]


class Anchors:
    """Finds anchors. Which records are whose is remembered; what they say is read when asked.

    The topic is read from its end, no further back than is asked for, and once.

    Args:
        log: The topics.
        partition: The partition number.
        signing: What they must be signed with.
        plant: Whose states they must be; None takes those of any.
    """

    def __init__(
        self, log: Log, partition: int, signing: SigningKey, *, plant: str | None = None
    ) -> None:
        self._log = log
        self._partition = partition
        self._signing = signing
        self._plant = plant
        self._offsets: dict[bytes, list[int]] = {}
        self._span: tuple[int, int] | None = None

    def newest(
        self, key: ModelKey, is_late: Callable[[Anchor], bool]
    ) -> Generator[None, None, Anchor | None]:
        """Return the newest anchor of a model that is not too late.

        Few are read, however many are later: anchors stand in the order of the ledger.

        Args:
            is_late: Says of an anchor whether it is too late; if so, all newer ones are, too.
        """
        yield from self._look(None)
        searched: int | None = None
        while True:
            known = self._known(key, searched)
            first = known[0] if known else searched
            found = yield from self._last_in_time(known, is_late)
            if found is not None:
                return found
            searched = first
            if not (yield from self._look(key)):
                return None

    def at(self, key: ModelKey, sequence: int) -> Generator[None, None, Anchor | None]:
        """Return the anchor of a model that a ledger entry wrote, found by halves.

        The topic is in the order of the ledger: nothing else of it is read, nor remembered.
        """
        low, high = self._log.span(ANCHORS, self._partition)
        end = high
        while low < high:
            middle = (low + high) // 2
            first = yield from self._first(middle, high)
            if first is not None and first.sequence < sequence:
                low = first.offset + 1
            else:
                high = middle
        for messages in self._log.read(ANCHORS, self._partition, low, end):
            yield
            for message in messages:
                anchor = _anchor(message)
                if anchor is not None and anchor.sequence > sequence:
                    return None
                if anchor is not None and split_key(message.key or b"") == (key.encode(), 0):
                    return anchor
        return None

    def _first(self, start: int, stop: int) -> Generator[None, None, Anchor | None]:
        """Return what the first record says that can be read; chunks say the same."""
        for messages in self._log.read(ANCHORS, self._partition, start, stop):
            yield
            for message in messages:
                anchor = _anchor(message)
                if anchor is not None:
                    return anchor
        return None

    def _known(self, key: ModelKey, before: int | None) -> list[int]:
        """Return the offsets known of a model that are retained, and before one if it is given."""
        begin, _ = self._log.span(ANCHORS, self._partition)
        known = self._offsets.setdefault(key.encode(), [])
        del known[: bisect_left(known, begin)]
        return known[: None if before is None else bisect_left(known, before)]

    def _last_in_time(
        self, offsets: list[int], is_late: Callable[[Anchor], bool]
    ) -> Generator[None, None, Anchor | None]:
        """Return the last of some anchors that is not too late; what is no anchor is dropped."""
        found: Anchor | None = None
        low, high, step = 0, len(offsets), 1
        while low < high:
            # First from the end in growing steps, then by halves.
            middle = (low + high) // 2 if found else max(low, high - step)
            anchor = yield from self._read(offsets[middle])
            if anchor is None:
                del offsets[middle]
                high -= 1
            elif is_late(anchor):
                high, step = middle, step * 2
            else:
                found, low = anchor, middle + 1
        return found

    def _look(self, key: ModelKey | None) -> Generator[None, None, bool]:
        """Read what was written since the last look, or older records; return whether there are.

        Args:
            key: Of which model older ones are looked for; None is for newer ones of all.
        """
        begin, end = self._log.span(ANCHORS, self._partition)
        if self._span is None or self._span[1] < begin:
            self._offsets.clear()
            self._span = (end, end)
        low, high = max(self._span[0], begin), self._span[1]
        if key is None:
            yield from self._note(high, end)
            self._span = (low, end)
            return end > high
        step, name = max(FIRST_STEP, end - low), key.encode()
        before = len(self._offsets.get(name, ()))
        while low > begin and len(self._offsets.get(name, ())) == before:
            start = max(begin, low - step)
            yield from self._note(start, low)
            low, step = start, step * 2
            self._span = (low, self._span[1])
        return len(self._offsets.get(name, ())) > before

    def _note(self, start: int, stop: int) -> Generator[None, None, None]:
        for messages in self._log.read(ANCHORS, self._partition, start, stop):
            for message in messages:
                key, chunk = split_key(message.key or b"")
                if chunk:
                    continue
                known = self._offsets.setdefault(key, [])
                at = bisect_left(known, message.offset)
                if known[at : at + 1] != [message.offset]:
                    known.insert(at, message.offset)
            yield

    def _read(self, offset: int) -> Generator[None, None, Anchor | None]:
        """Return what stands at an offset; None if it cannot be read or is no longer there."""
        if offset < self._log.span(ANCHORS, self._partition)[0]:
            return None
        for messages in self._log.read(ANCHORS, self._partition, offset, offset + 1):
            for message in messages:
                return _anchor(message)
            yield
        return None

    def load(self, key: ModelKey, anchor: Anchor) -> Generator[None, None, Restored | None]:
        """Return the state of an anchor, verified; None if it is refused or not all there."""
        shelf = Shelf(self._signing, plant=self._plant)
        stop = min(
            anchor.offset + anchor.chunks + FURTHER, self._log.span(ANCHORS, self._partition)[1]
        )
        for messages in self._log.read(ANCHORS, self._partition, anchor.offset, stop):
            for message in messages:
                base, chunk = split_key(message.key or b"")
                if base != key.encode() or (chunk == 0 and message.offset != anchor.offset):
                    continue
                shelf.add(message)
            found = shelf.newest.get(key)
            if found is not None:
                return found if found.sequence == anchor.sequence else None
            yield
        return None


def _anchor(message: Message) -> Anchor | None:
    try:
        record = codec("Snapshot").decode(message.value)
    except InvalidRecordError:
        return None
    return Anchor(
        message.offset,
        record["sequence"],
        record["version"],
        record["state_digest"],
        record["chunks"],
        {each["topic"]: each["offset"] for each in record["positions"]},
    )

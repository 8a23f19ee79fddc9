"""Where a partition of the control plane is read on."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from tidemill.kernel.deadletters import REASON_HEADER, SUFFIX, PoisonWatch
from tidemill.kernel.errors import InvariantError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from faust.types import TP

    from tidemill.kernel.deciding import Decider, Handled
    from tidemill.kernel.processor import Log
    from tidemill.kernel.records import Message

ASK_AGAIN_S = 0.1


class Owned:
    """A partition of ours: what is remembered of it, and where each topic of it is read on."""

    def __init__(self, decider: Decider, next_offset: dict[str, int]) -> None:
        self.decider = decider
        self.next_offset = next_offset
        self._poison = PoisonWatch()

    def watch(self, message: Message, handled: Handled) -> None:
        """Hold that not most records are set aside.

        Raises:
            InvariantError: They are.
        """
        dead = [emit for emit in handled.emits if emit.topic.endswith(SUFFIX)]
        reason = dict(dead[-1].headers)[REASON_HEADER].decode() if dead else ""
        self._poison.observe(1, len(dead), f"{message.position}: {reason}")

    def passed(self, records: int) -> None:
        """Note records of which nothing was written."""
        self._poison.observe(min(records, PoisonWatch.WINDOW), 0, "")


def remembered_of(
    log: Log, where: TP, valid: Callable[[bytes, bytes], bytes]
) -> dict[bytes, bytes]:
    """Return what the topic of a table holds of a partition.

    Args:
        valid: Says which of two entries under one key holds.
    """
    found: dict[bytes, bytes] = {}
    for batch in log.read(*where, *log.span(*where)):
        for message in batch:
            key = message.key or b""
            if message.value is None:
                found.pop(key, None)
            else:
                found[key] = valid(found.get(key, message.value), message.value)
    return found


def mended(data: dict[bytes, bytes], partition: int, remembered: Mapping[bytes, bytes]) -> int:
    """Hold Faust's table against its topic: it passes over records there too.

    Returns:
        How many entries were not as they should be.
    """
    prefix = f"{partition}|".encode()
    mine = {key: data[key] for key in list(data) if key.startswith(prefix)}
    if mine == remembered:
        return 0
    for key in mine:
        data.pop(key, None)
    data.update(remembered)
    return len(set(mine.items()) ^ set(remembered.items()))


async def begin(
    consumer: Any, starts: Mapping[TP, int], is_ours: Callable[[], bool]
) -> None:  # Any: Faust's
    """Have the group know where topics begin, before any record of them is decided.

    What begins at its end would otherwise begin at a later one after a crash. Partitions may go
    meanwhile, and with them what was to be committed; then it is their owner who commits.
    """
    while is_ours():
        new = [tp for tp in starts if await consumer.committed_offset(tp) is None]
        if not new or not is_ours():
            return
        consumer.done.update({tp: starts[tp] for tp in new})
        await consumer.commit()
        await asyncio.sleep(ASK_AGAIN_S)


def start_of(
    where: str,
    committed: int | None,
    span: tuple[int, int],
    remembered: int,
    *,
    may_skip: bool = False,
) -> int:
    """Return the offset to read on from.

    Args:
        where: The partition, in words.
        committed: By the group; None where it has committed nothing, or that has expired.
        span: The first offset that is retained, and the end.
        remembered: The last offset that a decision is remembered of; what it caused may yet have to
            be written.
        may_skip: Whether it goes on with what there is where older records are gone.

    Raises:
        InvariantError: The records there are not those that come next.
    """
    first, end = span
    start = max(first, remembered) if committed is None else committed
    if may_skip:
        start = max(first, start)
    if first <= start <= end:
        return start
    what = "committed" if committed is not None else "remembered"
    why = "retention took records that nobody had decided"
    choice = "restore them, or accept that they are lost and set the group's offset"
    if start > end:
        why = "the topic was made anew"
        choice = "empty the table's topic too, which holds positions, and delete the group's offset"
    msg = (
        f"{where}: {what} is offset {start}, retained are {first} to {end}: {why}. Choose: {choice}"
    )
    raise InvariantError(msg)

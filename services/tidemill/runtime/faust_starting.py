"""Where a partition of the control plane is read on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidemill.kernel.deadletters import PoisonWatch
from tidemill.kernel.errors import InvariantError

if TYPE_CHECKING:
    from tidemill.kernel.deciding import Decider


class Owned:
    """A partition of ours: what is remembered of it, and where each topic of it is read on."""

    def __init__(self, decider: Decider, next_offset: dict[str, int]) -> None:
        self.decider = decider
        self.next_offset = next_offset
        self.poison = PoisonWatch()


def start_of(where: str, committed: int | None, span: tuple[int, int], remembered: int) -> int:
    """Return the offset to read on from.

    Args:
        where: The partition, in words.
        committed: By the group; None where it has committed nothing, or that has expired.
        span: The first offset that is retained, and the end.
        remembered: The last offset that a decision is remembered of; what it caused may yet have to
            be written.

    Raises:
        InvariantError: The records there are not those that come next.
    """
    first, end = span
    start = max(first, remembered) if committed is None else committed
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

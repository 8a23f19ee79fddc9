"""When a strong episode of an asset is over: long memories are judged as if begun at its end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tidemill.detection.asset_passes import KINDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from tidemill.detection.asset_block import Block

    Numbers = NDArray[np.float64]

# A statistic this far from its level in the reference, 0, to its limit, 1, is near it.
NEAR = 0.5
# A long memory that begins anew is to be so near its level: it has not come far yet.
_FAINT = 0.15
# Only memories so many times shorter than the longest say that an episode is over: a lasting change
# that takes them over their limits by chance is one that the longest sees early.
_SHORTER = 32
# How much of a length of the longest memory it is looked at: it has come half of its way by then.
_LASTS = 0.8


class Repair:
    """Since when an episode seems over, by the short memories that saw it.

    A strong episode fills the long memories, which forget it over thousands of events. Where a
    short memory was over its limit, the long ones are looked at without what they held at the last
    event at which a short one was near it.

    Args:
        memory: Weights of the newest event, largest first.
        blocks: How many blocks of sensors there are.

    Attributes:
        short: How many memories are short.
        since: Number of the event at which the long memories begin, once a short one was over its
            limit in this episode; None before.
    """

    def __init__(self, memory: Sequence[float], blocks: int) -> None:
        self.short = sum(weight >= _SHORTER * memory[-1] for weight in memory)
        self.since: int | None = None
        self._lasts = int(_LASTS / memory[-1])
        count = len(KINDS)
        self._is_short = np.tile(np.arange(count * len(memory)) < count * self.short, blocks)

    def forget(self, blocks: Sequence[Block]) -> None:
        """Take the episode as over."""
        self.since = None
        for block in blocks:
            block.before = None

    def left(self, events: int) -> int:
        """Return how many events there are at least to the look at the long memories."""
        return self._lasts if self.since is None else self.since + self._lasts + 1 - events

    def noted(self, excess: Numbers, first: int) -> int | None:
        """Take (n, all channels) statistics of events of an episode, 1 at their limits.

        Args:
            excess: The statistics.
            first: Number of the first event.

        Returns:
            The place among them of the last at which long memories begin; None without any.
        """
        seen = excess[:, self._is_short]
        is_near: NDArray[np.bool_] = np.any(seen > NEAR, axis=1)
        if self.since is None:
            is_over: NDArray[np.bool_] = np.any(seen > 1.0, axis=1)
            is_near &= np.logical_or.accumulate(is_over)
        if not is_near.any():
            return None
        place = int(np.flatnonzero(is_near)[-1])
        self.since = first + place
        return place

    def is_over(self, blocks: Sequence[Block], event: int) -> bool:
        """Return whether no long memory is near its limit without what was before `since`.

        Then they go on without it; else they begin at this event.
        """
        assert self.since is not None
        elapsed = event - self.since
        long = [block.long_since(elapsed, self.short) for block in blocks]
        if any(
            np.any(block.excess(each) > _FAINT) for block, each in zip(blocks, long, strict=True)
        ):
            self.since = event
            self.keep(blocks)
            return False
        for block, each in zip(blocks, long, strict=True):
            block.go_on(each)
        self.forget(blocks)
        return True

    def keep(self, blocks: Sequence[Block]) -> None:
        """Keep what the long memories hold at the event just taken."""
        for block in blocks:
            block.before = block.long(self.short)

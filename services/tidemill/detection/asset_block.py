"""A block of sensors watched together: it learns a reference, holds it, and says how far off."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tidemill.detection.asset_kept import Kept
from tidemill.detection.asset_passes import KINDS, Moving, advance
from tidemill.detection.asset_reference import Fitting, last_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tidemill.detection.asset_reference import Learned, Learning

    Numbers = NDArray[np.float64]


class Mark(NamedTuple):
    """Where a block stands."""

    rows: int
    calm: NDArray[np.int64]
    moving: tuple[Numbers, ...]


class Long(NamedTuple):
    """What the longest memories of a block hold after a row: see `Moving`."""

    row: int
    white: Numbers
    alone: Numbers
    spread: Numbers
    level: Numbers
    energy: Numbers


class Block:
    """What is known of a block; rows come event by event or many at once, to the same end.

    Attributes:
        rows: How many rows came since the reference began.
        kept: The reference, until it is learned.
        fitting: How far that is; None before the reference is complete.
        last: The last rows, while fitting.
        learned: What the reference says; None before its end.
        moving: What moves with every event.
        calm: (3 K,) number of the last row at which each statistic was as in the reference.
        before: What the longest memories held when an episode was last sure to last; None without.
    """

    def __init__(self, sensors: int, how: Learning) -> None:
        self.sensors, self.how = sensors, how
        self.renew()

    def renew(self) -> None:
        """Forget the reference; the rows that come next are the new one."""
        memories = len(self.how.memory)
        self.rows = 0
        self.kept = Kept(self.how.rows, self.sensors)
        self.fitting: Fitting | None = None
        self.last = np.zeros((0, self.sensors))
        self.learned: Learned | None = None
        self.moving = Moving(self.sensors, self.how.lags, memories)
        self.calm = np.zeros(len(KINDS) * memories, dtype=np.int64)
        self.before: Long | None = None

    def take(self, rows: Numbers) -> Numbers:
        """Take rows, while learning no more than `left`; return their statistics, (n, 3 K).

        While the model is learned, and where the reference does not hold, there are none: zeros.
        """
        out = np.zeros((len(rows), self.calm.size))
        learned = self.learned
        if learned is None:
            self._keep(rows)
        elif learned.holds:
            advance(np.ascontiguousarray(rows), learned.frozen, self.moving, out, counting=False)
            self._note_calm(out, learned.levels)
        self.rows += len(rows)
        while self.learned is None and self.left() == 0:
            self._learn()
        return out

    def left(self) -> int:
        """Return how many rows there are to the next step of the fit."""
        taken = 0 if self.fitting is None else self.fitting.taken
        return self.how.rows + taken * self.how.apart - self.rows

    def _keep(self, rows: Numbers) -> None:
        if self.fitting is None:
            self.kept.add(rows)
        else:
            self.last = np.concatenate([self.last, rows])[-self.how.lags :]

    def _note_calm(self, out: Numbers, levels: Numbers) -> None:
        is_calm = out <= levels
        last = self.rows + len(out) - 1 - is_calm[::-1].argmax(axis=0)
        self.calm = np.where(is_calm.any(axis=0), last, self.calm)

    def _learn(self) -> None:
        """Take a step of the fit."""
        if self.fitting is None:
            rows = self.kept.all()
            self.fitting, self.last = Fitting(rows, self.how), rows[-self.how.lags :]
        self.learned = self.fitting.step()
        if self.learned is not None:
            self.moving.start(last_rows(self.last, self.learned.frozen))
            self.calm[:] = self.rows - 1
            self.kept, self.fitting = Kept(0, self.sensors), None
            self.last = np.zeros((0, self.sensors))

    @property
    def limits(self) -> Numbers:
        """(3 K,) of the statistics; infinite where nothing is watched."""
        if self.learned is None or not self.learned.holds:
            return np.full(self.calm.size, np.inf)
        return self.learned.limits

    @property
    def levels(self) -> Numbers:
        """(3 K,) what the statistics are about in the reference; 0 before it is learned."""
        return np.zeros(self.calm.size) if self.learned is None else self.learned.levels

    def unwatched(self) -> int:
        """Return how many sensors are not watched: all of them before the reference is learned."""
        return self.sensors if self.learned is None else len(self.learned.silent())

    def mark(self) -> Mark:
        """Return where the block stands; only while it is watching does `rewind` lead back."""
        return Mark(self.rows, self.calm, self.moving.copies())

    def rewind(self, mark: Mark) -> None:
        """Go back to where the block stood."""
        self.rows, self.calm = mark.rows, mark.calm
        self.moving.put(mark.moving)

    def long(self, short: int) -> Long:
        """Return what all memories but so many short ones hold."""
        held = [getattr(self.moving, name)[short:].copy() for name in Long._fields[1:]]
        return Long(self.rows - 1, *held)

    def long_since(self, rows: int, short: int) -> Long:
        """Return what the long ones would hold had they begun after `before`, so many rows ago."""
        now, before = self.long(short), self.before
        assert before is not None
        left = np.ones((len(now.energy), 1))
        for _ in range(rows):
            left *= 1.0 - np.array(self.how.memory[short:]).reshape(-1, 1)
        return Long(
            before.row,
            now.white - left * before.white,
            now.alone - left * before.alone,
            now.spread - left * (before.spread - 1.0),
            now.level - left * before.level,
            now.energy - left[:, 0] * (before.energy - 1.0),
        )

    def excess(self, long: Long) -> Numbers:
        """Return the statistics of long memories, 1 at their limits; 0 where none is watched."""
        if self.learned is None or not self.learned.holds:
            return np.zeros(0)
        frozen, short = self.learned.frozen, len(self.how.memory) - len(long.energy)
        squares = long.white * long.white * frozen.per_white[short:]
        together = np.add.accumulate(squares, axis=1)[:, -1] * frozen.share
        alone = (long.alone * long.alone * frozen.per_alone[short:]).max(axis=1)
        out = np.stack([together, alone, long.energy], axis=1).ravel()
        here = slice(len(KINDS) * short, None)
        levels = self.levels[here]
        return np.asarray((out - levels) / (self.limits[here] - levels))

    def go_on(self, long: Long) -> None:
        """Let the long memories go on from there; until then all was as in the reference."""
        short = len(self.how.memory) - len(long.energy)
        for name, each in zip(Long._fields[1:], long[1:], strict=True):
            getattr(self.moving, name)[short:] = each
        here = slice(len(KINDS) * short, None)
        calm = self.calm.copy()
        calm[here] = np.maximum(calm[here], long.row)
        self.calm = calm

    def evidence(self, channel: int) -> list[tuple[int, float, float]]:
        """Return number, evidence and effect of each sensor that says something: see `Ranked`."""
        if self.learned is None or not self.learned.holds:
            return []
        k, kind = divmod(channel, len(KINDS))
        moving, frozen = self.moving, self.learned.frozen
        if KINDS[kind] == "spread":
            evidence = np.sqrt(moving.spread[k])
        else:
            evidence = np.abs(moving.alone[k]) * np.sqrt(frozen.per_alone[k])
        return [
            (int(i), float(evidence[i]), float(moving.level[k, i]))
            for i in np.flatnonzero(frozen.inverse)
        ]

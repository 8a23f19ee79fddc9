"""What a reference says, with limits from rows of it that the model did not see."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tidemill.detection.asset_fit import Reference, fit, grams, standardised
from tidemill.detection.asset_limits import (
    Counted,
    expected_squares,
    inflations,
    limits,
    usual_most,
)
from tidemill.detection.asset_passes import KINDS, Moving, advance

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from tidemill.detection.asset_passes import Frozen

    Numbers = NDArray[np.float64]

# A memory is used where the reference is worth so many independent samples of it.
FEWEST = 4.0
# Each part in turn is held out of the fit.
PARTS = 8


@dataclass(frozen=True, slots=True)
class Learned:
    """What a reference said.

    Attributes:
        limits: (3 K,) of the statistics, K memories of three kinds each.
        levels: (3 K,) what the statistics are about in the reference.
        inflation: (K, p) by how much memories of sensors vary more than theory has it.
        over: Share of the second half that is over limits of the first.
        holds: Whether that says that the reference holds.
    """

    frozen: Frozen
    limits: Numbers
    levels: Numbers
    inflation: Numbers
    over: float
    holds: bool

    def silent(self) -> list[int]:
        """Return the sensors that are not watched: all, where the reference does not hold."""
        return [i for i, inverse in enumerate(self.frozen.inverse) if not (self.holds and inverse)]


@dataclass(frozen=True, slots=True)
class Learning:
    """How a reference is learned.

    Attributes:
        rows: How many rows are the reference.
        lags: How many rows before it foretell one.
        ridge: The penalty, per row, on what sensors say of each other's next values.
        memory: Weights of the newest event, largest first.
        run_length: Events between false alarms.
        refuse_above: The reference does not hold where a larger share of its second half is over
            limits of its first.
        apart: Events between two steps of the fit; 0 takes them all at once.
    """

    rows: int
    lags: int
    ridge: float
    memory: tuple[float, ...]
    run_length: float
    refuse_above: float
    apart: int = 0


def affordable(memory: tuple[float, ...], rows: int) -> tuple[float, ...]:
    """Return the memories for which there are rows enough; at least the shortest."""
    enough = [lam for lam in memory if rows * lam / (2.0 - lam) >= FEWEST]
    return tuple(enough) or memory[:1]


class Held(NamedTuple):
    """Rows of which each part in turn is held out of a model of the others.

    Attributes:
        reference: What they say, standardised.
        rows: As they came.
        parts: Of the reference.
        sums: Of products, of each part.
    """

    reference: Reference
    rows: Numbers
    parts: list[slice]
    sums: list[Numbers]

    @classmethod
    def of(cls, rows: Numbers, lags: int) -> Held:
        """Divide rows."""
        reference = Reference.of(rows, lags)
        count = len(reference.now)
        parts = [slice(count * f // PARTS, count * (f + 1) // PARTS) for f in range(PARTS)]
        return cls(reference, rows, parts, [grams(reference, part) for part in parts])


class Fitting:
    """A reference that is learned in steps: none takes long.

    Whether the rows are a reference at all is asked of their second half, held against what the
    first half alone says: its model, and its limits.

    Attributes:
        taken: How many steps were.
        counts: (2, K, 2 p + 5) sums of `Moving` over parts held out: of all rows, of the first
            half.
        expected: (2, K) what is expected of them.
    """

    STEPS = 2 * PARTS + 3

    def __init__(self, rows: Numbers, how: Learning) -> None:
        self.rows, self.how = rows, how
        memories = len(how.memory)
        self.taken = 0
        self.counts = np.zeros((2, memories, 2 * rows.shape[1] + 5))
        self.expected = np.zeros((2, memories))
        # What follows from the rows alone, and is made again where it is not at hand.
        self._held: dict[int, Held] = {}

    def step(self) -> Learned | None:
        """Take a step; return what was learned after the last of them."""
        half, part = divmod(self.taken, PARTS + 1)
        self.taken += 1
        if self.taken == self.STEPS:
            return self._learned()
        held = self._of(half)
        if part:
            self._hold_out(half, held, part - 1)
        return None

    def _of(self, half: int) -> Held:
        if half not in self._held:
            rows = self.rows[: len(self.rows) // 2] if half else self.rows
            self._held[half] = Held.of(rows, self.how.lags)
        return self._held[half]

    def _hold_out(self, half: int, held: Held, part: int) -> None:
        """Let one part pass by a model of the others."""
        reference, how = held.reference, self.how
        out_of = held.parts[part]
        kept = np.ones(len(reference.now), dtype=bool)
        kept[out_of] = False
        others = _added(held.sums[:part] + held.sums[part + 1 :])
        frozen = fit(reference, kept, others, memory=how.memory, ridge=how.ridge)
        moving = Moving(reference.now.shape[1], reference.lags, len(how.memory))
        begin, end = out_of.start + reference.lags, out_of.stop + reference.lags
        moving.start(reference.before(begin))
        out = np.zeros((end - begin, len(KINDS) * len(how.memory)))
        advance(np.ascontiguousarray(held.rows[begin:end]), frozen, moving, out, counting=True)
        self.counts[half] += moving.sums
        self.expected[half] += [expected_squares(lam, end - begin) for lam in how.memory]

    def _said(self, half: int) -> Learned:
        """Return what rows say: a model of all, limits from each part by a model of the others."""
        reference, sums = self._of(half).reference, _added(self._of(half).sums)
        count = len(reference.now)
        everything = np.ones(count, dtype=bool)
        whole = fit(reference, everything, sums, memory=self.how.memory, ridge=self.how.ridge)
        counts, expected = self.counts[half], self.expected[half]
        return _limited(whole, counts, expected, count, run_length=self.how.run_length)

    def _learned(self) -> Learned:
        first, before = self._said(1), self._of(1).reference
        rows = np.ascontiguousarray(self.rows[len(before.values) :])
        moving = Moving(rows.shape[1], self.how.lags, len(self.how.memory))
        moving.start(before.before(len(before.values)))
        out = np.zeros((len(rows), first.limits.size))
        advance(rows, first.frozen, moving, out, counting=False)
        over = float(np.mean(np.any(out > first.limits, axis=1)))
        return replace(self._said(0), over=over, holds=over <= self.how.refuse_above)


def learn(rows: Numbers, how: Learning) -> tuple[Learned, Numbers]:
    """Return what rows say, all steps at once, and the last of them: see `last_rows`."""
    fitting = Fitting(rows, how)
    learned = None
    while learned is None:
        learned = fitting.step()
    return learned, last_rows(rows[-how.lags :], learned.frozen)


def last_rows(rows: Numbers, frozen: Frozen) -> Numbers:
    """Return rows standardised, newest first."""
    return np.ascontiguousarray(standardised(rows, frozen.center, frozen.inverse)[::-1])


def _added(sums: Sequence[Numbers]) -> Numbers:
    total = np.zeros_like(sums[0])
    for each in sums:
        total += each
    return total


def _limited(
    frozen: Frozen, counts: Numbers, expected: Numbers, rows: int, *, run_length: float
) -> Learned:
    says = frozen.inverse > 0.0
    memories, sensors = frozen.per_white.shape
    kinds = len(KINDS)
    per_white, per_alone = frozen.per_white.copy(), frozen.per_alone.copy()
    inflation = np.ones((memories, sensors))
    limit, level = np.zeros(kinds * memories), np.zeros(kinds * memories)
    for k, lam in enumerate(frozen.memory.tolist()):
        found = Counted.of(counts[k], float(expected[k]), rows, lam)
        per_white[k] /= inflations(found.squares_white, found.samples, says)
        inflation[k] = inflations(found.squares_alone, found.samples, says)
        per_alone[k] /= inflation[k]
        here = slice(kinds * k, kinds * k + kinds)
        limit[here] = limits(found, lam, says, run_length * kinds * memories)
        level[here] = 1.0, usual_most(int(says.sum())), found.energy
    frozen = replace(frozen, per_white=per_white, per_alone=per_alone)
    return Learned(frozen, limit, level, inflation, over=0.0, holds=True)

"""What a reference says, with limits from rows of it that the model did not see."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from tidemill.detection.asset_fit import Reference, fit, grams
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
    """

    rows: int
    lags: int
    ridge: float
    memory: tuple[float, ...]
    run_length: float
    refuse_above: float


def affordable(memory: tuple[float, ...], rows: int) -> tuple[float, ...]:
    """Return the memories for which there are rows enough; at least the shortest."""
    enough = [lam for lam in memory if rows * lam / (2.0 - lam) >= FEWEST]
    return tuple(enough) or memory[:1]


def learn(rows: Numbers, how: Learning) -> tuple[Learned, Numbers]:
    """Return what rows say, and the last of them, standardised, newest first.

    Whether they are a reference at all is asked of their second half, held against what the first
    half alone says: its model, and its limits.
    """
    reference = Reference.of(rows, how.lags)
    learned = _learned(reference, rows, how)
    half = len(rows) // 2
    before = Reference.of(rows[:half], how.lags)
    first = _learned(before, rows[:half], how)
    moving = Moving(rows.shape[1], how.lags, len(how.memory))
    moving.start(before.before(half))
    out = np.zeros((len(rows) - half, first.limits.size))
    advance(np.ascontiguousarray(rows[half:]), first.frozen, moving, out, counting=False)
    over = float(np.mean(np.any(out > first.limits, axis=1)))
    learned = replace(learned, over=over, holds=over <= how.refuse_above)
    return learned, reference.before(len(rows))


def _learned(reference: Reference, rows: Numbers, how: Learning) -> Learned:
    """Return what rows say: a model of all, limits from each part by a model of the others."""
    count = len(reference.now)
    parts = [slice(count * f // PARTS, count * (f + 1) // PARTS) for f in range(PARTS)]
    sums = [grams(reference, part) for part in parts]
    found = [
        _held_out(reference, rows, part, sums[:f] + sums[f + 1 :], how)
        for f, part in enumerate(parts)
    ]
    everything = np.ones(count, dtype=bool)
    whole = fit(reference, everything, _added(sums), memory=how.memory, ridge=how.ridge)
    counts, expected = _added([each[0] for each in found]), _added([each[1] for each in found])
    return _limited(whole, counts, expected, count, run_length=how.run_length)


def _held_out(  # noqa: PLR0917 - all five are what is held out of what
    reference: Reference, rows: Numbers, held: slice, others: Sequence[Numbers], how: Learning
) -> tuple[Numbers, Numbers]:
    """Return sums of `Moving` over rows held out of a model of the others; what is expected."""
    kept = np.ones(len(reference.now), dtype=bool)
    kept[held] = False
    frozen = fit(reference, kept, _added(others), memory=how.memory, ridge=how.ridge)
    moving = Moving(reference.now.shape[1], reference.lags, len(how.memory))
    begin, end = held.start + reference.lags, held.stop + reference.lags
    moving.start(reference.before(begin))
    out = np.zeros((end - begin, len(KINDS) * len(how.memory)))
    advance(np.ascontiguousarray(rows[begin:end]), frozen, moving, out, counting=True)
    return moving.sums, np.array([expected_squares(lam, end - begin) for lam in how.memory])


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

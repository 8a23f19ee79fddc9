"""Shapley values of any function of its players: by all subsets, or by seeded permutations.

The function is asked about sets of players as bits of a number: bit i says whether player i has
joined. Source: Shapley (1953); permutations: Castro, Gomez & Tejada (2009), Computers & Operations
Research 36:1726-1730; antithetic pairs: Mitchell et al. (2022), JMLR 23(43).
"""

from __future__ import annotations

import hashlib
import math
import random
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class Shares(NamedTuple):
    """What each player added between nobody and everybody.

    Attributes:
        errors: Standard errors of the shares; None where they are exact.
        samples: Permutations drawn; None where exact.
    """

    base: float
    prediction: float
    shares: tuple[float, ...]
    errors: tuple[float, ...] | None
    samples: int | None


def shapley(
    value: Callable[[int], float], players: int, seed: bytes, *, permutations: int
) -> Shares:
    """Return the shares: exactly where that asks no more questions than sampling would.

    Args:
        value: The worth of a set of players.
        players: How many; 0 and up.
        seed: Decides the permutations; equal seeds give equal bits.
        permutations: How many to draw, an even number: each comes with its reverse.
    """
    if 1 << players <= permutations * max(players - 1, 0) + 2:
        return enumerated(value, players)
    return sampled(value, players, seed, permutations=permutations)


def enumerated(value: Callable[[int], float], players: int) -> Shares:
    """Return the exact shares, by all 2^players sets.

    phi_i = sum over S without i of |S|! (n - |S| - 1)! / n! (v(S + i) - v(S))
    """
    worth = [value(joined) for joined in range(1 << players)]
    weights = [
        math.factorial(size) * math.factorial(players - size - 1) / math.factorial(players)
        for size in range(players)
    ]
    shares = []
    for player in range(players):
        bit, share = 1 << player, 0.0
        for joined, before in enumerate(worth):
            if not joined & bit:
                share += weights[joined.bit_count()] * (worth[joined | bit] - before)
        shares.append(share)
    return Shares(worth[0], worth[-1], tuple(shares), None, None)


def sampled(
    value: Callable[[int], float], players: int, seed: bytes, *, permutations: int
) -> Shares:
    """Return the mean of what each player adds as players join in orders drawn at random.

    Every order is walked forwards and backwards, and the standard error is that of the mean over
    such pairs. The shares add up whatever was drawn.
    """
    chance = random.Random(int.from_bytes(hashlib.sha256(seed).digest()))
    known: dict[int, float] = {}
    pairs = max(permutations // 2, 1)
    added: list[list[float]] = [[] for _ in range(players)]
    for _ in range(pairs):
        order = list(range(players))
        chance.shuffle(order)
        there, back = _walk(value, order, known), _walk(value, order[::-1], known)
        for player, one, other in zip(added, there, back, strict=True):
            player.append(0.5 * (one + other))
    shares, errors = zip(*map(_mean_and_error, added), strict=True) if added else ((), ())
    ends = _asked(value, 0, known), _asked(value, (1 << players) - 1, known)
    return Shares(*ends, shares, errors, 2 * pairs)


def _walk(
    value: Callable[[int], float], order: Sequence[int], known: dict[int, float]
) -> list[float]:
    """Return what each player adds, by player, when they join in this order."""
    added = [0.0] * len(order)
    joined = 0
    before = _asked(value, joined, known)
    for player in order:
        joined |= 1 << player
        after = _asked(value, joined, known)
        added[player] = after - before
        before = after
    return added


def _asked(value: Callable[[int], float], joined: int, known: dict[int, float]) -> float:
    if joined not in known:
        known[joined] = value(joined)
    return known[joined]


def _mean_and_error(values: Sequence[float]) -> tuple[float, float]:
    """Return the mean and its standard error; 0 of one value, which says nothing of its spread."""
    count, total, squares = len(values), 0.0, 0.0
    for value in values:
        total += value
    mean = total / count
    for value in values:
        squares += (value - mean) * (value - mean)
    return mean, math.sqrt(squares / (count * (count - 1))) if count > 1 else 0.0

"""Shapley values of a sum of products: what each player adds to it, exactly."""

from __future__ import annotations

import random
from decimal import Decimal, localcontext
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Indices = NDArray[np.intp]

_DIGITS = 40

# Seeded cases that the compiled form is held to before it is used.
_TRIALS = 200
_SEED = 1

# A factor below this is nothing: what is left of its row is too small for any sum.
_NOTHING = 1e-150


def _built() -> Any:  # Any: a module, or None where the package was built without a compiler
    try:
        from tidemill.attribution import _products  # noqa: PLC0415 - may be missing
    except ImportError:
        return None
    return _products


compiled = _built()


class Rows(NamedTuple):
    """A sum over rows of a value times a product of factors, one for each player in the row.

    A player who is in the coalition contributes `there`, one who is not `away`.

    Attributes:
        there: Shape (slots, rows); 0 or 1; 1 where a row has fewer players than slots.
        away: The same shape; within [0, 1]; 1 where a row has fewer players.
        players: The same shape; who stands in the slot; `people` where nobody does.
        people: How many players there are.
    """

    there: Floats
    away: Floats
    players: Indices
    people: int


def product(factors: Floats) -> Floats:
    """Return the product over the slots of each row; 1 where there are no slots."""
    made: Floats = np.ones(factors.shape[1:])
    for factor in factors:
        made *= factor
    return made


def total(values: Floats) -> float:
    """Return the sum, added in order: NumPy's own order depends on the processor."""
    return float(np.add.accumulate(values)[-1]) if len(values) else 0.0


def attributions(rows: Rows, values: Floats) -> list[float]:
    """Return each player's Shapley value in the game of a sum of products.

    With o = `there`, z = `away` and v = `values`, player i of a row receives

        v (o_i - z_i) * integral over t in [0, 1] of the product over j != i of
        t o_j + (1 - t) z_j

    which is the mean over all orders of what i adds on joining: a player who joins at the
    uniform time T finds each other one there with probability T. The integrand is a polynomial
    of one degree less than there are slots, so that half as many nodes integrate it exactly.

    Computed by compiled code where that is built and gives the same bits here, else by NumPy.

    Source: Owen (1972), Management Science 18:64-79, for the integral; Lundberg, Erion & Lee
    (2018), arXiv 1802.03888, for the game of a tree.
    """
    if not rows.there.size:
        return [0.0] * rows.people
    return _fast(rows, values) if is_trusted() else by_numpy(rows, values)


@cache
def is_trusted() -> bool:
    """Return whether the compiled form is there and equals NumPy's here, on seeded cases."""
    return compiled is not None and all(
        _fast(*trial) == by_numpy(*trial) for trial in map(_trial, range(_TRIALS))
    )


def _trial(number: int) -> tuple[Rows, Floats]:
    """Return seeded rows, some with factors that are nothing."""
    chance = random.Random(_SEED + number)
    slots, count, people = chance.randrange(1, 14), chance.randrange(1, 40), 14
    there = [[float(chance.random() < 0.5) for _ in range(count)] for _ in range(slots)]
    tiny = (0.0, 1.0, 1e-160, 1e-20)
    away = [
        [chance.choice(tiny) if chance.random() < 0.1 else chance.random() for _ in range(count)]
        for _ in range(slots)
    ]
    players = [[chance.randrange(people + 1) for _ in range(count)] for _ in range(slots)]
    values = np.array([chance.gauss(0.0, 10.0) for _ in range(count)])
    places = np.array(players, dtype=np.intp)
    return Rows(np.array(there), np.array(away), places, people), values


def _fast(rows: Rows, values: Floats) -> list[float]:
    nodes, weights = legendre((len(rows.there) + 1) // 2)
    found: list[float] = compiled.attributions(*rows, values, nodes, weights, _NOTHING)
    return found


def by_numpy(rows: Rows, values: Floats) -> list[float]:
    """Return what `attributions` does, array by array."""
    slots = len(rows.there)
    away = rows.away
    nobody = (rows.there + away) < _NOTHING
    if nobody.any():
        # A factor that is nothing with and without its player makes its row nothing for everybody.
        values = np.where(nobody.any(axis=0), 0.0, values)
        away = np.where(nobody, 1.0, away)
    gain = rows.there - away
    nodes, weights = legendre((slots + 1) // 2)
    factors = gain[:, None, :] * nodes[:, None]
    factors += away[:, None, :]
    whole = product(factors)
    whole *= values
    whole *= weights[:, None]
    np.divide(whole, factors, out=factors)
    others = factors[:, 0].copy()
    for node in range(1, len(nodes)):
        others += factors[:, node]
    others *= gain
    added = np.bincount(rows.players.ravel(), others.ravel(), minlength=rows.people)
    found: list[float] = added[: rows.people].tolist()
    return found


@cache
def legendre(count: int) -> tuple[Floats, Floats]:
    """Return the nodes and weights of Gauss-Legendre quadrature on [0, 1].

    They are computed in decimal arithmetic and rounded once: the same on every machine.

    Source: Abramowitz & Stegun (1964), 25.4.30 and 22.8.5, by Newton's method.
    """
    with localcontext() as context:
        context.prec = _DIGITS
        pairs = [_node(count, number) for number in range(count)]
    nodes = np.array([float(node) for node, _ in pairs])
    return nodes, np.array([float(weight) for _, weight in pairs])


def _node(count: int, number: int) -> tuple[Decimal, Decimal]:
    """Return a node and its weight; the guess is Tricomi's, and good enough for Newton."""
    angle = np.pi * (number + 0.75) / (count + 0.5)
    x = Decimal(float(np.cos(angle)))
    for _ in range(8):
        value, slope = _polynomial(count, x)
        x -= value / slope
    _, slope = _polynomial(count, x)
    return (1 - x) / 2, 1 / ((1 - x * x) * slope * slope)


def _polynomial(count: int, x: Decimal) -> tuple[Decimal, Decimal]:
    """Return the Legendre polynomial of a degree, and its derivative."""
    before, value = Decimal(1), x
    for degree in range(2, count + 1):
        before, value = value, ((2 * degree - 1) * x * value - (degree - 1) * before) / degree
    return value, count * (x * value - before) / (x * x - 1)

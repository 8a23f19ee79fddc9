"""Shapley values: all subsets by definition, permutations within their standard errors."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attribution.oracle import by_definition
from tidemill.attribution.shapley import enumerated, sampled, shapley

PERMUTATIONS = 32


def game(players: int, seed: int = 1) -> list[float]:
    """Return a game without structure: a number for each set of players."""
    chance = random.Random(seed)
    return [chance.gauss(0.0, 1.0) for _ in range(1 << players)]


def bits(joined: frozenset[str]) -> int:
    return sum(1 << int(name) for name in joined)


@pytest.mark.parametrize("players", range(7))
def test_all_subsets_equal_the_mean_over_all_orders(players: int) -> None:
    worth = game(players)
    names = [str(n) for n in range(players)]
    found = enumerated(worth.__getitem__, players)

    told = by_definition(lambda joined: worth[bits(joined)], names)
    assert found.shares == pytest.approx(told, abs=1e-12)
    assert (found.base, found.prediction) == (worth[0], worth[-1])
    assert (found.errors, found.samples) == (None, None)


@given(st.integers(0, 9), st.binary(max_size=40), st.sampled_from([2, 4, 32]))
def test_sampled_shares_add_up_whatever_was_drawn(
    players: int, seed: bytes, permutations: int
) -> None:
    worth = game(players)
    found = sampled(worth.__getitem__, players, seed, permutations=permutations)

    assert found.base + sum(found.shares) == pytest.approx(found.prediction, abs=1e-12)
    assert (found.base, found.prediction) == (worth[0], worth[-1])
    assert found.samples == permutations


def test_permutations_converge_within_their_standard_errors() -> None:
    worth = game(6)
    exact = enumerated(worth.__getitem__, 6).shares
    wide = 0
    for seed in range(200):
        found = sampled(worth.__getitem__, 6, str(seed).encode(), permutations=PERMUTATIONS)
        assert found.errors is not None
        misses = [
            abs(a - b) / error
            for a, b, error in zip(found.shares, exact, found.errors, strict=True)
        ]
        wide += sum(miss > 2.0 for miss in misses)
    # Beyond 2 standard errors of 15 degrees of freedom: 6.4 % of 1,200.
    assert 30 <= wide <= 130
    many = sampled(worth.__getitem__, 6, b"", permutations=20_000)
    assert many.errors is not None
    assert max(many.errors) < 0.02
    assert all(
        abs(a - b) < 5 * error for a, b, error in zip(many.shares, exact, many.errors, strict=True)
    )


def test_a_pair_of_orders_is_exact_for_what_two_players_share() -> None:
    weights = [1.0, -2.0, 0.5, 4.0, 3.0]

    def worth(joined: int) -> float:
        inside = [w for n, w in enumerate(weights) if joined >> n & 1]
        return sum(inside) + sum(a * b for a in inside for b in inside)

    found = sampled(worth, 5, b"any", permutations=2)
    assert found.shares == pytest.approx(enumerated(worth, 5).shares, abs=1e-12)


def test_equal_seeds_draw_the_same_and_nothing_else_is_asked() -> None:
    worth = game(10).__getitem__
    random.seed(1)
    one = sampled(worth, 10, b"event", permutations=PERMUTATIONS)
    state = random.getstate()
    random.seed(2)
    assert sampled(worth, 10, b"event", permutations=PERMUTATIONS) == one
    random.seed(1)
    assert random.getstate() == state
    assert sampled(worth, 10, b"other", permutations=PERMUTATIONS).shares != one.shares


def test_no_question_is_asked_twice() -> None:
    asked: list[int] = []

    def worth(joined: int) -> float:
        asked.append(joined)
        return math.sqrt(joined.bit_count())

    sampled(worth, 5, b"", permutations=PERMUTATIONS)
    assert len(asked) == len(set(asked))


@pytest.mark.parametrize(("players", "is_exact"), [(0, True), (1, True), (7, True), (8, False)])
def test_it_is_exact_where_that_asks_no_more(players: int, is_exact: bool) -> None:
    worth = game(players).__getitem__
    found = shapley(worth, players, b"", permutations=PERMUTATIONS)
    assert (found.samples is None) is is_exact


def test_one_pair_says_nothing_of_its_error() -> None:
    found = sampled(game(3).__getitem__, 3, b"", permutations=2)
    assert found.errors == (0.0, 0.0, 0.0)

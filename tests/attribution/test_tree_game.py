"""The arithmetic of products: exact quadrature, and rows that are nothing."""

from __future__ import annotations

import random
from fractions import Fraction
from itertools import product as choices
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from attribution.tree_cases import CASES, OWNER, learn, stream
from attribution.tree_reference import shapley
from tidemill.attribution import tree_game as module
from tidemill.attribution.tree_game import (
    Rows,
    attributions,
    by_numpy,
    is_trusted,
    legendre,
    total,
)
from tidemill.attribution.trees import explainer_of_trees

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.mark.parametrize("count", range(1, 33))
def test_quadrature_is_exact_for_every_degree_it_promises(count: int) -> None:
    nodes, weights = legendre(count)

    for degree in range(2 * count):
        found = sum(
            Fraction(w) * Fraction(x) ** degree for x, w in zip(nodes, weights, strict=True)
        )
        assert float(found) == pytest.approx(1 / (degree + 1), abs=1e-15)


def test_nodes_are_known_numbers() -> None:
    nodes, weights = legendre(3)

    assert sorted(nodes.tolist()) == [0.11270166537925831, 0.5, 0.8872983346207417]
    assert sorted(weights.tolist()) == [0.2777777777777778, 0.2777777777777778, 0.4444444444444444]


def rows_of(there: list[list[float]], away: list[list[float]]) -> Rows:
    """Return rows in which player n stands in slot n."""
    players = [[slot] * len(there[0]) for slot in range(len(there))]
    return Rows(np.array(there), np.array(away), np.array(players, dtype=np.intp), len(there))


@pytest.mark.parametrize("how", [attributions, by_numpy])
@pytest.mark.parametrize("slots", [1, 2, 3, 6])
def test_products_are_shared_out_by_the_definition(slots: int, how: Any) -> None:
    rng = random.Random(slots)
    there = [[float(rng.random() < 0.5) for _ in range(7)] for _ in range(slots)]
    away = [[rng.choice([0.0, rng.random()]) for _ in range(7)] for _ in range(slots)]
    values = [rng.uniform(-1, 1) for _ in range(7)]

    def worth(coalition: frozenset[str]) -> float:
        whole = 0.0
        for row, value in enumerate(values):
            for slot in range(slots):
                value *= (there if str(slot) in coalition else away)[slot][row]  # noqa: PLW2901  # a running product
            whole += value
        return whole

    names = [str(slot) for slot in range(slots)]
    expected = list(shapley(worth, names).values())
    found = how(rows_of(there, away), np.array(values))
    assert found == pytest.approx(expected, abs=1e-14)


def test_deep_rows_keep_their_precision() -> None:
    slots = 40
    away = [[0.5] for _ in range(slots)]
    found = attributions(rows_of([[1.0]] * slots, away), np.array([1.0]))

    assert sum(found) == pytest.approx(1 - 0.5**slots, abs=1e-13)
    assert found == pytest.approx([found[0]] * slots, abs=1e-15)


@pytest.mark.parametrize("tiny", [0.0, 5e-324, 1e-320, 1e-200])
def test_shares_too_small_to_count_make_nothing_infinite(tiny: float) -> None:
    for one, other in choices([0.0, 1.0], repeat=2):
        rows = rows_of([[one], [other]], [[tiny], [0.5]])
        for found in (attributions(rows, np.array([2.0])), by_numpy(rows, np.array([2.0]))):
            assert np.isfinite(found).all()
            assert sum(found) == pytest.approx(2.0 * (one * other - tiny * 0.5), abs=1e-15)


def test_sums_are_made_in_order() -> None:
    values = [1.0, *[1e-16] * 20, -1.0]
    expected = 0.0
    for value in values:
        expected += value

    assert total(np.array(values)) == expected
    assert total(np.array([])) == 0.0


needs_compiled = pytest.mark.skipif(
    module.compiled is None, reason="the package was installed without a compiler: NumPy computes"
)


@pytest.fixture
def forgets_trust() -> Iterator[None]:
    is_trusted.cache_clear()
    yield
    is_trusted.cache_clear()


@needs_compiled
def test_the_compiled_form_equals_numpy_to_the_last_bit() -> None:
    assert is_trusted()
    for case in CASES:
        model = case.build()
        explainer = explainer_of_trees(model)
        assert explainer is not None
        for number, row in enumerate(stream(150, has_texts=case.has_texts)):
            learn(model, row, case.task)
            explainer.learned(row.x)
            if number % 10 == 0:
                stack = explainer._laid(OWNER)
                rows = stack.rows(stack.follow(row.x)[0])
                chance = random.Random(number)
                values = np.array([chance.gauss(0, 1) for _ in range(rows.there.shape[1])])
                if rows.there.size:
                    assert repr(module._fast(rows, values)) == repr(by_numpy(rows, values))


@needs_compiled
def test_a_compiled_form_that_computes_otherwise_is_not_used(
    monkeypatch: pytest.MonkeyPatch, forgets_trust: None
) -> None:
    real = module.compiled.attributions

    def off(*arguments: Any) -> list[float]:
        first, *rest = real(*arguments)
        return [np.nextafter(first, 1e9), *rest]

    monkeypatch.setattr(module, "compiled", SimpleNamespace(attributions=off))

    assert not is_trusted()


def test_numpy_computes_where_nothing_was_compiled(
    monkeypatch: pytest.MonkeyPatch, forgets_trust: None
) -> None:
    rows, values = rows_of([[1.0], [0.0]], [[0.25], [0.5]]), np.array([4.0])
    before = attributions(rows, values)
    is_trusted.cache_clear()
    monkeypatch.setattr(module, "compiled", None)

    assert not is_trusted()
    assert attributions(rows, values) == before

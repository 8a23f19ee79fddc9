"""Shares of trees are Shapley values, whatever the trees have just gone through."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from attribution.tree_cases import CASES, OWNER, Row, learn, leaves, stream
from attribution.tree_reference import Game
from tidemill.attribution.trees import explainer_of_trees

if TYPE_CHECKING:
    from collections.abc import Iterator

    from attribution.tree_cases import Case
    from tidemill.attribution.explained import Explained
    from tidemill.attribution.trees import TreeExplainer

BOUND = 1e-12
CHECKED_EVERY = 10


def explain(explainer: TreeExplainer | None, row: Row, case: Case) -> Explained | None:
    assert explainer is not None
    return explainer.explain(row.x, OWNER, case.task)


def shape(model: Any) -> list[int]:
    """Return what differs when the nodes of a model's trees, or what is beside them, change."""
    trees = [model] if hasattr(model, "_root") else list(getattr(model, "trees", None) or model)
    roots = [getattr(one, "_root", one) for one in trees]
    nodes = [node for root in roots if root is not None for node in root.iter_dfs()]
    beside = [getattr(node, "_alternate_tree", None) for node in nodes]
    masses = [getattr(node, "r_mass", 0) for node in nodes]
    return [len(roots), *map(id, nodes), *map(id, beside), *masses]


def life(case: Case) -> Iterator[tuple[Any, TreeExplainer, Row, bool]]:
    """Yield a model after each case it learns, what explains it, a case to ask, what changed."""
    model = case.build()
    explainer = explainer_of_trees(model)
    assert explainer is not None
    asked = stream(case.rows, has_texts=case.has_texts, seed=4)
    before: list[int] = []
    rows = zip(stream(case.rows, has_texts=case.has_texts), asked, strict=True)
    for number, (row, other) in enumerate(rows):
        learn(model, row, case.task)
        explainer.learned(row.x)
        after = [] if leaves(model) == 0 else shape(model)
        yield model, explainer, strange(other, number), after != before
        before = after


def strange(row: Row, number: int) -> Row:
    """Return a case whose recipe, if it has one, is now and then one that nobody has seen."""
    if number % 3 or "recipe" not in row.x:
        return row
    return Row({**row.x, "recipe": "unheard of"}, row.height, row.raised)


def expected(model: Any, row: Row, case: Case, said: Explained) -> Game:
    label: Any = {"regression": None, "anomaly": None, "binary": True}.get(
        case.task.name, said.target_class
    )
    return Game(model, row.x, OWNER, label)


def assert_is_shapley(model: Any, row: Row, case: Case, said: Explained) -> None:
    game = expected(model, row, case, said)
    shares = {share.feature: share.attribution for share in said.shares}
    assert shares == pytest.approx(game.shares(), abs=BOUND, rel=0)
    assert said.base == pytest.approx(game(frozenset()), abs=BOUND, rel=0)
    assert said.prediction == pytest.approx(game(frozenset(game.players)), abs=BOUND, rel=0)


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case.name).replace(" ", "-"))
def test_shares_equal_the_definition_before_and_after_every_change(case: Case) -> None:
    checked = 0
    last = None
    for number, (model, explainer, row, changed) in enumerate(life(case)):
        if number % CHECKED_EVERY == 0 or changed:
            said = explain(explainer, row, case)
            if said is not None:
                assert_is_shapley(model, row, case, said)
                assert said.additivity_error <= BOUND
                assert said.residual == 0.0
                assert said.exact
                checked += changed
        last = model
    assert checked > 2
    happened = case.events(last)
    assert all(happened.values()), happened


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case.name).replace(" ", "-"))
def test_what_is_kept_says_after_every_case_what_a_fresh_explainer_says(case: Case) -> None:
    explained = 0
    for model, explainer, row, _ in life(case):
        kept = explain(explainer, row, case)
        fresh = explain(explainer_of_trees(model), row, case)
        assert repr(kept) == repr(fresh)
        explained += kept is not None
    assert explained > case.rows // 2

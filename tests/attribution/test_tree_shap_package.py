"""Shares of trees equal those of the shap package, which computes them another way."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from shap import TreeExplainer as Shap

from attribution.tree_cases import CASES, NUMBERS, OWNER, Row, learn, stream
from attribution.tree_reference import Game, root_of
from tidemill.attribution.trees import explainer_of_trees

if TYPE_CHECKING:
    from attribution.tree_cases import Case

BOUND = 1e-12
EVERY = 20

# The weight of a node that no case has come to: shap wants one.
NO_CASE = 1e-200

# Plain splits at a number in two, and leaves that answer with a constant: what shap knows.
PLAIN = [
    case
    for case in CASES
    if not case.has_texts and "linear" not in case.name and "many" not in case.name
    and "choosing" not in case.name
]  # fmt: skip


def exported(game: Game, tree: Any) -> dict[str, Any]:
    """Return a tree as shap's arrays; where a feature is missing the case's own way is followed."""
    rows: list[list[float]] = []

    def put(way: list[Any]) -> int:
        node, number = way[-1], len(rows)
        children = game.children(node)
        lost = frozenset[int]()
        rows.append([-1, -1, -1, -2, -2.0, 0.0, game.cover(node) or NO_CASE])
        if not children:
            rows[number][5] = game.answer(tree, way, lost, frozenset())
            return number
        left, right = (put([*way, child]) for child in children)
        default = left if game.next(node)[0] is children[0] else right
        is_strict = hasattr(node, "r_mass")
        limit = math.nextafter(node.threshold, -math.inf) if is_strict else node.threshold
        rows[number][:5] = [left, right, default, NUMBERS.index(node.feature), limit]
        return number

    put([root_of(tree)])
    left, right, default, feature, threshold, value, cover = map(np.array, zip(*rows, strict=True))
    return {
        "children_left": left.astype(np.int32),
        "children_right": right.astype(np.int32),
        "children_default": default.astype(np.int32),
        "features": feature.astype(np.int32),
        "thresholds": threshold,
        "values": value.reshape(-1, 1),
        "node_sample_weight": cover,
    }


def shap_values(game: Game, row: Row) -> list[float]:
    x = np.array([[row.x.get(name, math.nan) for name in NUMBERS]])
    found = np.zeros(len(NUMBERS))
    for tree, weight in game.members():
        if root_of(tree) is None or not game.children(root_of(tree)):
            continue
        model = {
            "trees": [exported(game, tree)],
            "internal_dtype": np.float64,
            "input_dtype": np.float64,
            "objective": "squared_error",
            "tree_output": "raw_value",
        }
        explainer = Shap(model, feature_perturbation="tree_path_dependent")
        found += weight * explainer.shap_values(x, check_additivity=False)[0]
    return [float(value) for value in found]


@pytest.mark.parametrize("case", PLAIN, ids=lambda case: str(case.name).replace(" ", "-"))
def test_shares_equal_those_of_the_shap_package(case: Case) -> None:
    model = case.build()
    explainer = explainer_of_trees(model)
    assert explainer is not None
    compared = 0
    asked = stream(case.rows, seed=9)
    for number, (row, other) in enumerate(zip(stream(case.rows), asked, strict=True)):
        learn(model, row, case.task)
        explainer.learned(row.x)
        said = explainer.explain(other.x, OWNER, case.task) if number % EVERY == 0 else None
        if said is not None:
            label: Any = {"binary": True}.get(case.task.name, said.target_class)
            game = Game(model, other.x, OWNER, label)
            if any(node is not None for node in _beside(model)) and len(other.x) < len(NUMBERS):
                continue
            shares = {share.feature: share.attribution for share in said.shares}
            theirs = dict(zip(NUMBERS, shap_values(game, other), strict=True))
            assert {name: shares[name] for name in NUMBERS} == pytest.approx(theirs, abs=BOUND)
            compared += 1
    assert compared > case.rows // EVERY // 3


def _beside(model: Any) -> list[Any]:
    """Return what answers beside the leaves: where a case is lost twice, and in shap once."""
    trees = [model] if hasattr(model, "_root") else list(getattr(model, "trees", None) or model)
    roots = [root_of(tree) for tree in trees if root_of(tree) is not None]
    return [getattr(node, "_alternate_tree", None) for root in roots for node in root.iter_dfs()]

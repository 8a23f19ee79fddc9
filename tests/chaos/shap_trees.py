"""River's trees in the form that the shap package explains: plain splits, leaves of frequencies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from attribution.tree_reference import Game, root_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# The weight of a node that no case has come to: shap wants one.
NO_CASE = 1e-200


def exported(model: Any, x: Mapping[str, float], names: Sequence[str]) -> dict[str, Any]:
    """Return the trees of a model as shap's arrays, each weighted as it votes on a case.

    Any: neither River nor shap carries types.
    """
    game = Game(model, x, {name: name for name in names}, label=True)
    trees = [
        _arrays(game, tree, weight, names)
        for tree, weight in game.members()
        if root_of(tree) is not None
    ]
    return {
        "trees": trees,
        "internal_dtype": np.float64,
        "input_dtype": np.float64,
        "objective": "binary_crossentropy",
        "tree_output": "raw_value",
    }


def _arrays(game: Game, tree: Any, weight: float, names: Sequence[str]) -> dict[str, Any]:
    rows: list[list[float]] = []

    def put(node: Any) -> float:
        number, children = len(rows), game.children(node)
        rows.append([-1, -1, -1, -2, -2.0, 0.0, 0.0])
        if children:
            starts, covers = [], []
            for child in children:
                starts.append(len(rows))
                covers.append(put(child))
            left, right = starts
            place = names.index(node.feature)
            rows[number] = [left, right, left, place, node.threshold, 0.0, sum(covers)]
        else:
            rows[number][5] = weight * game.answer(tree, [node], frozenset(), frozenset())
            rows[number][6] = game.cover(node) or NO_CASE
        return rows[number][6]

    put(root_of(tree))
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

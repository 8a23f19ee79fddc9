"""What the splits of one tree ask for, ready to be answered for a case all at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from tidemill.attribution.tree_flat import Flat
    from tidemill.attribution.tree_game import Floats, Indices


class Splits(NamedTuple):
    """The splits of a tree, as seen from the nodes below them.

    Attributes:
        asking: The nodes that split at a number, by feature.
        others: The nodes that split in another way.
        features: What any of them asks for.
        column: By node: which key of `asking` its parent asks for.
        threshold: By node: up to which number a case goes to the first child of the parent.
        is_first: By node: whether it is that child.
    """

    asking: Mapping[str, Sequence[int]]
    others: Sequence[int]
    features: Sequence[str]
    column: Indices
    threshold: Floats
    is_first: NDArray[np.bool_]


def splits_of(flat: Flat) -> Splits:
    """Return the splits of a tree."""
    size = len(flat.nodes)
    asking: dict[str, list[int]] = {}
    others: list[int] = []
    features: dict[str, None] = {}
    columns: dict[str, int] = {}
    column, threshold, is_first = [0] * size, [np.inf] * size, [True] * size
    for number, kids in enumerate(flat.kids):
        if not kids:
            continue
        node = flat.nodes[number]
        features[node.feature] = None
        limit = flat.reading.threshold(node)
        if limit is None:
            others.append(number)
            continue
        asking.setdefault(node.feature, []).append(number)
        place = columns.setdefault(node.feature, len(columns))
        for turn, kid in enumerate(kids):
            column[kid], threshold[kid], is_first[kid] = place, limit, turn == 0
    return Splits(
        asking,
        others,
        list(features),
        np.array(column, dtype=np.intp),
        np.array(threshold, dtype=np.float64),
        np.array(is_first, dtype=np.bool_),
    )

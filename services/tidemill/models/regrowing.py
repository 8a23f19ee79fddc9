"""Forests that lose a sensor: trees that split by it start anew, the others forget it."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

SEED_BYTES = 8


def regrow(pipeline: Any, names: Collection[str], cause: str) -> int:  # Any: River carries no types
    """Let a forest, or a bag of trees, go on without some features; return how many trees are new.

    A tree starts anew if it, or the tree that River grows beside it, splits by one of them. In all
    others leaves forget what they have seen of them, or they would split by it later. What is drawn
    from now on is seeded by what caused this.

    Args:
        pipeline: Ends in an adaptive random forest, or in a bag of trees; changed in place.
        names: As the trees know the features.
        cause: Names the update.
    """
    steps = getattr(pipeline, "steps", None)
    forest = pipeline if steps is None else list(steps.values())[-1]
    forest._rng.seed(_seed(cause, "forest"))
    renewed = 0
    for number, tree in enumerate(list(forest)):
        beside = _beside(forest, number)
        if any(_splits_by(each, names) for each in (tree, beside) if each is not None):
            _renew(forest, number, _seed(cause, str(number)))
            renewed += 1
            continue
        for each in (tree, beside):
            if each is not None:
                _forget(each, names)
    return renewed


def _seed(cause: str, part: str) -> int:
    digest = hashlib.sha256(f"tidemill regrow\0{cause}\0{part}".encode()).digest()
    return int.from_bytes(digest[:SEED_BYTES], "big")


def _beside(forest: Any, number: int) -> Any:  # Any: River's, here and below
    """Return the tree that an adaptive forest grows to take another's place, if it does."""
    background = getattr(forest, "_background", None)
    return background[number] if background else None


def _renew(forest: Any, number: int, seed: int) -> None:
    """Put a new tree where another was, as River does after a drift."""
    if not hasattr(forest, "_new_base_model"):
        tree = forest[number] = forest.model.clone()
        if hasattr(tree, "_rng"):
            tree._rng.seed(seed)
        if hasattr(forest, "_drift_detectors"):
            forest._drift_detectors[number] = forest._drift_detectors[number].clone()
        return
    forest.data[number] = forest._new_base_model()
    forest._metrics[number] = forest.metric.clone()
    if not forest._warning_detection_disabled:
        forest._background[number] = None
        forest._warning_detectors[number] = forest.warning_detector.clone()
    if not forest._drift_detection_disabled:
        forest._drift_detectors[number] = forest.drift_detector.clone()


def _nodes(tree: Any) -> Iterator[Any]:
    """Yield every node, those of subtrees that grow beside others among them."""
    waiting = [tree._root]
    while waiting:
        node = waiting.pop()
        if node is not None:
            yield node
            waiting += [*getattr(node, "children", ()), getattr(node, "_alternate_tree", None)]


def _splits_by(tree: Any, names: Collection[str]) -> bool:
    return any(getattr(node, "feature", None) in names for node in _nodes(tree))


def _forget(tree: Any, names: Collection[str]) -> None:
    """Let leaves look at these features no more; one that watched no other chooses anew."""
    for node in _nodes(tree):
        splitters = getattr(node, "splitters", None)
        for name in names:
            if splitters is not None:
                splitters.pop(name, None)
        if hasattr(node, "feature_indices"):
            node.feature_indices = [n for n in node.feature_indices if n not in names]

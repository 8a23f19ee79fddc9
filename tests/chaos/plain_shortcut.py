"""Plain River on the stream with a shortcut, by a model that never had that sensor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from river import forest, linear_model, preprocessing, tree

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

SHORTCUT = "z"
PIPELINES: Mapping[str, Callable[[], Any]] = {  # Any: River carries no types
    "logistic": lambda: preprocessing.StandardScaler() | linear_model.LogisticRegression(),
    "tree": lambda: tree.HoeffdingTreeClassifier(
        leaf_prediction="mc", grace_period=50, delta=0.001
    ),
    "forest": lambda: forest.ARFClassifier(n_models=10, leaf_prediction="mc", seed=1),
}


def accuracy_without(
    model: str, answers: Sequence[tuple[dict[str, float], int]], learned: int
) -> float:
    """Return how often the model is right after it has learned the first rows."""
    pipeline = PIPELINES[model]()
    right = 0
    for number, (given, y) in enumerate(answers):
        x = {name: value for name, value in given.items() if name != SHORTCUT}
        if number < learned:
            pipeline.learn_one(x, bool(y))
        else:
            right += pipeline.predict_one(x) is bool(y)
    return right / (len(answers) - learned)

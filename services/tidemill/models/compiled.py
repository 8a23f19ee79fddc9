"""River's linear models, compiled: which pipelines, the way in and out, and a check at the start.

The compiled form is a cache of a River pipeline, equal to it in every bit; what is saved, explained
or changed by hand is River's. Where it was not built, or computes one bit differently on this
machine, River computes.
"""

from __future__ import annotations

import random
from functools import cache
from typing import Any


def _built() -> Any:  # Any: a class, or None where the package was built without a compiler
    try:
        from tidemill.models._linear import Linear as built  # noqa: N813, PLC0415 - may be missing
    except ImportError:
        return None
    return built


Linear = _built()

# Enough for every branch of the arithmetic: classes of both signs, saturated scores, gaps.
_TRIALS = 2_000
_SEED = 1


def quicken(pipeline: Any) -> Any:  # Any: River carries no types
    """Return the compiled form of a pipeline where there is one and it may be trusted, else it."""
    return compiled(pipeline) if is_trusted() else pipeline


def slow(pipeline: Any) -> Any:  # Any: as above
    """Return River's pipeline of what `quicken` returned, with the numbers of now."""
    if Linear is None or not isinstance(pipeline, Linear):
        return pipeline
    river = pipeline.river
    scaler, model = _parts(river)
    intercept, iterations, slots = pipeline.give()
    model.intercept = intercept
    model.optimizer.n_iterations = iterations
    model._weights.clear()
    for name, count, mean, var, weight in slots:
        model._weights[name] = weight
        if scaler is not None:
            scaler.counts[name], scaler.means[name], scaler.vars[name] = int(count), mean, var
    return river


def compiled(pipeline: Any) -> Any:  # Any: as above
    """Return the compiled form of a pipeline, or the pipeline where there is none."""
    if Linear is None or not _is_known(pipeline):
        return pipeline
    scaler, model = _parts(pipeline)
    linear = Linear(
        pipeline,
        scaled=scaler is not None,
        logistic=type(model).__name__ == "LogisticRegression",
        rate=model.optimizer.lr.learning_rate,
        intercept_rate=model.intercept_lr.learning_rate,
        l2=model.l2,
        clip=model.clip_gradient,
    )
    weights = model.weights
    known = weights if scaler is None else {**dict.fromkeys(scaler.counts), **weights}
    slots = [(name, *_moments(scaler, name), weights.get(name, 0.0)) for name in known]
    linear.take(model.intercept, model.optimizer.n_iterations, slots)
    return linear


def _moments(scaler: Any, name: str) -> tuple[int, float, float]:  # Any: as above
    if scaler is None:
        return 0, 0.0, 0.0
    return scaler.counts[name], scaler.means[name], scaler.vars[name]


def _parts(pipeline: Any) -> tuple[Any, Any]:  # Any: as above
    """Return the scaler, if any, and the model."""
    steps = getattr(pipeline, "steps", None)
    return (None, pipeline) if steps is None else tuple(steps.values())


def _is_known(pipeline: Any) -> bool:  # Any: as above
    """Return whether every parameter is one whose arithmetic is compiled."""
    from river import preprocessing  # noqa: PLC0415 - River takes seconds to import

    if len(getattr(pipeline, "steps", (0, 0))) != 2:
        return False
    scaler, model = _parts(pipeline)
    is_known_scaler = scaler is None or (
        type(scaler) is preprocessing.StandardScaler
        and scaler.with_std
        and scaler.window_size is None
    )
    return is_known_scaler and _is_known_model(model)


def _is_known_model(model: Any) -> bool:  # Any: as above
    from river import linear_model, optim  # noqa: PLC0415 - as above

    losses: dict[Any, Any] = {
        linear_model.LinearRegression: optim.losses.Squared,
        linear_model.LogisticRegression: optim.losses.Log,
    }
    loss = losses.get(type(model))
    if loss is None or type(model.loss) is not loss:
        return False
    constant, loss = optim.schedulers.Constant, model.loss
    return (
        getattr(loss, "weight_pos", 1.0) == getattr(loss, "weight_neg", 1.0) == 1.0
        and type(model.optimizer) is optim.SGD
        and type(model.optimizer.lr) is type(model.intercept_lr) is constant
        and type(model.initializer) is optim.initializers.Zeros
        and model.l1 == 0
        and model.clip_gradient >= 0
    )


@cache
def is_trusted() -> bool:
    """Return whether the compiled form is there and equals River here, on seeded cases."""
    from river import linear_model, preprocessing  # noqa: PLC0415 - as above

    if Linear is None:
        return False
    numbers, classes = linear_model.LinearRegression, linear_model.LogisticRegression
    scaler = preprocessing.StandardScaler
    return all(
        _agrees(river=scaler() | model(l2=0.001), other=scaler() | model(l2=0.001))
        for model in (numbers, classes)
    )


def _agrees(*, river: Any, other: Any) -> bool:  # Any: as above
    """Return whether a pipeline and the compiled form of an equal one answer alike."""
    fast, chance = compiled(other), random.Random(_SEED)
    is_binary = "LogisticRegression" in river.steps
    ask = "predict_proba_one" if is_binary else "predict_one"
    for _ in range(_TRIALS):
        x = {f"x{n}": chance.gauss(0.0, 10.0**n) for n in range(4) if chance.random() < 0.9}
        score = 0.1 * sum(x.values())
        if getattr(river, ask)(x) != getattr(fast, ask)(x):
            return False
        for model in (river, fast):
            model.learn_one(x, score > 0.0 if is_binary else score)
    return True

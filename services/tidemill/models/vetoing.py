"""What a veto of a sensor does to a model, by what its pipeline is made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from tidemill.models.allowed import ALLOWED, component, parameters_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from tidemill.contracts.stream import Feature, Step

# drop: the sensor is left out from now on, which leaves nothing of it in an answer.
# reset: the trees that split by it start anew, then it is left out.
# refold: the model is made again without it; until then it goes on as it is.
VetoMode = Literal["drop", "reset", "refold"]

_BAG = "ensemble."
_FOREST = ("forest.ARF",)
_TREE = ("tree.",)
# An answer of these is a sum over the sensors that are there, or looks at none.
_SUMS = ("linear_model.", "naive_bayes.GaussianNB", "dummy.")
_LINEAR = ("linear_model.", "dummy.")
# Copies of a right example still make a forest worse.
_FORESTS = ("forest.", "ensemble.")
MOST_COPIES, MOST_COPIES_OF_FORESTS = 5, 1


def veto_mode(
    steps: Sequence[Step], features: Sequence[Feature], names: Collection[str]
) -> VetoMode:
    """Return what a veto does to a model.

    An imputer fills in again what is left out, and an encoder goes on making columns of a category:
    the predictor behind it would not lack the sensor.

    Args:
        steps: Its pipeline, the predictor last.
        features: That it is given.
        names: Those vetoed.
    """
    *before, last = steps
    imputes = any(step.name.endswith("Imputer") for step in before)
    encoded = any(ALLOWED[step.name].encodes for step in before) and any(
        feature.kind == "nominal" and feature.name in names for feature in features
    )
    predictor = held_by(last)
    if imputes or (encoded and not predictor.startswith(_LINEAR)):
        return "refold"
    if predictor.startswith(_SUMS):
        return "drop"
    is_bag_of_trees = last.name.startswith(_BAG) and predictor.startswith(_TREE)
    return "reset" if is_bag_of_trees or last.name.startswith(_FOREST) else "refold"


def held_by(last: Step) -> str:
    """Return the class that answers: the one a bag holds, else the predictor itself."""
    if not last.name.startswith(_BAG):
        return last.name
    return component(parameters_of(last.name, last.parameters)["model"])[0]


def copies(steps: Sequence[Step], weight: float) -> int:
    """Return how often a model learns a counterexample of this weight, which is from 1."""
    is_forest = steps[-1].name.startswith(_FORESTS)
    return min(int(weight), MOST_COPIES_OF_FORESTS if is_forest else MOST_COPIES)


def concerned(features: Sequence[Feature], name: str) -> tuple[str, ...]:
    """Return a feature and those made of its readings, in order."""

    def found() -> Iterator[str]:
        for feature in features:
            made_of = feature.derived.of if feature.derived else None
            if name in {feature.name, made_of}:
                yield feature.name

    return tuple(found())

"""Instructions are checked before anything changes, and never make a model grow without end."""

from __future__ import annotations

import math
from typing import Any

import pytest

from tidemill.contracts.codec import codec
from tidemill.contracts.prediction import Quality
from tidemill.contracts.topics import EVENTS, PREDICTIONS, UPDATES
from tidemill.fold.applying import Fold
from tidemill.kernel.deadletters import REASON_HEADER
from tidemill.kernel.records import Emit, Message
from tidemill.testing.plants import event_value, sample_terms, update_value

X = {"flow": 1.0}
ASSET = "north/press"


def update(fold: Fold, offset: int, **fields: Any) -> list[Emit]:
    """Apply one example; fields as in `update_value`."""
    x, label = fields.pop("x", X), fields.pop("label", 1.0)
    source = fields.pop("cause", None)
    value = update_value(fields.pop("asset", ASSET), offset, x, label, **fields)
    if source is not None:
        value = codec("Update").encode({**codec("Update").decode(value), "cause": source})
    return fold.apply([Message(UPDATES, 0, offset, None, value)], 0)


def reason(emits: list[Emit]) -> str:
    (emit,) = emits
    return dict(emit.headers)[REASON_HEADER].decode()


def predicted(fold: Fold, x: dict[str, float | None]) -> dict[str, Any]:
    message = Message(EVENTS, 0, 0, None, event_value(ASSET, 0, x))
    (emit,) = fold.apply([message], 0)
    assert emit.topic == PREDICTIONS
    return codec("Prediction").decode(emit.value)


def cause(topic: str = "plant.labels", partition: int = 0) -> dict[str, object]:
    return {"topic": topic, "partition": partition, "offset": 1, "index": 0}


@pytest.mark.parametrize(
    "wrong",
    [cause("some.other"), cause(partition=-1), cause(partition=2), cause("")],
    ids=["no topic of ours", "below the partitions", "beyond the partitions", "no topic"],
)
def test_a_cause_that_stands_nowhere_is_a_dead_letter(wrong: dict[str, object]) -> None:
    fold = Fold(sample_terms(partitions=2), 0)

    assert reason(update(fold, 1, cause=wrong)) == "domain"
    assert update(fold, 1, cause=cause(partition=1)) == []
    (tracked,) = fold.fleet
    assert list(tracked.state.applied) == [("plant.labels", 1)]


@pytest.mark.parametrize("weight", [0.0, -1.0, 5e-324, 9e-7, 1.1e6, math.nan, math.inf])
def test_a_weight_out_of_bounds_is_a_dead_letter(weight: float) -> None:
    fold = Fold(sample_terms(), 0)

    assert reason(update(fold, 1, weight=weight)) == "domain"
    assert update(fold, 1, weight=1e-6) == update(fold, 2, weight=1e6) == []


def test_an_example_of_an_asset_too_long_is_a_dead_letter() -> None:
    fold = Fold(sample_terms(), 0)

    assert reason(update(fold, 1, asset="a" * 513)) == "contract"
    assert update(fold, 1, asset="a" * 512) == []


def test_a_model_that_has_diverged_is_taught_no_example() -> None:
    fold = Fold(sample_terms(["linear_model.LinearRegression"]), 0)
    sent = 60
    for n in range(sent):
        assert update(fold, n, x={"flow": 1e50}, label=1e50) == []
    taught = fold.counts.examples
    assert 0 < taught < sent

    assert predicted(fold, {"flow": 1e50})["value"] is None
    assert update(fold, sent) == []
    assert fold.counts.examples == taught


@pytest.mark.parametrize("step", ["tree.HoeffdingTreeRegressor", "linear_model.LinearRegression"])
def test_a_model_at_its_budget_learns_no_more_and_says_so(step: str) -> None:
    fold = Fold(sample_terms([step]), 0)
    assert update(fold, 0) == []
    (tracked,) = fold.fleet
    tracked.state.stop_growing()
    before = predicted(fold, {"flow": 1.0})

    event = event_value(ASSET, 1, {"flow": 1.0}, 50.0)
    fold.apply([Message(EVENTS, 0, 1, None, event)], 0)
    assert update(fold, 1, label=90.0) == []

    after = predicted(fold, {"flow": 1.0})
    assert after["value"] == before["value"]
    assert Quality.FROZEN.name in after["quality"]
    assert fold.counts.examples == 1


@pytest.mark.parametrize("topic", ["plant.labels", "model.predictions"])
def test_a_cause_that_is_the_labellers_is_no_one_elses(topic: str) -> None:
    fold = Fold(sample_terms(), 0)
    ahead = {**cause(topic), "offset": 1 << 62}

    assert reason(update(fold, 1, cause=ahead, origin="somebody")) == "domain"
    assert update(fold, 2, cause=cause(topic)) == []
    assert update(fold, 3, cause=cause("sensor.events"), origin="somebody") == []
    assert fold.counts.examples == 2

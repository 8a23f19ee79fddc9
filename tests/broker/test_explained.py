"""Explanations on the real broker: one for each prediction, whatever happens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from chaos.backlog import Backlog, Calm, check_lag
from chaos.balance import BrokenPromiseError
from chaos.calibrated import predictions
from chaos.explained import Size, check_one_to_one, prove_explained
from chaos.plant import SCALED
from chaos.reading import Record
from chaos.sheets import Reading, Sheet, SheetPlant
from tidemill.contracts.codec import codec
from tidemill.contracts.topics import EVENTS
from tidemill.fold.applying import Fold
from tidemill.fold.explaining import Explaining
from tidemill.kernel.records import Message

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

# How fast they are is for the proof on a machine of its own; here they must only keep on.
BACKLOG = Backlog(events=1_500, rate=20.0, watch_s=2.0, lag_s=600.0)
SIZE = Size(kills=4, each=200, backlog=BACKLOG, snapshot_every=100, seed=3)
COUNT = 30

Predicted = list[dict[str, Any]]  # Any: Avro records


@pytest.mark.broker
@pytest.mark.timeout(1800)
def test_each_prediction_is_explained_once_through_kills_a_backlog_and_flipped_bits(
    tmp_path: Path,
) -> None:
    figures = prove_explained(tmp_path, SIZE, print)

    assert figures["killed by kill -9 at random points"].startswith("4 times")
    assert figures["backlog"].startswith("1,500 predictions")
    assert figures["audit replay"].startswith("0 differences")


def made() -> tuple[Predicted, list[Record]]:
    """Return what a fold predicts of some readings, and the explanations of that."""
    model = {"champion": [SCALED, "linear_model.LinearRegression"]}
    sheet = Sheet("line", ("a", "b"), model)
    readings = [Reading("line", "one", {"a": n % 7, "b": n % 5}, n % 7) for n in range(COUNT)]
    plant, witness = SheetPlant([sheet], partitions=1), Explaining()
    fold = Fold(plant.terms(), 0, witness=witness)
    for number, reading in enumerate(readings):
        fold.apply([Message(EVENTS, 0, number, None, plant.value(reading, number))], 0)
    explained = [
        Record(0, offset, 0, emit.key, emit.value, {}) for offset, emit in enumerate(witness.take())
    ]
    return list(predictions(sheet, readings)), explained


def test_explanations_of_all_predictions_in_their_order_are_held() -> None:
    predicted, explained = made()

    assert check_one_to_one([explained], [predicted]) == COUNT


@pytest.mark.parametrize(
    "damage",
    [
        lambda found: found[:-1],
        lambda found: [*found, found[-1]],
        lambda found: [*found[:9], found[8], *found[9:]],
        lambda found: [*found[:9], *found[10:]],
        lambda found: [*found[:9], found[10], found[9], *found[11:]],
    ],
    ids=["last lost", "last doubled", "doubled", "lost", "in another order"],
)
def test_explanations_lost_doubled_or_out_of_order_are_not_held(
    damage: Callable[[list[Record]], list[Record]],
) -> None:
    predicted, explained = made()

    with pytest.raises(BrokenPromiseError):
        check_one_to_one([damage(explained)], [predicted])


@pytest.mark.parametrize(
    ("name", "value"), [("lineage", bytes(32)), ("version", 3), ("value", 0.5), ("asset", "two")]
)
def test_an_explanation_of_something_else_is_not_held(name: str, value: object) -> None:
    predicted, explained = made()
    predicted[20][name] = value

    with pytest.raises(BrokenPromiseError, match=f"{name}.* must be the prediction's"):
        check_one_to_one([explained], [predicted])


def test_explanations_that_do_not_add_up_are_not_held() -> None:
    predicted, explained = made()
    found = codec("Explanation").decode(explained[20].value)
    value = codec("Explanation").encode({**found, "additivity_error": 1e-3})
    explained[20] = explained[20]._replace(value=value)

    with pytest.raises(BrokenPromiseError, match="additivity_error"):
        check_one_to_one([explained], [predicted])


def test_learners_that_lag_are_not_held() -> None:
    check_lag(Calm([0, 900], 2_000, 300.0), rate=200.0)
    with pytest.raises(BrokenPromiseError, match="must lag by"):
        check_lag(Calm([0, 1_100], 2_000, 300.0), rate=200.0)
    with pytest.raises(BrokenPromiseError, match="must lag by"):
        check_lag(Calm([], 2_000, 300.0), rate=200.0)

"""Disturbed events in the fold: predicted, flagged, never learned; and targets that come later."""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING, Any

import pytest

from tidemill.contracts.codec import codec
from tidemill.contracts.topics import EVENTS, LEDGER, PREDICTIONS
from tidemill.fold.applying import Fold
from tidemill.fold.audit.replay import replay
from tidemill.fold.ledger import Entry
from tidemill.kernel.deadletters import SUFFIX
from tidemill.kernel.records import Message
from tidemill.testing.plants import event_value, sample_terms

from .history import KEY, History

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tidemill.fold.terms import Terms
    from tidemill.kernel.records import Emit

FEATURES = {
    "vibration": {"unit": "mm/s", "stuck_after": 3, "required": True},
    "temperature": {"unit": "degC", "range": [-50, 150], "rate": 40.0},
    "flow": {},
}
QUALITY: dict[str, object] = {"features": FEATURES, "lateness": "30s", "duplicates_within": 50}
CHALLENGERS: dict[str, Any] = {
    "tree": [{"tree.HoeffdingTreeRegressor": {"grace_period": 30}}],
    "plain": ["linear_model.LinearRegression"],
}
TERMS = sample_terms(challengers=CHALLENGERS, stream=QUALITY)
ASSETS = ("north/1", "north/2")


def disturbed(seed: int, events: int) -> list[bytes]:
    """Return events of which one in six is late, doubled, stuck, NaN, out of range or broken."""
    chance = random.Random(seed)
    values: list[bytes] = []
    for n in range(events):
        asset = chance.choice(ASSETS)
        x: dict[str, float | None] = {
            "vibration": chance.choice([0.0, 1.0, 2.0]),
            "temperature": chance.gauss(20.0, 5.0),
            "flow": chance.random(),
        }
        number, y = n + 1_000, chance.gauss(0.0, 1.0)
        match chance.randrange(36):
            case 0:
                x["temperature"] = chance.choice([math.nan, math.inf, 400.0])
            case 1:
                number -= 100
            case 2:
                number -= chance.randrange(1, 5)
            case 3:
                x["vibration"] = None
            case 4:
                values.append(b"\0 broken")
                continue
            case 5:
                y = math.nan
        values.append(event_value(asset, number, x, y))
    return values


def apply(fold: Fold, values: Sequence[bytes]) -> list[Emit]:
    messages = [Message(EVENTS, 0, n, None, value, (), 0) for n, value in enumerate(values)]
    return fold.apply(messages, 0)


def predictions(emits: Sequence[Emit]) -> list[dict[str, Any]]:
    return [codec("Prediction").decode(e.value) for e in emits if e.topic == PREDICTIONS]


def lineages(fold: Fold) -> dict[str, tuple[int, bytes, int]]:
    return {
        tracked.key.encode().decode(): (
            tracked.state.version,
            tracked.state.lineage,
            tracked.state.recent.count,
        )
        for tracked in fold.fleet
    }


@pytest.mark.parametrize("seed", range(8))
def test_lineages_are_those_of_the_unflagged_events_alone_and_the_balance_is_exact(
    seed: int,
) -> None:
    values = disturbed(seed, 600)
    whole = Fold(TERMS, 0)
    emits = apply(whole, values)
    dead = [emit for emit in emits if emit.topic == EVENTS + SUFFIX]
    assert len(predictions(emits)) + len(dead) == len(values)

    clean = []
    flags: set[str] = set()
    for value, emit in zip(values, emits, strict=True):
        if emit.topic == PREDICTIONS:
            quality = codec("Prediction").decode(emit.value)["quality"]
            flags |= set(quality)
            clean += [] if quality else [value]
    assert flags == {
        "LATE", "DUPLICATE", "STUCK", "OUT_OF_RANGE", "NOT_FINITE", "MISSING", "IMPUTED"
    }  # fmt: skip

    alone = Fold(TERMS, 0)
    again = predictions(apply(alone, clean))
    assert all(not prediction["quality"] for prediction in again)
    assert lineages(alone) == lineages(whole)


def test_a_disturbed_history_is_recovered_and_replayed_exactly() -> None:
    history = History(TERMS)
    values = disturbed(3, 300)
    for n in range(0, len(values), 20):
        history.commit([[history.event(value) for value in values[n : n + 20]]])
        if n % 60 == 0:
            alive = lineages(history.learner.fold)
            assert lineages(history.open(TERMS).fold) == alive

    assert replay(history.log, 0, KEY).findings == []


def ahead(after: object, **stream: object) -> Terms:
    target = {"ahead": {"field": "wear", "after": after}}
    return sample_terms(challengers=CHALLENGERS, stream={"target": target, **stream})


@pytest.mark.parametrize(("after", "steps"), [(3, 3), ("5s", 5)])
def test_a_case_is_learned_when_its_later_reading_comes(after: object, steps: int) -> None:
    fold = Fold(ahead(after), 0)
    chance = random.Random(1)
    xs = [{"vibration": chance.random(), "temperature": 1.0, "flow": 2.0} for _ in range(40)]
    ys = [chance.gauss(0.0, 1.0) for _ in xs]
    pipeline = Fold(ahead(after), 0).fleet.of("pump", "a").models[0].state.pipeline
    said = predictions(
        apply(
            fold, [event_value("a", n, x, y) for n, (x, y) in enumerate(zip(xs, ys, strict=True))]
        )
    )
    for n, prediction in enumerate(said):
        assert prediction["value"] == pipeline.predict_one(xs[n])
        assert prediction["version"] == max(0, n - steps)
        if n >= steps:
            pipeline.learn_one(xs[n - steps], ys[n])


def test_cases_that_wait_survive_a_restart_and_are_replayed() -> None:
    terms = ahead(4)
    history = History(terms)
    chance = random.Random(2)
    for n in range(0, 60, 3):
        events = [
            event_value("a", n + i, {"vibration": chance.random(), "flow": 1.0}, chance.random())
            for i in range(3)
        ]
        history.commit([[history.event(event) for event in events]])
        alive = lineages(history.learner.fold)
        assert lineages(history.open(terms).fold) == alive

    assert Entry.decode(history.log.topics[LEDGER][-1].value).models[0].version == 56
    assert replay(history.log, 0, KEY).findings == []


def test_an_anomaly_model_scores_and_learns_without_labels() -> None:
    stream = {"target": "none", "features": {"vibration": {}, "flow": {}}}
    terms = sample_terms([{"anomaly.HalfSpaceTrees": {"n_trees": 5}}], stream=stream)
    history = History(terms)
    chance = random.Random(3)
    for n in range(0, 300, 20):
        events = [
            event_value("a", n + i, {"vibration": chance.random(), "flow": chance.random()})
            for i in range(20)
        ]
        history.commit([[history.event(event) for event in events]])
    said = [codec("Prediction").decode(m.value) for m in history.log.topics[PREDICTIONS]]

    assert {prediction["outcome"] for prediction in said} <= {"true", "false"}
    assert all(0.0 <= prediction["value"] <= 1.0 for prediction in said)
    assert said[-1]["version"] > 0
    assert replay(history.log, 0, KEY).findings == []


def test_rare_classes_are_learned_as_often_as_the_definition_says() -> None:
    model = {"champion": ["linear_model.LogisticRegression"], "repeat": {"true": 3}}
    stream = {"model": model}
    fold = Fold(sample_terms(kind="binary", stream=stream), 0)
    once = Fold(sample_terms(["linear_model.LogisticRegression"], kind="binary"), 0)
    pipeline = once.fleet.of("pump", "a").models[0].state.pipeline
    for n in range(20):
        x = {"vibration": float(n % 5), "temperature": 1.0, "flow": 0.5}
        apply(fold, [event_value("a", n, x, n % 4 == 0)])
        for _ in range(3 if n % 4 == 0 else 1):
            pipeline.learn_one(x, n % 4 == 0)
    (tracked,) = fold.fleet

    asked = {"vibration": 2.0, "temperature": 1.0, "flow": 0.5}
    assert tracked.state.version == 20
    assert tracked.state.pipeline.predict_proba_one(asked) == pipeline.predict_proba_one(asked)


DERIVED: dict[str, object] = {
    "features": {
        "vibration": {},
        "vibration_before": {"of": "vibration", "lag": 2},
        "temperature": {"range": [-50, 150]},
        "warmth": {"of": "temperature", "mean": "3s"},
        "flow": {},
    },
    "lateness": "5s",
}


FEATURE_ORDER = ("vibration", "vibration_before", "temperature", "warmth", "flow")


def test_derived_features_reach_the_models_in_the_order_of_the_definition() -> None:
    terms = sample_terms(["linear_model.LinearRegression"], stream=DERIVED)
    fold = Fold(terms, 0)
    tracked = fold.fleet.of("pump", "a").models[0]
    asked: list[dict[str, float]] = []

    class Listening:
        def predict_one(self, x: dict[str, float]) -> float:
            asked.append(x)
            return 0.0

        def learn_one(self, x: dict[str, float], y: float) -> None:
            assert x == asked[-1]

    tracked.state.pipeline = Listening()
    vibration = [1.0, 2.0, 3.0, 4.0, 5.0]
    temperature = [10.0, 20.0, math.nan, 30.0, 50.0]
    for n, (v, t) in enumerate(zip(vibration, temperature, strict=True)):
        apply(fold, [event_value("a", n, {"vibration": v, "temperature": t, "flow": 1.0}, 1.0)])

    assert [list(x) for x in asked[2:]] == [list(FEATURE_ORDER)] * 3
    assert [x.get("vibration_before") for x in asked] == [None, None, 1.0, 1.0, 2.0]
    assert [x["warmth"] for x in asked] == [10.0, 15.0, 15.0, 25.0, 40.0]


def test_windows_survive_a_restart_and_are_replayed() -> None:
    terms = sample_terms(challengers=CHALLENGERS, stream=DERIVED)
    history = History(terms)
    values = disturbed(5, 200)
    for n in range(0, len(values), 20):
        history.commit([[history.event(value) for value in values[n : n + 20]]])
        alive = lineages(history.learner.fold)
        assert lineages(history.open(terms).fold) == alive

    assert replay(history.log, 0, KEY).findings == []

"""Intervals, class sets and corrected probabilities, kept in the fold."""

from __future__ import annotations

import random
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from tidemill.contracts.codec import codec
from tidemill.contracts.topics import EVENTS, PREDICTIONS
from tidemill.fold.applying import Fold
from tidemill.fold.audit.replay import replay
from tidemill.kernel.records import Message
from tidemill.models.class_sets import ClassSets
from tidemill.models.intervals import Intervals
from tidemill.models.outputs import Answer
from tidemill.models.repeating import RepeatCorrection
from tidemill.testing.plants import event_value, sample_terms, update_value

from .history import KEY, History

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tidemill.fold.terms import Terms

X = tuple[dict[str, float | None], float]


def cases(seed: int, count: int) -> Iterator[X]:
    chance = random.Random(seed)
    for _ in range(count):
        x: dict[str, float | None] = {
            "vibration": chance.gauss(0, 1),
            "temperature": chance.gauss(0, 1),
            "flow": 1.0,
        }
        yield x, 2.0 * (x["vibration"] or 0.0) + chance.gauss(0.0, 0.5)


def run(terms: Terms, kind: str, count: int) -> tuple[History, list[dict[str, Any]]]:
    """Let a history be made, with a restart now and then; return it and its predictions."""
    history = History(terms)
    values = [
        event_value("a", n, x, y > 1.0 if kind == "binary" else y)
        for n, (x, y) in enumerate(cases(1, count))
    ]
    for start in range(0, count, 25):
        history.commit([[history.event(value) for value in values[start : start + 25]]])
        if start % 100 == 0:
            history.open(terms)
    said = [codec("Prediction").decode(m.value) for m in history.log.topics[PREDICTIONS]]
    return history, said


def test_intervals_are_those_of_the_stored_predictions_and_their_labels() -> None:
    terms = sample_terms(challengers={"plain": ["linear_model.LinearRegression"]})
    history, said = run(terms, "regression", 400)
    mine, covered = Intervals(), 0
    for prediction, (_, y) in zip(said, cases(1, 400), strict=True):
        expected = mine.interval(prediction["value"])
        found = prediction["interval"]
        if expected is None:
            assert found is None
            within = None
        else:
            assert (found["low"], found["high"], found["labels"]) == expected
            assert (found["level"], found["method"]) == (0.9, "adaptive conformal")
            within = expected[0] <= y <= expected[1]
            covered += within
        mine.observe(prediction["value"], y, covered=within)

    assert 0.85 <= covered / 300 <= 0.95
    assert replay(history.log, 0, KEY).findings == []


def test_class_sets_are_those_of_the_stored_predictions_and_their_labels() -> None:
    terms = sample_terms(["linear_model.LogisticRegression"], kind="binary")
    history, said = run(terms, "binary", 300)
    mine = ClassSets()
    for prediction, (_, y) in zip(said, cases(1, 300), strict=True):
        chosen = mine.class_set(prediction["probabilities"])
        assert prediction["class_set"] == (None if chosen is None else list(chosen))
        key = "true" if y > 1.0 else "false"
        mine.observe(prediction["probabilities"], key, class_set=chosen)

    assert said[-1]["class_set"]
    assert replay(history.log, 0, KEY).findings == []


def test_probabilities_are_corrected_for_repeated_classes_in_all_models() -> None:
    model = {
        "champion": ["linear_model.LogisticRegression"],
        "challengers": {"tree": ["tree.HoeffdingTreeClassifier"]},
        "repeat": {"true": 5},
    }
    terms = sample_terms(kind="binary", stream={"model": model})
    history, said = run(terms, "binary", 200)
    plain = Fold(terms, 0).fleet.of("pump", "a").models
    corrections = [RepeatCorrection({"true": 5}) for _ in plain]
    for prediction, (x, y) in zip(said, cases(1, 200), strict=True):
        label = y > 1.0
        answers = [prediction["probabilities"], prediction["shadows"][0]["probabilities"]]
        for tracked, correction, found in zip(plain, corrections, answers, strict=True):
            pipeline = tracked.state.pipeline
            raw = {("true" if c else "false"): p for c, p in pipeline.predict_proba_one(x).items()}
            corrected = correction.correct(Answer(None, raw, None)).probabilities
            assert found == (corrected or None)
            for _ in range(5 if label else 1):
                pipeline.learn_one(x, label)
            correction.observe(corrected or {}, "true" if label else "false")

    assert replay(history.log, 0, KEY).findings == []


@pytest.mark.parametrize("model", ["pump/champion", "pump/plain"])
def test_an_example_brings_the_residual_of_the_prediction_stored_in_it(model: str) -> None:
    terms = sample_terms(challengers={"plain": ["linear_model.LinearRegression"]})
    history = History(terms)
    stored = {
        "model": model, "version": 0, "lineage": b"", "value": 3.0, "probabilities": None,
        "quality": [],
    }  # fmt: skip
    values = [
        update_value("a", n, {"vibration": 1.0, "flow": 1.0}, 5.0, stored=stored)
        for n in range(120)
    ]
    history.commit([[history.update(value) for value in values]])
    history.commit([[history.event(event_value("a", 1, {"vibration": 1.0}))]])
    (prediction,) = [codec("Prediction").decode(m.value) for m in history.log.topics[PREDICTIONS]]

    if model == "pump/champion":
        assert prediction["interval"]["labels"] == 120
        assert prediction["interval"]["high"] - prediction["value"] == pytest.approx(2.0)
    else:
        assert prediction["interval"] is None, "a challenger's residuals are not the champion's"


def test_scores_are_held_beside_those_of_the_naive_model() -> None:
    terms = sample_terms()
    history, said = run(terms, "regression", 300)
    fold = Fold(terms, 0)
    fold.apply(history.log.topics[EVENTS], 0)
    found = fold.counts.scores["pump"]
    ys = [y for _, y in cases(1, 300)]
    errors = [abs(y - each["value"]) for y, each in zip(ys, said, strict=True)]
    naive = [abs(y - before) for before, y in pairwise(ys)]

    assert (found.labels, found.compared, found.regions) == (300, 299, 200)
    assert found.error == pytest.approx(sum(errors))
    assert found.compared_error == pytest.approx(sum(errors[1:]))
    assert found.naive_error == pytest.approx(sum(naive))
    assert 160 <= found.covered <= 195


def test_a_later_reading_is_compared_with_the_reading_of_then() -> None:
    target = {"ahead": {"field": "wear", "after": 3}}
    fold = Fold(sample_terms(stream={"target": target}), 0)
    ys = [y for _, y in cases(2, 50)]
    events = [event_value("a", n, x, y) for n, (x, y) in enumerate(cases(2, 50))]
    messages = [Message(EVENTS, 0, n, None, value, (), 0) for n, value in enumerate(events)]
    fold.apply(messages, 0)
    found = fold.counts.scores["pump"]

    assert (found.labels, found.compared) == (47, 47)
    expected = sum(abs(after - before) for before, after in zip(ys, ys[3:], strict=False))
    assert found.naive_error == pytest.approx(expected)

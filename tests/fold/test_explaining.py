"""Which predictions are explained: what the definition asks for, by the log alone."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest

from tidemill.contracts.codec import codec
from tidemill.contracts.topics import EVENTS, EXPLANATIONS, PREDICTIONS
from tidemill.fold.applying import Fold
from tidemill.fold.explaining import Explaining
from tidemill.fold.plans import plan_problems
from tidemill.kernel.records import Message
from tidemill.testing.plants import LINEAR, LOGISTIC, event_value, sample_terms

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tidemill.fold.terms import Terms
    from tidemill.kernel.records import Emit

ASSETS = ("north/1", "south/2")


def x_of(number: int) -> dict[str, float | None]:
    return {"vibration": number % 5 / 10, "temperature": 60.0 + number % 3, "flow": number % 7 / 10}


def play(terms: Terms, xs: Sequence[Mapping[str, float | None]], *, size: int = 1) -> list[Emit]:
    """Return what a fold emits for events of two assets in turn, explanations among it."""
    explaining = Explaining()
    fold = Fold(terms, 0, witness=explaining)
    is_binary = terms.definition.streams[0].kind == "binary"
    messages = []
    for number, x in enumerate(xs):
        asset = ASSETS[number % 2]
        y = (x["vibration"] or 0.0) > 0.2 if is_binary else float(number % 4)
        value = event_value(asset, number, x, y)
        messages.append(Message(EVENTS, 0, number, asset.encode(), value, (("tracestate", b"t"),)))
    emits: list[Emit] = []
    for first in range(0, len(messages), size):
        emits += fold.apply(messages[first : first + size], 1 + first)
        emits += explaining.take()
    return emits


def of(emits: Sequence[Emit], topic: str) -> list[dict[str, Any]]:  # Any: Avro values
    record = {EXPLANATIONS: "Explanation", PREDICTIONS: "Prediction"}[topic]
    return [codec(record).decode(emit.value) for emit in emits if emit.topic == topic]


def asking(which: object, **more: Any) -> Terms:  # Any: arguments of `sample_terms`
    return sample_terms(stream={"explanations": {"which": which}}, **more)


def test_all_are_explained_unless_the_definition_says_otherwise() -> None:
    emits = play(sample_terms(), [x_of(n) for n in range(20)])
    assert [e["event_id"] for e in of(emits, EXPLANATIONS)] == [f"e{n}" for n in range(20)]


def test_every_third_is_counted_by_asset_and_among_events_without_a_fault() -> None:
    xs = [x_of(n) for n in range(24)]
    xs[4]["vibration"] = math.nan
    emits = play(asking({"every": 3}), xs)
    explained = of(emits, EXPLANATIONS)
    north = [e["event_id"] for e in explained if e["asset"] == ASSETS[0]]
    south = [e["event_id"] for e in explained if e["asset"] == ASSETS[1]]
    assert north == ["e0", "e8", "e14", "e20"]  # e4 is passed over, and counts for nothing
    assert south == ["e1", "e7", "e13", "e19"]


def test_alarms_of_two_classes_are_the_positive_ones() -> None:
    terms = asking("on_alarm", champion=LOGISTIC, kind="binary")
    emits = play(terms, [x_of(n) for n in range(200)])
    alarms = [p["event_id"] for p in of(emits, PREDICTIONS) if p["outcome"] == "true"]
    assert [e["event_id"] for e in of(emits, EXPLANATIONS)] == alarms
    assert 0 < len(alarms) < 200


def test_alarms_are_refused_where_there_are_none() -> None:
    (problem,) = plan_problems(asking("on_alarm").definition)
    assert problem.startswith("streams.pump.explanations.which: on_alarm must be for a binary")


def test_nothing_is_explained_unasked_on_request() -> None:
    assert of(play(asking("on_request"), [x_of(n) for n in range(9)]), EXPLANATIONS) == []


@pytest.mark.parametrize("size", [2, 5, 50])
def test_explanations_do_not_depend_on_where_transactions_were_cut(size: int) -> None:
    xs = [x_of(n) for n in range(50)]
    one, other = (of(play(sample_terms(LINEAR), xs, size=s), EXPLANATIONS) for s in (1, size))
    assert one == other


def test_a_model_that_says_nothing_yet_has_an_explanation_that_says_so() -> None:
    terms = sample_terms(["forest.ARFClassifier"], kind="binary")
    emits = play(terms, [x_of(0), x_of(1)])
    first = of(emits, EXPLANATIONS)[0]
    assert (first["base"], first["prediction"], first["target_class"]) == (0.0, 0.0, None)
    assert first["reference"]["kind"] == "nothing learned"
    assert [part["attribution"] for part in first["attributions"]] == [0.0, 0.0, 0.0]
    assert [part["feature"] for part in first["attributions"]] == [
        feature.name for feature in terms.definition.streams[0].features
    ]


def test_an_explanation_carries_on_what_traces_its_event() -> None:
    emits = play(sample_terms(), [x_of(0)])
    (explanation,) = [emit for emit in emits if emit.topic == EXPLANATIONS]
    assert explanation.headers == (("tracestate", b"t"),)
    assert explanation.key == b"north/1"

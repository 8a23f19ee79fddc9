"""The fold equals a plain River loop to the last bit."""

from __future__ import annotations

import hashlib
import math
import random
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from river import compose, linear_model, preprocessing, tree

from tidemill.contracts.codec import codec
from tidemill.contracts.topics import EVENTS, PREDICTIONS, UPDATES
from tidemill.fold.applying import Fold
from tidemill.kernel.deadletters import SUFFIX
from tidemill.kernel.records import Emit, Message
from tidemill.testing.plants import FEATURES, event_value, sample_terms, update_value

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ASSETS = ("north/press", "north/saw", "south/press")
TREE: dict[str, Any] = {"grace_period": 40, "delta": 0.01}

Steps = list[str | dict[str, dict[str, Any]]]

KINDS: dict[str, tuple[str, Steps, Callable[[], Any]]] = {
    "linear regression": (
        "regression",
        [{"linear_model.LinearRegression": {"l2": 0.001}}],
        lambda: linear_model.LinearRegression(l2=0.001),
    ),
    "logistic regression": (
        "binary",
        ["linear_model.LogisticRegression"],
        linear_model.LogisticRegression,
    ),
    "tree classifier": (
        "binary",
        [{"tree.HoeffdingTreeClassifier": TREE}],
        lambda: tree.HoeffdingTreeClassifier(**TREE),
    ),
    "tree regressor": (
        "regression",
        [{"tree.HoeffdingTreeRegressor": TREE}],
        lambda: tree.HoeffdingTreeRegressor(**TREE),
    ),
}
SCALED: Steps = ["preprocessing.StandardScaler"]


@dataclass
class River:
    """The plain loop of one asset: predict, then learn."""

    model: Any
    version: int = 0
    lineage: bytes = b""
    said: list[tuple[object, ...]] = field(default_factory=list)

    def predict(self, x: dict[str, float], kind: str) -> None:
        if kind == "regression":
            answer: tuple[object, ...] = (bits(self.model.predict_one(x)),)
        else:
            scores = self.model.predict_proba_one(x)
            answer = tuple(sorted((str(c).lower(), bits(p)) for c, p in scores.items()))
        self.said.append((self.version, answer))

    def learn(self, x: dict[str, float], y: object, w: float = 1.0) -> None:
        self.model.learn_one(x, y, **({} if w == 1.0 else {"w": w}))
        self.version += 1


def bits(number: float) -> bytes:
    return struct.pack("<d", number)


def said(record: dict[str, Any]) -> tuple[object, ...]:
    """Return version and answer of a decoded prediction, to the bit."""
    if record["probabilities"] is None:
        answer: tuple[object, ...] = () if record["value"] is None else (bits(record["value"]),)
    else:
        answer = tuple(sorted((c, bits(p)) for c, p in record["probabilities"].items()))
    return record["version"], answer


def reading(rng: random.Random) -> dict[str, float | None]:
    """Return features with a relation to learn, now and then one missing."""
    x: dict[str, float | None] = {
        "vibration": rng.gauss(0, 1),
        "temperature": rng.gauss(60, 9),
        "flow": rng.random(),
    }
    if rng.random() < 0.15:
        x[rng.choice(FEATURES)] = None
    return x


def truth(x: dict[str, float | None], rng: random.Random) -> float:
    value = 2 * (x["vibration"] or 0) + ((x["flow"] or 0) > 0.5) - 0.1 * (x["temperature"] or 60)
    return value + 6 + rng.gauss(0, 0.1)


def present(x: dict[str, float | None]) -> dict[str, float]:
    """Return what is there, in the order of the definition."""
    return {name: value for name in FEATURES if (value := x[name]) is not None}


def predictions(emits: Sequence[Emit]) -> list[dict[str, Any]]:
    return [codec("Prediction").decode(e.value) for e in emits if e.topic == PREDICTIONS]


@pytest.mark.parametrize("scaled", [False, True], ids=["bare", "scaled"])
@pytest.mark.parametrize("name", KINDS)
def test_predictions_versions_and_lineages_are_those_of_a_plain_river_loop(
    name: str, scaled: bool
) -> None:
    kind, steps, build = KINDS[name]
    fold = Fold(sample_terms([*(SCALED if scaled else []), *steps], kind=kind), 0)
    rng = random.Random(name)
    rivers = {
        asset: River(
            compose.Pipeline(preprocessing.StandardScaler(), build()) if scaled else build()
        )
        for asset in ASSETS
    }
    emits: list[Emit] = []
    for n in range(1200):
        asset = rng.choice(ASSETS)
        river, x = rivers[asset], reading(rng)
        number = truth(x, rng)
        y: float | bool = number > 0 if kind == "binary" else number
        if n % 10 == 7:
            weight = rng.choice([1.0, 2.5])
            value = update_value(asset, n, x, y, weight=weight)
            assert fold.apply([Message(UPDATES, 0, n, None, value)], 0) == []
            river.learn(present(x), y, weight)
            river.lineage = hashlib.sha256(river.lineage + value).digest()
            continue
        is_labelled = rng.random() < 0.9
        value = event_value(asset, n, x, y if is_labelled else None)
        (emit,) = fold.apply([Message(EVENTS, 0, n, asset.encode(), value)], 0)
        record = codec("Prediction").decode(emit.value)
        river.lineage = river.lineage or record["lineage"]
        assert (record["asset"], record["lineage"]) == (asset, river.lineage), n
        emits.append(emit)
        river.predict(present(x), kind)
        if is_labelled:
            river.learn(present(x), y)
            river.lineage = hashlib.sha256(river.lineage + value).digest()

    found = predictions(emits)
    for asset, river in rivers.items():
        assert [said(record) for record in found if record["asset"] == asset] == river.said
        assert river.version > 300
    if "tree" in name:
        assert max(record["structure"] for record in found) > 0


def test_models_of_different_assets_and_names_start_from_different_lineages() -> None:
    terms = sample_terms(challengers={"plain": ["linear_model.LinearRegression"]})
    fold = Fold(terms, 0)
    messages = [
        Message(EVENTS, 0, n, None, event_value(asset, n, {"flow": 1.0}, 1.0))
        for n, asset in enumerate(ASSETS)
    ]
    found = predictions(fold.apply(messages, 0))

    lineages = [r["lineage"] for r in found] + [s["lineage"] for r in found for s in r["shadows"]]
    assert len(set(lineages)) == 2 * len(ASSETS)
    assert Fold(terms, 1).apply(messages, 0)[0].value != fold.apply(messages, 0)[0].value


def test_an_example_whose_cause_was_applied_already_is_not_learned_again() -> None:
    once, twice = Fold(sample_terms(), 0), Fold(sample_terms(), 0)
    first, later, earlier = (
        Message(UPDATES, 0, n, None, update_value(ASSETS[0], cause, {"flow": 1.0}, label))
        for n, (cause, label) in enumerate([(5, 1.0), (6, 2.0), (4, 9.0)])
    )
    event = Message(EVENTS, 0, 0, None, event_value(ASSETS[0], 0, {"flow": 1.0}))
    once.apply([first, later], 0)
    twice.apply([first, first, later, earlier, first], 0)

    assert twice.apply([event], 0) == once.apply([event], 0)
    (record,) = predictions(once.apply([event], 0))
    assert record["version"] == 2
    assert record["value"] != 0.0


wild = st.one_of(st.just(math.nan), st.just(math.inf), st.just(-math.inf), st.floats(1e101))
places = st.sampled_from([*FEATURES, "label"])


@pytest.mark.parametrize("name", KINDS)
@settings(max_examples=20, deadline=None)
@given(faults=st.lists(st.tuples(st.integers(0, 60), places, wild, st.booleans()), max_size=8))
def test_nothing_that_is_not_finite_ever_touches_a_model(
    name: str, faults: list[tuple[int, str, float, bool]]
) -> None:
    kind, steps, _ = KINDS[name]
    if kind == "binary":
        faults = [fault for fault in faults if fault[1] != "label"]
    terms = sample_terms([*SCALED, *steps], kind=kind)
    rng = random.Random(5)
    clean: list[Message] = []
    for n in range(60):
        x = reading(rng)
        y = truth(x, rng)
        value = event_value(ASSETS[0], n, x, y > 0 if kind == "binary" else y)
        clean.append(Message(EVENTS, 0, n, None, value))
    dirty = list(clean)
    for at, place, number, is_update in sorted(faults, key=lambda fault: fault[0], reverse=True):
        dirty.insert(at, faulty(at, place, number, is_update=is_update, kind=kind))

    expected = Fold(terms, 0).apply(clean, 0)
    found = by_offset(Fold(terms, 0), dirty)

    assert [found[message.offset] for message in clean] == expected
    for emit in found.values():
        if emit.topic == PREDICTIONS:
            (record,) = predictions([emit])
            assert math.isfinite(record["value"] or 0.0)
            assert all(map(math.isfinite, (record["probabilities"] or {}).values()))


def faulty(at: int, place: str, number: float, *, is_update: bool, kind: str) -> Message:
    """Return an event or an update, far off in offsets, with one number that is not finite."""
    x: dict[str, float | None] = {"vibration": 1.0, "temperature": 60.0, "flow": 0.5}
    label: float | bool = kind == "binary" or 1.0
    if place == "label":
        label = number
    else:
        x[place] = number
    if is_update:
        return Message(UPDATES, 0, 1000 + at, None, update_value(ASSETS[0], at, x, label))
    return Message(EVENTS, 0, 1000 + at, None, event_value(ASSETS[0], at, x, label))


def by_offset(fold: Fold, messages: Sequence[Message]) -> dict[int, Emit]:
    """Apply records one by one; return what each caused, an update at fault its dead letter."""
    found = {}
    for message in messages:
        (emit,) = fold.apply([message], 0)
        assert emit.topic == (PREDICTIONS if message.topic == EVENTS else UPDATES + SUFFIX)
        found[message.offset] = emit
    return found

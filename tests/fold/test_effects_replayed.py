"""Instructions of all kinds, cut and restored anywhere, folded again, audited and explained."""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fold.history import KEY, POLICY, History
from fold.instructed import ASSET, Instructed, late_terms, reasons
from models.cases import PARAMETERS
from tidemill.contracts.codec import codec
from tidemill.contracts.topics import EVENTS, EXPLANATIONS, OUTCOMES, RECEIPTS, UPDATES
from tidemill.fold.applying import Fold
from tidemill.fold.audit.replay import replay
from tidemill.fold.audit.verify import verify
from tidemill.fold.effects import UNCHANGED
from tidemill.kernel.records import Message
from tidemill.models.families import ALLOWED
from tidemill.testing.plants import LINEAR, LOGISTIC, event_value, sample_terms

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tidemill.fold.terms import Terms

FOREST = {"forest.ARFRegressor": {"n_models": 2, "grace_period": 10, "leaf_prediction": "mean"}}
CHALLENGERS: Any = {"forest": [FOREST], "tree": [{"tree.HoeffdingTreeRegressor": {}}]}
MIXED = late_terms(LINEAR, challengers=CHALLENGERS, stream={"feedback": {"compare": 3}})
AHEAD = sample_terms(
    LINEAR,
    challengers=CHALLENGERS,
    stream={"target": {"ahead": {"field": "wear", "after": 2}}, "feedback": {"compare": 3}},
)
KINDS = ("VETO", "UNVETO", "FREEZE", "RESUME", "HOLD", "RELEASE", "RESET", "RETRACT")


def x_of(chance: random.Random) -> dict[str, float | None]:
    return {
        "vibration": chance.gauss(0, 1),
        "temperature": chance.choice([20.0, 21.0, None, 4000.0]),
        "flow": chance.random(),
    }


def write(terms: Terms, seed: int, size: int) -> list[tuple[str, bytes]]:
    """Return events and instructions as they might come, labels of what was predicted among it."""
    run, chance = Instructed(terms), random.Random(seed)
    written: list[tuple[str, bytes]] = []
    told: list[dict[str, Any]] = []
    models = (None, None, "pump/champion", "pump/forest", "pump/tree")

    def note(topic: str, value: bytes) -> None:
        written.append((topic, value))

    for number in range(size):
        dice = chance.random()
        if dice < 0.5 or not told:
            value = event_value(ASSET, number, x_of(chance), chance.gauss(0, 1))
            note(EVENTS, value)
            told.append(codec("Prediction").decode(run._apply(EVENTS, value)[0].value))
            continue
        fields: dict[str, Any] = {
            "time": told[-1]["time"],
            "model": chance.choice(models),
            "feature": chance.choice(["flow", "vibration", "temperature"]),
            "target_id": f"f{chance.randint(0, 5)}",
            "until": chance.choice([None, told[-1]["time"] + 3_000_000]),
        }
        kind = chance.choice(KINDS)
        if dice < 0.8:
            stored = chance.choice(told)
            kind = chance.choice(["EXAMPLE", "EXAMPLE", "COUNTEREXAMPLE"])
            names = ("model", "version", "lineage", "value", "quality", "naive", "interval")
            fields |= {
                "x": {"vibration": 1.0, "flow": chance.random()},
                "label": chance.gauss(0, 1),
                "stored": {name: stored[name] for name in names},
                "event_id": stored["event_id"],
                "label_time": stored["time"] + 1_000_000,
                "revision": chance.choice([0, 0, 1]),
                "replaced": chance.choice([None, 0.5]),
                "weight": chance.choice([1.0, 3.0]),
            }
        value = run.value(kind, f"f{chance.randint(0, 5)}", fields)
        note(UPDATES, value)
        run._apply(UPDATES, value)
    return written


def state_of(run: Instructed) -> list[Any]:
    """Return what names every model's state, and all that was decided of it."""
    return [
        (each.key, each.state.version, each.state.lineage, each.structure, each.state.decided,
         each.state.metrics and each.state.metrics.dump())
        for each in run.fold.fleet.of("pump", ASSET).models
    ]  # fmt: skip


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), cut=st.integers(0, 60), terms=st.sampled_from([MIXED, AHEAD]))
def test_cut_and_restored_anywhere_the_same_comes_of_it(seed: int, cut: int, terms: Terms) -> None:
    records = write(terms, seed, 60)
    whole, other = Instructed(terms), Instructed(terms)
    for topic, value in records:
        whole._apply(topic, value)
    for topic, value in records[:cut]:
        other._apply(topic, value)
    before, other = other.emits, other.restored()
    for topic, value in records[cut:]:
        other._apply(topic, value)
    found = [(e.topic, e.value) for e in (*before, *other.emits)]
    assert found == [(e.topic, e.value) for e in whole.emits]
    assert state_of(other) == state_of(whole)
    x = {"vibration": 0.5, "flow": 0.25}
    assert other.event(99, x) == whole.event(99, x)


@pytest.mark.parametrize("terms", [MIXED, AHEAD], ids=["label", "ahead"])
@pytest.mark.parametrize("seed", range(3))
def test_recovery_and_audit_make_the_same_of_it(terms: Terms, seed: int) -> None:
    history, chance = History(terms, policy=POLICY), random.Random(seed)
    records = write(terms, seed, 90)
    while records:
        count = chance.randint(1, 12)
        batch, records = records[:count], records[count:]
        messages = [
            history.event(value) if topic == EVENTS else history.update(value)
            for topic, value in batch
        ]
        runs: list[list[Message]] = []
        for message in messages:
            if not runs or runs[-1][0].topic != message.topic:
                runs.append([])
            runs[-1].append(message)
        history.commit(runs)
        if chance.random() < 0.4:
            history.open(terms)
    assert len(history.log.topics[OUTCOMES]) > 0
    assert len(history.log.topics[RECEIPTS]) > 0
    assert [str(f) for f in replay(history.log, 0, KEY).findings] == []
    assert [str(f) for f in verify(history.log, 0, KEY).findings] == []


@pytest.mark.parametrize("topic", [OUTCOMES, RECEIPTS])
def test_an_audit_finds_what_is_altered_missing_or_more(topic: str) -> None:
    history = History(MIXED, policy=POLICY)
    for kind, value in write(MIXED, 11, 60):
        message = history.event(value) if kind == EVENTS else history.update(value)
        history.commit([[message]])
    log = history.log
    message = log.topics[topic][len(log.topics[topic]) // 2]
    flipped = bytearray(message.value or b"")
    flipped[-3] ^= 1
    altered = log.copy()
    altered.put(message._replace(value=bytes(flipped)))
    gone = log.copy()
    gone.remove(message)
    doubled = log.copy()
    doubled.append(topic, message.value, key=message.key, headers=message.headers)
    for wrong in (altered, gone, doubled):
        for audit in (replay(wrong, 0, KEY), verify(wrong, 0, KEY)):
            assert audit.findings, wrong
    (found, *_) = replay(altered, 0, KEY).findings
    assert found.names(topic, message.offset)


class Without:
    """Leaves out what one origin asked for, and puts other bytes for one offset."""

    def __init__(self, origin: str, instead: Mapping[int, bytes]) -> None:
        self.origin = origin
        self.instead = instead

    def of(self, update: Mapping[str, Any], message: Message) -> bytes | None:
        """Return what is applied."""
        if update["origin"] == self.origin:
            return None
        return self.instead.get(message.offset, UNCHANGED)


def test_a_re_fold_passes_over_others_and_applies_what_its_edits_say() -> None:
    run, calm = Instructed(late_terms()), Instructed(late_terms())
    late = {"topic": "plant.labels"}
    values = [
        run.value("EXAMPLE", "f1", {"x": {"flow": 1.0}, "label": 1.0, **late}),
        run.value("EXAMPLE", "label", {"x": {"flow": 2.0}, "label": 2.0, **late}),
        run.value("EXAMPLE", "label", {"x": {"flow": 3.0}, "label": 3.0, **late}),
    ]
    fields = {
        **late,
        "x": {"flow": 2.0},
        "label": 9.0,
        "event_id": "e1",
        "revision": 1,
        "replaced": 2.0,
    }
    revised = run.value("EXAMPLE", "label", fields)
    fold = Fold(late_terms(), 0, only=("pump", ASSET), edits=Without("f1", {1: revised}))
    messages = [Message(UPDATES, 0, n, b"", value) for n, value in enumerate([*values, b"what"])]
    others = [Message(EVENTS, 0, 0, b"", event_value("other", 0, {"flow": 1.0}))]
    assert fold.apply(messages, 0) == []
    assert fold.apply(others, 0) == []
    (tracked,) = fold.fleet
    assert tracked.key.asset == ASSET
    assert not tracked.state.has_pending
    for x, y in (({"flow": 2.0}, 9.0), ({"flow": 3.0}, 3.0)):
        calm.say("EXAMPLE", x=x, label=y)
    ask = fold.plans["pump"].ask
    assert ask(tracked.state, {"flow": 5.0}) == ask(calm.champion.state, {"flow": 5.0})
    assert tracked.state.applied[("plant.labels", 0)] == (3, 0)


def steps_before(name: str) -> list[list[Any]]:
    """Return pipelines that end in a class: alone, behind an imputer, behind an encoder."""
    needed = [ALLOWED[name].needs] if ALLOWED[name].needs else []
    last = [*needed, {name: PARAMETERS[name]}]
    return [last, ["preprocessing.StatImputer", *last], ["preprocessing.OneHotEncoder", *last]]


PREDICTORS = [name for name, entry in ALLOWED.items() if entry.role != "transformer"]


@pytest.mark.parametrize("before", [0, 1, 2], ids=["alone", "imputer", "encoder"])
@pytest.mark.parametrize("name", PREDICTORS)
def test_every_model_goes_on_without_a_sensor(name: str, before: int) -> None:
    tasks = ALLOWED[name].tasks
    is_binary, is_anomaly = "binary" in tasks, "anomaly" in tasks
    stream: dict[str, Any] = {"target": "none"} if is_anomaly else {}
    kind = "binary" if is_binary else "regression"
    terms = sample_terms(steps_before(name)[before], kind=kind, stream=stream)
    run, chance = Instructed(terms, explains=True), random.Random(9)
    assert run.explaining is not None

    def live(numbers: range) -> None:
        for number in numbers:
            x = {"vibration": chance.random(), "temperature": 0.2, "flow": chance.random()}
            y: Any = None if is_anomaly else x["flow"] > 0.5 if is_binary else x["flow"]
            run.event(number, x, y)

    live(range(60))
    run.explaining.take()
    assert reasons(run.say("VETO", feature="flow")) == []
    pending = run.champion.state.decided.pending
    run.fold.compensate(run.champion.key, [each.offset for each in pending], "", 100)
    assert run.champion.state.decided.vetoed == {"flow"}
    version = run.champion.state.version
    live(range(60, 120))
    assert run.champion.state.version > version + 40
    explanations = [codec("Explanation").decode(e.value) for e in run.explaining.take()]
    assert len(explanations) == 60
    for each in explanations:
        parts = each["attributions"]
        assert "flow" not in {part["feature"] for part in parts}
        assert "flow" not in each["missing"]
        total = each["base"] + sum(part["attribution"] for part in parts) + each["residual"]
        assert total == pytest.approx(each["prediction"], abs=1e-6)


@pytest.mark.parametrize(
    "steps",
    [LOGISTIC, ["linear_model.LogisticRegression"], [{"forest.ARFClassifier": {"n_models": 3}}]],
    ids=["compiled", "bare", "forest"],
)
def test_an_explanation_after_a_veto_is_of_the_model_as_it_is_then(steps: Any) -> None:
    run, chance = Instructed(sample_terms(steps, kind="binary"), explains=True), random.Random(9)
    assert run.explaining is not None
    for number in range(300):
        if number == 200:
            run.say("VETO", feature="flow")
        x = {"vibration": chance.random(), "temperature": 20.0, "flow": chance.random()}
        said = run.event(number, x, x["flow"] + 0.3 * x["vibration"] > 0.6)
        (emit,) = [e for e in run.explaining.take() if e.topic == EXPLANATIONS]
        explained = codec("Explanation").decode(emit.value)
        total = explained["base"] + sum(part["attribution"] for part in explained["attributions"])
        if explained["output_space"] == "log-odds":
            total = 1 / (1 + math.exp(-total))
        if said["probabilities"] is not None and explained["exact"]:
            assert total == pytest.approx(said["probabilities"].get("true", 0.0), abs=1e-9)
        names = {part["feature"] for part in explained["attributions"]}
        assert ("flow" in names) == (number < 200)

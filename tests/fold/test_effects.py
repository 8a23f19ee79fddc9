"""What instructions do to models, against plain River with the same done by hand."""

from __future__ import annotations

import hashlib
import random
from typing import TYPE_CHECKING, Any

import pytest

from fold.instructed import Instructed, late_terms, of, reasons
from models.cases import forest, linear_model, naive_bayes, preprocessing
from tidemill.contracts.topics import RECEIPTS
from tidemill.models.controls import MOST_CORRECTIONS
from tidemill.models.pickles import dump_state, load_state
from tidemill.testing.plants import START_US, STEP_US, sample_terms

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


NAMES = ("vibration", "temperature", "flow")
SCALER = "preprocessing.StandardScaler"
GROWS = {"n_models": 3, "grace_period": 20, "leaf_prediction": "mc", "seed": 3}


def case(chance: random.Random) -> tuple[dict[str, float], bool]:
    """Return features and whether the flow, mostly, is high."""
    x = {"vibration": chance.gauss(0, 1), "temperature": chance.gauss(20, 3), "flow": 0.0}
    x["flow"] = chance.random()
    return x, x["flow"] + 0.1 * x["vibration"] > 0.5


def scored(name: str) -> dict[str, Callable[[], Any]]:
    """Return how plain River is made, by the name of a class in a definition."""
    made = {
        "linear_model.LinearRegression": linear_model.LinearRegression,
        "linear_model.PARegressor": lambda: linear_model.PARegressor(mode=1),
        "linear_model.BayesianLinearRegression": linear_model.BayesianLinearRegression,
        "linear_model.LogisticRegression": linear_model.LogisticRegression,
        "linear_model.PAClassifier": lambda: linear_model.PAClassifier(mode=1),
        "linear_model.SoftmaxRegression": linear_model.SoftmaxRegression,
        "naive_bayes.GaussianNB": naive_bayes.GaussianNB,
    }
    return {"make": made[name]}


NUMBERS = ["LinearRegression", "PARegressor", "BayesianLinearRegression"]
CLASSES = ["LogisticRegression", "PAClassifier", "SoftmaxRegression"]
DROPPED = [
    *((f"linear_model.{name}", "regression") for name in NUMBERS),
    *((f"linear_model.{name}", "binary") for name in CLASSES),
    ("naive_bayes.GaussianNB", "binary"),
]


def said(record: dict[str, Any]) -> Any:
    """Return what a prediction says."""
    return record["value"] if record["probabilities"] is None else record["probabilities"]


def answer(model: Any, x: dict[str, float], kind: str) -> Any:
    """Return what plain River says, classes named as predictions name them."""
    if kind == "regression":
        return float(model.predict_one(x))
    scores = model.predict_proba_one(x)
    return {str(key).lower(): float(p) for key, p in scores.items()} or None


@pytest.mark.parametrize("is_scaled", [True, False], ids=["scaled", "bare"])
@pytest.mark.parametrize(("name", "kind"), DROPPED, ids=[name for name, _ in DROPPED])
def test_a_sensor_that_is_vetoed_is_left_out_of_asking_and_learning_from_then_on(
    name: str, kind: str, *, is_scaled: bool
) -> None:
    steps: list[Any] = [SCALER, name] if is_scaled else [name]
    run = Instructed(sample_terms(steps, kind=kind))
    plain = scored(name)["make"]()
    if is_scaled:
        plain = preprocessing.StandardScaler() | plain
    chance = random.Random(1)
    for number in range(90):
        if number == 45:
            before = run.champion.state
            lineage, version, structure = before.lineage, before.version, before.structure
            emits = run.say("VETO", feature="flow")
            state = run.champion.state
            assert reasons(emits) == []
            assert state.lineage != lineage
            assert (state.version, state.structure) == (version + 1, structure + 1)
        x, is_high = case(chance)
        y = x["flow"] * 2 if kind == "regression" else is_high
        kept = {n: v for n, v in x.items() if number < 45 or n != "flow"}
        expected = answer(plain, kept, kind)
        record = run.event(number, x, y)
        assert said(record) == expected
        plain.learn_one(kept, y)


def test_a_veto_of_a_sensor_is_one_of_what_is_made_of_its_readings() -> None:
    features = {"vibration": {}, "flow": {}, "flow_before": {"of": "flow", "lag": 1}}
    run = Instructed(sample_terms(stream={"features": features}))
    run.say("VETO", feature="flow")
    assert run.champion.state.decided.vetoed == {"flow", "flow_before"}
    other = Instructed(sample_terms(stream={"features": features}))
    other.say("VETO", feature="flow_before")
    assert other.champion.state.decided.vetoed == {"flow_before"}


def uses(node: Any, name: str) -> bool:
    """Return whether a subtree asks for a feature."""
    if getattr(node, "feature", None) == name:
        return True
    return any(uses(child, name) for child in getattr(node, "children", ()))


def leaves(node: Any) -> list[Any]:
    """Return the leaves of a subtree."""
    children = getattr(node, "children", ())
    return [leaf for child in children for leaf in leaves(child)] or [node]


def without_flow(model: Any, update_id: str) -> int:
    """Do by hand what a veto of the flow does to a forest; return how many trees are new."""

    def seed(part: str) -> int:
        text = f"tidemill regrow\0{update_id}\0{part}"
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")

    model._rng.seed(seed("forest"))
    renewed = 0
    for number in range(len(model)):
        trees = [t for t in (model.data[number], model._background[number]) if t is not None]
        if any(uses(each._root, "flow") for each in trees):
            renewed += 1
            model.data[number] = model._new_base_model()
            model._background[number] = None
            model._metrics[number] = model.metric.clone()
            model._warning_detectors[number] = model.warning_detector.clone()
            model._drift_detectors[number] = model.drift_detector.clone()
            continue
        for leaf in [leaf for tree in trees for leaf in leaves(tree._root)]:
            leaf.splitters.pop("flow", None)
            leaf.feature_indices = [n for n in leaf.feature_indices if n != "flow"]
    return renewed


@pytest.mark.parametrize("vetoed_at", [60, 200, 350])
def test_trees_of_a_forest_that_use_a_vetoed_sensor_start_anew(vetoed_at: int) -> None:
    run = Instructed(sample_terms([{"forest.ARFClassifier": GROWS}], kind="binary"))
    fixed = {"memory_estimate_period": 1 << 62, "max_depth": 60}
    plain = forest.ARFClassifier(**GROWS, **fixed)
    chance, renewed = random.Random(5), 0
    for number in range(vetoed_at + 200):
        if number == vetoed_at:
            structure = run.champion.state.structure
            run.say("VETO", feature="flow", update_id="u-veto")
            renewed = without_flow(plain, "u-veto")
            assert run.champion.state.structure == structure + 1
        x, y = case(chance)
        kept = {n: v for n, v in x.items() if number < vetoed_at or n != "flow"}
        expected = answer(plain, kept, "binary") if len(plain) else None
        assert said(run.event(number, x, y)) == expected
        plain.learn_one(kept, y)
        if number > vetoed_at:
            assert not any(uses(tree._root, "flow") for tree in run.river)
    assert renewed > 0 or vetoed_at == 60


def test_leaves_of_trees_that_stay_forget_what_they_saw_of_the_sensor() -> None:
    patient = {**GROWS, "grace_period": 5_000, "max_features": 3}
    run = Instructed(sample_terms([{"forest.ARFClassifier": patient}], kind="binary"))
    chance = random.Random(5)
    for number in range(60):
        run.event(number, *case(chance))
    trees = list(run.river)
    watched = [leaf for tree in trees for leaf in leaves(tree._root)]
    assert all("flow" in leaf.splitters for leaf in watched)
    run.say("VETO", feature="flow")
    assert [id(tree) for tree in run.river] == [id(tree) for tree in trees]
    for leaf in watched:
        assert "flow" not in leaf.splitters
        assert set(leaf.feature_indices) == {"vibration", "temperature"}


REFOLDED: list[tuple[list[Any], str]] = [
    ([{"tree.HoeffdingTreeClassifier": {"grace_period": 20}}], "binary"),
    ([{"forest.AMFRegressor": {"n_estimators": 2}}], "regression"),
    ([SCALER, "neighbors.KNNRegressor"], "regression"),
    (["naive_bayes.BernoulliNB"], "binary"),
    ([{"preprocessing.StatImputer": {}}, SCALER, "linear_model.LinearRegression"], "regression"),
]


@pytest.mark.parametrize(("steps", "kind"), REFOLDED, ids=[str(s[-1])[:30] for s, _ in REFOLDED])
def test_where_a_sensor_cannot_be_left_out_the_veto_waits_for_a_re_fold(
    steps: Sequence[Any], kind: str
) -> None:
    run, calm = (
        Instructed(sample_terms(steps, kind=kind)),
        Instructed(sample_terms(steps, kind=kind)),
    )
    chance = random.Random(2)
    for number in range(80):
        if number == 40:
            before = run.champion.state.lineage, run.champion.state.version
            emits = run.say("VETO", feature="flow")
            assert emits == []  # the receipt comes with the swap
            assert (run.champion.state.lineage, run.champion.state.version) == before
            (pending,) = run.champion.state.decided.pending
            assert (pending.offset, pending.seen) == (0, 40)
        x, is_high = case(chance)
        y = x["flow"] if kind == "regression" else is_high
        assert said(run.event(number, x, y)) == said(calm.event(number, x, y))


def test_a_second_vote_for_a_veto_changes_nothing() -> None:
    run = Instructed(sample_terms())
    run.say("VETO", feature="flow")
    before = run.champion.state.lineage
    (receipt,) = of(run.say("VETO", by="f2", feature="flow"), RECEIPTS)
    assert (receipt["status"], receipt["feedback_id"]) == ("APPLIED", "f2")
    assert receipt["reason"] == "the sensor is left out already"
    assert run.champion.state.lineage == before
    assert [veto.origin for veto in run.champion.state.decided.vetoes] == ["f1"]


def test_the_last_sensor_of_a_model_stays() -> None:
    run = Instructed(sample_terms([{"tree.HoeffdingTreeRegressor": {}}]))
    assert reasons(run.say("VETO", feature="flow")) == []
    assert reasons(run.say("VETO", feature="vibration")) == []
    assert reasons(run.say("VETO", feature="temperature")) == ["domain"]
    assert len(run.champion.state.decided.pending) == 2


@pytest.mark.parametrize(
    ("steps", "weight", "times"),
    [
        (["linear_model.LogisticRegression"], 1.0, 1),
        (["linear_model.LogisticRegression"], 4.9, 4),
        (["linear_model.LogisticRegression"], 20.0, 5),
        ([{"tree.HoeffdingTreeClassifier": {}}], 20.0, 5),
        ([{"forest.ARFClassifier": GROWS}], 20.0, 1),
        ([{"forest.AMFClassifier": {"n_estimators": 2}}], 20.0, 1),
        (["naive_bayes.GaussianNB"], 3.0, 3),
    ],
)
def test_a_counterexample_is_learned_as_often_as_its_weight_says_within_bounds(
    steps: Sequence[Any], weight: float, times: int
) -> None:
    run, calm = (Instructed(sample_terms(steps, kind="binary")) for _ in range(2))
    chance = random.Random(4)
    for number in range(30):
        x, y = case(chance)
        run.event(number, x, y)
        calm.event(number, x, y)
    x, y = case(chance)
    version = run.champion.state.version
    run.say("COUNTEREXAMPLE", x=x, label=not y, weight=weight)
    for _ in range(times):
        calm.champion.state.pipeline.learn_one(x, not y)
    assert run.champion.state.version == version + 1
    assert said(run.event(31, x, y)) == said(calm.event(31, x, y))


def test_a_frozen_model_learns_nothing_until_it_is_resumed() -> None:
    run = Instructed(sample_terms())
    x = {"vibration": 1.0, "temperature": 20.0, "flow": 0.5}
    run.event(0, x, 3.0)
    run.say("FREEZE")
    first = run.event(1, x, 9.0)
    run.say("EXAMPLE", x=x, label=50.0)
    run.say("COUNTEREXAMPLE", x=x, label=50.0)
    second = run.event(2, x, 9.0)
    assert first["quality"] == second["quality"] == ["FROZEN"]
    assert said(first) == said(second)
    run.say("RESUME")
    third, fourth = run.event(3, x, 9.0), run.event(4, x, 9.0)
    assert third["quality"] == []
    assert said(third) == said(first) != said(fourth)


@pytest.mark.parametrize("first", ["a", "b"])
def test_a_freeze_that_is_taken_back_without_a_re_fold_leaves_the_others(first: str) -> None:
    run = Instructed(sample_terms())
    run.event(0, {"flow": 1.0}, 1.0)
    for by in ("a", "b", "b"):
        run.say("FREEZE", by=by)
    assert run.restored().champion.state.decided == run.champion.state.decided
    for by, others in ((first, {"a", "b"} - {first}), ("b" if first == "a" else "a", set())):
        run.say("RETRACT", by=f"r-{by}", target_id=by)
        (pending,) = run.champion.state.decided.pending
        run.fold.compensate(run.champion.key, [pending.offset], "no base", 99)
        assert set(run.champion.state.decided.frozen_by) == others
        assert run.champion.state.is_frozen == bool(others)


def us(number: int) -> int:
    return START_US + number * STEP_US


def test_a_hold_is_a_span_of_event_time_that_is_not_learned_then_or_later() -> None:
    run, calm = Instructed(late_terms()), Instructed(late_terms())
    x = {"vibration": 1.0, "temperature": 20.0, "flow": 0.5}
    told = [run.event(n, x) for n in range(3)]
    [calm.event(n, x) for n in range(3)]
    run.say("HOLD", until=us(5))
    told += [run.event(n, x) for n in range(3, 8)]
    [calm.event(n, x) for n in range(3, 8)]
    assert [t["quality"] for t in told] == [[], [], [], ["HELD"], ["HELD"], ["HELD"], [], []]
    for number, record in enumerate(told):
        run.label(record, number * 2.0)
    for number in (0, 1, 2, 6, 7):
        calm.say("EXAMPLE", by="label", x=told[number]["features"], label=number * 2.0)
    assert said(run.event(9, x)) == said(calm.event(9, x))


def test_a_release_ends_a_hold_without_an_end() -> None:
    run = Instructed(sample_terms())
    x = {"vibration": 1.0, "temperature": 20.0, "flow": 0.5}
    run.event(0, x, 1.0)
    run.say("HOLD")
    assert run.event(1, x, 1.0)["quality"] == ["HELD"]
    run.say("RELEASE")
    before = run.champion.state.version
    assert run.event(2, x, 1.0)["quality"] == []
    assert run.champion.state.version == before + 1
    (receipt,) = of(run.say("HOLD", until=us(1)), RECEIPTS)
    assert receipt["reason"] == "the hold was over when it came"


def test_a_reset_model_starts_anew_and_its_version_goes_on() -> None:
    run, fresh = Instructed(sample_terms()), Instructed(sample_terms())
    chance = random.Random(6)
    for number in range(20):
        run.event(number, case(chance)[0], 5.0)
    run.say("VETO", feature="vibration")
    before = run.champion.state
    lineage, version, structure = before.lineage, before.version, before.structure
    run.say("RESET", update_id="u-reset")
    state = run.champion.state
    assert (state.version, state.structure) == (version + 1, structure + 1)
    assert state.lineage != lineage
    assert state.decided.vetoed == {"vibration"}
    fresh.say("VETO", feature="vibration")
    for number in range(20, 40):
        x, _ = case(chance)
        one, other = run.event(number, x, x["flow"]), fresh.event(number, x, x["flow"])
        assert said(one) == said(other)


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("VETO", {"feature": "sirup"}),
        ("VETO", {}),
        ("UNVETO", {"feature": None}),
        ("COUNTEREXAMPLE", {"x": {"flow": 1.0}}),
        ("COUNTEREXAMPLE", {"x": {"flow": 1.0}, "label": 1.0, "weight": 0.5}),
        ("COUNTEREXAMPLE", {"x": {"temperature": 5000.0}, "label": 1.0}),
        ("RETRACT", {}),
        ("RETRACT", {"target_id": ""}),
        ("EXAMPLE", {"x": {"flow": 1.0}, "label": 1.0, "revision": 1, "replaced": 2.0}),
        ("EXAMPLE", {"x": {"flow": 1.0}, "label": 1.0, "revision": -1}),
        ("ROLLBACK", {}),
        ("PROMOTE", {}),
        ("FREEZE", {"model": "pump/other"}),
        ("RETRACT", {"target_id": "f" * 70_000}),
    ],
)
def test_an_instruction_that_cannot_be_obeyed_is_a_dead_letter_and_is_answered(
    kind: str, fields: dict[str, Any]
) -> None:
    run = Instructed(sample_terms())
    run.event(0, {"flow": 0.5}, 1.0)
    before = dump_state(run.champion.state)
    emits = run.say(kind, **fields)
    assert reasons(emits) == ["domain"]
    (receipt,) = of(emits, RECEIPTS)
    assert (receipt["status"], receipt["feedback_id"]) == ("REFUSED", "f1")
    assert dump_state(run.champion.state) == before
    assert of(run.say(kind, topic="model.drift", **fields), RECEIPTS) == []


@pytest.mark.parametrize("kind", ["VETO", "RESET", "COUNTEREXAMPLE", "RETRACT", "HOLD"])
def test_the_same_instruction_again_is_passed_over(kind: str) -> None:
    run = Instructed(sample_terms())
    run.event(0, {"flow": 0.5}, 1.0)
    fields: dict[str, Any] = {"feature": "flow", "target_id": "f0", "x": {"flow": 1.0}}
    value = run.value(kind, "f1", {**fields, "label": 1.0})
    run._apply("model.updates", value)
    before = run.champion.state.lineage, run.champion.state.decided.dump()
    assert run._apply("model.updates", value) == []
    assert (run.champion.state.lineage, run.champion.state.decided.dump()) == before


def test_corrections_beyond_the_most_there_may_be_are_made_good_at_once() -> None:
    run = Instructed(sample_terms([{"tree.HoeffdingTreeRegressor": {}}]))
    run.event(0, {"flow": 0.5, "vibration": 1.0}, 1.0)
    for number in range(MOST_CORRECTIONS):
        assert run.say("RETRACT", target_id=f"f{number}") == []
    (receipt,) = of(run.say("VETO", feature="flow"), RECEIPTS)
    assert receipt["status"] == "COMPENSATED"
    assert receipt["reason"].startswith(f"at most {MOST_CORRECTIONS}")
    assert run.champion.state.decided.vetoed == {"flow"}
    assert len(run.champion.state.decided.pending) == MOST_CORRECTIONS


def test_what_was_decided_of_a_model_survives_its_snapshot() -> None:
    run = Instructed(sample_terms())
    run.event(0, {"flow": 0.5}, 1.0)
    for kind, fields in (
        ("VETO", {"feature": "flow"}),
        ("FREEZE", {}),
        ("HOLD", {"until": us(50)}),
        ("RETRACT", {"target_id": "f0"}),
    ):
        run.say(kind, **fields)
    state = run.champion.state
    loaded = load_state(dump_state(state))
    assert loaded.decided == state.decided
    assert loaded.decided.vetoed == {"flow"}
    assert loaded.has_pending


def test_answers_to_a_drift_are_not_the_learners_business() -> None:
    run = Instructed(sample_terms())
    assert run.say("FAULT") == run.say("PROCESS_CHANGE") == []


def test_a_counterexample_at_fault_is_not_learned_and_says_why_as_an_example_does() -> None:
    run = Instructed(late_terms())
    x = {"vibration": 1.0, "temperature": 20.0, "flow": 0.5}
    record = {**run.event(0, x), "quality": ["STUCK"]}
    names = ("model", "version", "lineage", "value", "probabilities", "outcome", "quality")
    stored = {name: record[name] for name in (*names, "interval", "class_set", "naive")}
    before = run.champion.state.lineage
    told = [
        of(run.say(kind, x=x, label=4.0, weight=weight, stored=stored), RECEIPTS)
        for kind, weight in (("COUNTEREXAMPLE", 3.0), ("EXAMPLE", 1.0))
    ]
    assert [(r["status"], r["reason"]) for (r,) in told] == [
        ("APPLIED", "what was predicted at fault is not learned: some of its inputs were made up")
    ] * 2
    assert (run.champion.state.lineage, run.champion.state.version) == (before, 0)

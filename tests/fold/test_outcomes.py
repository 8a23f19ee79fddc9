"""What became of predictions: the stored one is judged, however late its label comes."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest

from fold.instructed import ASSET, Instructed, late_terms, of, reasons
from tidemill.contracts.topics import OUTCOMES, UPDATES
from tidemill.fold.entry_marks import ENTRY_HEADER
from tidemill.models.controls import Edit
from tidemill.models.pickles import dump_state, load_state
from tidemill.testing.plants import LINEAR, LOGISTIC, sample_terms

MAE, NAIVE = "mae", "naive_mae"


def some(chance: random.Random) -> dict[str, float | None]:
    """Return features; sometimes one is missing."""
    x: dict[str, float | None] = {
        "vibration": chance.gauss(0, 1),
        "temperature": chance.gauss(20, 3),
        "flow": chance.random(),
    }
    if chance.random() < 0.1:
        x["flow"] = None
    return x


def truth(x: dict[str, float | None]) -> float:
    return 3 * (x["vibration"] or 0.0) + 5 * (x["flow"] or 0.0)


@pytest.mark.parametrize("delay", [1, 20])
def test_a_late_label_is_held_against_what_was_said_then(delay: int) -> None:
    run, chance = Instructed(late_terms()), random.Random(1)
    told: list[tuple[dict[str, Any], float]] = []
    errors, naive_errors, covered = [], [], []
    last = None
    for number in range(260):
        x = some(chance)
        record = run.event(number, x)
        assert record["naive"] == last
        told.append((record, truth(x)))
        if number < delay:
            continue
        stored, y = told[number - delay]
        (outcome,) = of(run.label(stored, y), OUTCOMES)
        last = y
        errors.append(abs(y - stored["value"]))
        if stored["naive"] is not None:
            naive_errors.append(abs(y - stored["naive"]))
        if stored["interval"] is not None:
            covered.append(stored["interval"]["low"] <= y <= stored["interval"]["high"])
        assert outcome["event_id"] == stored["event_id"]
        assert (outcome["asset"], outcome["stream"], outcome["model"]) == (
            ASSET,
            "pump",
            "pump/champion",
        )
        assert (outcome["time"], outcome["version"]) == (stored["time"], stored["version"])
        assert (outcome["predicted"], outcome["label"]) == (stored["value"], y)
        assert (outcome["error"], outcome["delay_s"]) == (errors[-1], 90.0)
        assert outcome["covered"] == (covered[-1] if stored["interval"] is not None else None)
        metrics = outcome["metrics"]
        assert metrics["count"] == len(errors)
        assert metrics[MAE] == pytest.approx(sum(errors) / len(errors), rel=1e-12)
        if naive_errors:
            assert metrics["naive_count"] == len(naive_errors)
            assert metrics[NAIVE] == pytest.approx(sum(naive_errors) / len(naive_errors))
        if covered:
            assert metrics["coverage"] == pytest.approx(sum(covered) / len(covered))
    assert covered


def test_asking_again_when_the_label_comes_would_tell_another_error() -> None:
    run, chance = Instructed(late_terms()), random.Random(2)
    told = [(run.event(n, x), truth(x)) for n in range(60) for x in [some(chance)]]
    stored_errors, later_errors = [], []
    plan = run.fold.plans["pump"]
    for record, y in told:
        again = plan.ask(run.champion.state, record["features"]).answer.value
        (outcome,) = of(run.label(record, y), OUTCOMES)
        stored_errors.append(outcome["error"])
        later_errors.append(abs(y - (again or 0.0)))
    assert sum(later_errors) < 0.8 * sum(stored_errors)


def test_of_classes_the_loss_is_that_of_the_probability_that_was_stored() -> None:
    run, chance = Instructed(late_terms(LOGISTIC, kind="binary")), random.Random(3)
    hits, naive_hits, count = 0, 0, 0
    for number in range(150):
        x = some(chance)
        record, is_high = run.event(number, x), truth(x) > 2.5
        key = str(is_high).lower()
        (outcome,) = of(run.label(record, is_high), OUTCOMES)
        p = record["probabilities"].get(key, 0.0)
        assert outcome["error"] == pytest.approx(-math.log(max(p, 1e-15)))
        assert (outcome["predicted"], outcome["label"]) == (record["outcome"], key)
        hits += record["outcome"] == key
        assert outcome["metrics"]["accuracy"] == pytest.approx(hits / (number + 1))
        if record["naive"]:
            count += 1
            naive_hits += max(record["naive"], key=record["naive"].__getitem__) == key
            assert outcome["metrics"]["naive_accuracy"] == pytest.approx(naive_hits / count)
        if record["class_set"] is not None:
            assert outcome["covered"] == (key in record["class_set"])


def test_features_are_those_of_all_models_vetoes_or_not() -> None:
    run = Instructed(late_terms())
    run.event(0, {"vibration": 1.0, "flow": 2.0, "temperature": 3.0})
    run.say("VETO", feature="flow")
    record = run.event(1, {"vibration": 1.0, "flow": 2.0, "temperature": 3.0})
    assert list(record["features"].items()) == [
        ("vibration", 1.0),
        ("temperature", 3.0),
        ("flow", 2.0),
    ]
    assert Instructed(sample_terms()).event(0, {"flow": 2.0})["features"] is None


@pytest.mark.parametrize(
    ("flags", "is_learned"),
    [
        ([], True),
        (["MISSING"], True),
        (["FROZEN", "HELD"], True),
        (["STUCK"], False),
        (["MISSING", "IMPUTED", "OUT_OF_RANGE"], False),
    ],
)
def test_a_prediction_at_fault_has_its_outcome_and_is_neither_learned_nor_counted(
    flags: list[str], *, is_learned: bool
) -> None:
    run = Instructed(late_terms())
    record = run.event(0, {"vibration": 1.0, "flow": 2.0, "temperature": 3.0})
    before = run.champion.state.lineage
    record["quality"] = flags
    emits = run.label(record, 4.0)
    (outcome,) = of(emits, OUTCOMES)
    assert reasons(emits) == []
    assert outcome["error"] == abs(4.0 - record["value"])
    assert outcome["metrics"] == ({"count": 1.0, "mae": outcome["error"]} if is_learned else {})
    assert (run.champion.state.lineage != before) == is_learned
    assert run.fold.counts.examples == is_learned


def test_a_fault_that_the_gate_would_refuse_still_has_its_outcome() -> None:
    terms = late_terms(stream={"features": {"flow": {"range": [0, 1], "required": True}}})
    run = Instructed(terms)
    record = run.event(0, {"flow": 70.0})
    assert record["quality"] == ["OUT_OF_RANGE"]
    emits = run.label(record, 4.0)
    assert reasons(emits) == []
    assert len(of(emits, OUTCOMES)) == 1


def test_an_example_without_a_stored_prediction_of_the_champion_has_no_outcome() -> None:
    run = Instructed(late_terms(challengers={"plain": ["linear_model.LinearRegression"]}))
    record = run.event(0, {"flow": 2.0})
    assert run.label(record, 1.0, model="pump/plain") == []
    assert run.say("EXAMPLE", by="label", x={"flow": 1.0}, label=1.0, topic="plant.labels") == []
    assert run.label({**record, "model": "pump/plain"}, 1.0) == []
    assert run.label(record, 1.0, event_id=None) == []
    assert len(run.label(record, 1.0)) == 1


@pytest.mark.parametrize("after", [3, "2s"])
def test_a_case_that_looked_ahead_has_an_outcome_when_the_reading_comes(after: object) -> None:
    terms = sample_terms(stream={"target": {"ahead": {"field": "wear", "after": after}}})
    run, chance = Instructed(terms), random.Random(4)
    said, found = [], []
    for number in range(40):
        before = len(run.emits)
        said.append(run.event(number, some(chance), float(number)))
        found += of(run.emits[before:], OUTCOMES)
    late = 3 if after == 3 else 2
    assert [each["event_id"] for each in found] == [f"e{n}" for n in range(40 - late)]
    for number, outcome in enumerate(found):
        assert (outcome["predicted"], outcome["label"]) == (said[number]["value"], number + late)
        assert (outcome["delay_s"], outcome["version"]) == (late, said[number]["version"])
        # The naive model says the reading of then.
        assert outcome["metrics"][NAIVE] == late


def test_labels_in_their_events_lead_to_outcomes_only_where_all_are_asked_for() -> None:
    quiet, loud = (
        Instructed(sample_terms(LINEAR, stream={"outcomes": which})) for which in ("late", "all")
    )
    x = {"flow": 2.0, "vibration": 1.0, "temperature": 3.0}
    for number in range(5):
        one, other = quiet.event(number, x, 7.0), loud.event(number, x, 7.0)
        assert one["value"] == other["value"]
    assert of(quiet.emits, OUTCOMES) == []
    assert quiet.champion.state.metrics is None
    outcomes = of(loud.emits, OUTCOMES)
    assert [o["metrics"]["count"] for o in outcomes] == [1, 2, 3, 4, 5]
    assert [o["delay_s"] for o in outcomes] == [0.0] * 5
    assert loud.event(6, x)["features"] is None


def test_a_model_without_an_answer_is_judged_by_nothing() -> None:
    run = Instructed(late_terms())
    record = run.event(0, {"flow": 2.0})
    (outcome,) = of(run.label({**record, "value": None}, 1.0), OUTCOMES)
    assert math.isnan(outcome["error"])
    assert outcome["predicted"] is None
    assert outcome["metrics"] == {}


@pytest.mark.parametrize("said", [None, {}])
def test_a_model_without_a_class_to_name_is_judged_by_nothing(
    said: dict[str, float] | None,
) -> None:
    run = Instructed(late_terms(LOGISTIC, kind="binary"))
    record = {**run.event(0, {"flow": 2.0}), "probabilities": said, "outcome": None}
    (outcome,) = of(run.label(record, True), OUTCOMES)
    assert math.isnan(outcome["error"])
    assert (outcome["predicted"], outcome["metrics"]) == (None, {})


def test_outcomes_name_the_ledger_entry_that_wrote_them() -> None:
    run = Instructed(late_terms())
    record = run.event(0, {"flow": 2.0})
    (emit,) = run.label(record, 1.0)
    assert dict(emit.headers)[ENTRY_HEADER] == str(sum(run.ends.values())).encode()
    assert emit.key == ASSET.encode()


def test_a_revised_label_waits_and_its_outcome_comes_with_the_swap() -> None:
    run = Instructed(late_terms())
    record = run.event(0, {"flow": 2.0, "vibration": 1.0})
    (first,) = of(run.label(record, 1.0), OUTCOMES)
    lineage = run.champion.state.lineage
    assert run.label(record, 5.0, revision=1, replaced=1.0) == []
    assert run.champion.state.lineage == lineage
    # As a re-fold does: the corrected label in the place of the first.
    other = Instructed(late_terms())
    (expected,) = of(other.label(other.event(0, {"flow": 2.0, "vibration": 1.0}), 5.0), OUTCOMES)
    refolded = load_state(dump_state(other.champion.state))
    (pending,) = run.champion.state.decided.pending
    version = run.champion.state.version
    (outcome,) = of(run.fold.swap(run.champion.key, refolded, [pending.offset], 9), OUTCOMES)
    assert (outcome["revision"], outcome["label"]) == (1, 5.0)
    assert outcome["error"] == expected["error"] != first["error"]
    assert outcome["metrics"] == expected["metrics"]
    assert run.champion.state.version == version + 1
    (edit,) = run.champion.state.decided.edits
    assert edit == Edit(pending.offset, pending.entry, 9, pending.value, pending.seen)
    assert not run.champion.state.has_pending


def test_the_same_value_again_is_no_revision() -> None:
    run = Instructed(late_terms())
    record = run.event(0, {"flow": 2.0})
    run.label(record, 1.0)
    assert run.label(record, 1.0, revision=1, replaced=1.0) == []
    assert not run.champion.state.has_pending
    assert run.ends[UPDATES] == 2


def test_a_revised_label_without_a_re_fold_is_learned_once_and_judges_the_same_prediction() -> None:
    run, calm = Instructed(late_terms()), Instructed(late_terms())
    x = {"flow": 2.0, "vibration": 1.0}
    for each in (run, calm):
        record = each.event(0, x)
        each.label(record, 1.0)
    run.label(record, 5.0, revision=1, replaced=1.0)
    (pending,) = run.champion.state.decided.pending
    emits = run.fold.compensate(run.champion.key, [pending.offset], "too far back", 9)
    (outcome,) = of(emits, OUTCOMES)
    assert (outcome["error"], outcome["revision"]) == (abs(5.0 - record["value"]), 1)
    assert outcome["metrics"]["count"] == 1
    calm.label(record, 5.0, event_id=None)
    assert run.event(1, x)["value"] == calm.event(1, x)["value"]

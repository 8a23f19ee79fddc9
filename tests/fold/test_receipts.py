"""Receipts: what became of feedback, in which version, and what it has changed."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest

from fold.instructed import Instructed, late_terms, of
from tidemill.contracts.topics import FEEDBACK, OUTCOMES, RECEIPTS
from tidemill.models.pickles import dump_state, load_state
from tidemill.models.recent import Recent
from tidemill.testing.plants import LOGISTIC, START_US, STEP_US, sample_terms

if TYPE_CHECKING:
    from tidemill.fold.terms import Terms

TREE = [{"tree.HoeffdingTreeRegressor": {"leaf_prediction": "mean", "grace_period": 20}}]


def lived(terms: Terms, events: int = 40) -> Instructed:
    """Return an asset whose models have learned how the flow decides."""
    run, chance = Instructed(terms), random.Random(7)
    is_binary = terms.definition.streams[0].kind == "binary"
    for number in range(events):
        x = {"vibration": chance.gauss(0, 1), "temperature": 20.0, "flow": chance.random()}
        run.event(number, x, x["flow"] > 0.5 if is_binary else 4 * x["flow"])
    return run


def test_a_receipt_says_what_changed_in_the_case_in_question_and_in_the_last_ones() -> None:
    run = lived(sample_terms())
    plan, cases = run.fold.plans["pump"], list(run.champion.state.recent.cases)
    x = {"vibration": 0.3, "temperature": 20.0, "flow": 0.9}

    def said(case: dict[str, Any]) -> float:
        value = plan.ask(run.champion.state, case).answer.value
        assert value is not None
        return value

    before, others = said(x), list(map(said, cases))
    (receipt,) = of(run.say("VETO", feature="flow", x=x), RECEIPTS)
    state = run.champion.state
    now = list(map(said, cases))
    assert receipt["effect"] == {
        "before": before,
        "after": said(x),
        "changed": sum(abs(a - b) > 1e-9 * max(abs(a), abs(b)) for a, b in zip(others, now)),  # noqa: B905 - same length
        "compared": 20,
    }
    assert receipt["effect"]["changed"] > 0
    assert (receipt["status"], receipt["feedback_id"], receipt["feature"]) == (
        "APPLIED",
        "f1",
        "flow",
    )
    assert (receipt["model"], receipt["version"]) == ("pump/champion", state.version)
    assert receipt["lineage"] == state.lineage
    assert receipt["source"] == {"topic": FEEDBACK, "partition": 0, "offset": 1}
    assert receipt["time"] == START_US + 39 * STEP_US


def test_of_classes_it_is_the_probability_of_the_one_named_before() -> None:
    run = lived(sample_terms(LOGISTIC, kind="binary"))
    x = {"vibration": 0.3, "temperature": 20.0, "flow": 0.99}
    plan = run.fold.plans["pump"]
    before = plan.ask(run.champion.state, x).answer
    (receipt,) = of(run.say("COUNTEREXAMPLE", x=x, label=False, weight=5.0), RECEIPTS)
    after = plan.ask(run.champion.state, x).answer
    assert before.outcome == "true"
    assert before.probabilities is not None
    assert after.probabilities is not None
    assert receipt["effect"]["before"] == before.probabilities["true"]
    assert receipt["effect"]["after"] == after.probabilities["true"] < before.probabilities["true"]


def test_without_features_the_last_case_is_the_one_in_question() -> None:
    run = lived(sample_terms())
    plan, last = run.fold.plans["pump"], run.champion.state.recent.cases[-1]
    before = plan.ask(run.champion.state, last).answer.value
    (receipt,) = of(run.say("RESET"), RECEIPTS)
    assert receipt["effect"]["before"] == before
    assert receipt["effect"]["after"] == 0.0


@pytest.mark.parametrize("kind", ["FREEZE", "RESUME", "HOLD", "RELEASE"])
def test_what_changes_no_answer_has_no_effect_to_tell(kind: str) -> None:
    (receipt,) = of(lived(sample_terms()).say(kind), RECEIPTS)
    assert (receipt["status"], receipt["effect"]) == ("APPLIED", None)


@pytest.mark.parametrize("most", [0, 3])
def test_the_definition_says_over_how_many_cases_it_is_compared(most: int) -> None:
    run = lived(sample_terms(stream={"feedback": {"compare": most}}))
    assert len(run.champion.state.recent.cases) == most
    x = {"vibration": 0.3, "temperature": 20.0, "flow": 0.9}
    (receipt,) = of(run.say("VETO", feature="flow", x=x), RECEIPTS)
    assert receipt["effect"]["compared"] == most
    assert (receipt["effect"]["changed"] > 0) == (most > 0)


def test_only_feedback_is_told_and_only_of_the_model_it_names() -> None:
    challengers = {"tree": TREE}
    run = lived(sample_terms(challengers=challengers))
    others = run.say("VETO", feature="flow", topic="model.drift", model="pump/champion")
    assert of(others, RECEIPTS) == []
    (receipt,) = of(run.say("VETO", feature="vibration"), RECEIPTS)
    assert receipt["model"] == "pump/champion"
    assert of(run.say("VETO", feature="temperature", model="pump/tree"), RECEIPTS) == []
    (receipt,) = of(run.say("RESET", model="pump/tree"), RECEIPTS)
    assert receipt["model"] == "pump/tree"


def test_a_correction_by_feedback_has_receipt_and_outcome() -> None:
    run = Instructed(late_terms())
    record = run.event(0, {"flow": 2.0, "vibration": 1.0})
    emits = run.label(record, 3.0, topic=FEEDBACK, by="f9")
    assert len(of(emits, OUTCOMES)) == 1
    assert [each["status"] for each in of(emits, RECEIPTS)] == ["APPLIED"]


def test_what_cannot_be_learned_is_told_so() -> None:
    run = lived(sample_terms())
    run.say("FREEZE")
    x = {"vibration": 0.3, "temperature": 20.0, "flow": 0.9}
    for kind in ("COUNTEREXAMPLE", "EXAMPLE"):
        (receipt,) = of(run.say(kind, x=x, label=1.0), RECEIPTS)
        assert receipt["status"] == "APPLIED"
        assert receipt["reason"].startswith("the model learns nothing")
        assert receipt["effect"]["before"] == receipt["effect"]["after"]


@pytest.mark.parametrize(
    ("kind", "fields", "status"),
    [("RETRACT", {"target_id": "f0"}, "RETRACTED"), ("VETO", {"feature": "flow"}, "APPLIED")],
)
def test_the_receipt_of_what_waited_comes_with_the_swap(
    kind: str, fields: dict[str, Any], status: str
) -> None:
    run = lived(sample_terms(TREE), 60)
    assert run.say(kind, **fields) == []
    state = load_state(dump_state(run.champion.state))
    for number in range(60):
        state.pipeline.learn_one({"vibration": 1.0}, float(number % 7))
    (pending,) = run.champion.state.decided.pending
    old = run.champion.state
    run.fold.fleet.changed.clear()
    (receipt,) = of(run.fold.swap(run.champion.key, state, {pending.offset}, 99), RECEIPTS)
    assert (receipt["status"], receipt["version"]) == (status, old.version + 1)
    assert receipt["lineage"] == state.lineage
    assert receipt["effect"]["compared"] == 20
    assert receipt["effect"]["changed"] > 0
    assert run.champion.key in run.fold.fleet.changed
    assert run.champion.state.recent is old.recent


def test_a_veto_made_good_starts_the_model_anew_without_the_sensor() -> None:
    run, fresh = lived(sample_terms(TREE), 60), Instructed(sample_terms(TREE))
    run.say("VETO", feature="flow")
    before = run.champion.state.lineage
    offset = run.champion.state.decided.pending[0].offset
    (receipt,) = of(run.fold.compensate(run.champion.key, [offset], "no base", 99), RECEIPTS)
    assert (receipt["status"], receipt["reason"]) == ("COMPENSATED", "no base")
    assert run.champion.state.lineage != before
    assert run.champion.state.decided.pending == ()
    chance = random.Random(8)
    for number in range(60, 120):
        x = {"vibration": chance.gauss(0, 1), "temperature": chance.random(), "flow": 1.0}
        kept = {name: x[name] for name in ("vibration", "temperature")}
        one = run.event(number, x, x["vibration"])["value"]
        assert one == fresh.event(number, kept, x["vibration"])["value"]


def test_a_veto_that_is_taken_back_without_a_re_fold_lets_the_sensor_in() -> None:
    for kind, fields in (("UNVETO", {"feature": "flow"}), ("RETRACT", {"target_id": "f1"})):
        run = lived(sample_terms())
        run.say("VETO", feature="flow")
        run.say("HOLD", by="f1")
        run.say("FREEZE", by="other")
        assert run.say(kind, by="f2", **fields) == []
        offset = run.champion.state.decided.pending[0].offset
        lineage = run.champion.state.lineage
        run.fold.compensate(run.champion.key, [offset], "no base", 99)
        decided = run.champion.state.decided
        assert decided.vetoed == frozenset()
        assert decided.frozen_by == ("other",)
        assert bool(decided.holds) == (kind == "UNVETO")
        assert run.champion.state.lineage != lineage


def test_cases_are_kept_once_and_come_back() -> None:
    recent = lived(sample_terms()).champion.state.recent
    loaded = Recent.load(recent.dump())
    assert [list(case.items()) for case in loaded.cases] == [
        list(case.items()) for case in recent.cases
    ]

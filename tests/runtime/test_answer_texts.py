"""What `tidemill explain` says, word by word, for each of its readers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from runtime.answers import READINGS, SHARES, answer, explanation, prediction, share, view
from tidemill.contracts.answer import Answer, Asked, Made, Outcome
from tidemill.contracts.topics import ANCHORS, EVENTS, UPDATES
from tidemill.kernel.records import Position
from tidemill.runtime.answer_document import answer_document
from tidemill.runtime.answer_doubts import doubts
from tidemill.runtime.answer_expert import expert_lines
from tidemill.runtime.answer_facts import fact_lines
from tidemill.runtime.answer_operator import operator_lines
from tidemill.runtime.answer_words import number, reading

AXIS, BLOCK, SLIVER = "\u2502", "\u2588", "\u258f"
NO_VIEW = "  none yet: the first comes with a hundred explanations"


def classified(**fields: Any) -> Answer:
    """Return the answer on a class of two, its explanation made now."""
    usual: dict[str, Any] = {
        "asked": Asked("binary", "is_faulty"),
        "label": Outcome("true", Position(UPDATES, 1, 3), 2),
        "prediction": prediction(
            value=None,
            interval=None,
            probabilities={"false": 0.128, "true": 0.872},
            outcome="true",
            class_set=["true", "false"],
            quality=["OUT_OF_RANGE", "IMPUTED", "LATE"],
            version=12,
            structure=4,
            shadows=[
                {
                    "model": "pump/tree",
                    "version": 3,
                    "lineage": b"",
                    "value": None,
                    "probabilities": {"true": 0.5},
                }
            ],
        ),
        "explanation": explanation(
            method="SAMPLED",
            exact=False,
            output_space="log-odds",
            target_class="true",
            contrast_class="false",
            base=-1.0,
            prediction=1.919,
            residual=0.2,
            samples=64,
            attributions=[
                share("temperature", 0.8, 60.1, "degC", standard_error=0.05),
                share("flow", -0.3, 0.4),
                share("hot", 0.1, True),
            ],
        ),
        "readings": {"temperature": 5000.0, "flow": None, "hot": True},
        "again": (Position(EVENTS, 1, 13),),
        "explained_at": None,
        "made": Made(17, 15, 1400, Position(ANCHORS, 1, 3), 14),
        "absent": "the definition says so: explanations are made on request only",
    }
    return answer(**{**usual, **fields})


def test_an_operator_reads_sensors_units_and_directions() -> None:
    assert operator_lines(answer()) == [
        "north/1, 2026-01-01 00:00:12 UTC: the model predicts wear 3.421 mm.",
        "In 90 of 100 cases it lies between 2.9 mm and 4.1 mm.",
        "Compared with the usual answer of 2.82 mm:",
        "  temperature 91.2 degC raises the predicted wear by 0.8 mm.",
        "  vibration 3.142 mm/s lowers the predicted wear by 0.2 mm.",
        "  The other 2 sensors do little.",
        "What came of it: wear was 3.6 mm.",
        "What the model does not know:",
        "  flow sent nothing.",
    ]


def test_an_operator_reads_of_classes_what_speaks_for_and_against_them() -> None:
    assert operator_lines(classified()) == [
        "north/1, 2026-01-01 00:00:12 UTC: the model says that is_faulty is true, with a "
        "probability of 87 %.",
        "It could as well be false.",
        "What speaks for it, and what against it:",
        "  temperature 60.1 degC speaks for true, with 67 % of the weight of all sensors.",
        "  flow 0.4 speaks for false, with 25 % of the weight of all sensors.",
        "  hot true speaks for true, with 8 % of the weight of all sensors.",
        "This was worked out now, from the model as it was.",
        "What came of it: is_faulty was true.",
        "What the model does not know:",
        "  temperature read 5,000 degC, which is out of its range; the model was given 60.1 degC.",
        "  flow sent nothing; its last reading 0.4 was taken.",
        "  The event came late, after newer ones; the model does not learn from it.",
        "  The model had learned from 12 cases only.",
        "  What each sensor does to it is an estimate here.",
        "  A part of it, 14 %, belongs to no single sensor.",
    ]


def test_an_operator_reads_of_probabilities_percentage_points() -> None:
    said = explanation(output_space="probability", target_class="jam", base=0.31)
    lines = operator_lines(classified(explanation=said, made=None))
    assert lines[2:5] == [
        "Compared with the usual probability of 31 %:",
        "  temperature 91.2 degC raises the probability of jam by 80 percentage points.",
        "  vibration 3.142 mm/s lowers the probability of jam by 20 percentage points.",
    ]


def test_an_operator_reads_of_an_anomaly_what_looks_unusual() -> None:
    found = prediction(value=0.71, outcome="true", interval=None, quality=[])
    said = explanation(output_space="anomaly score", missing=[], attributions=SHARES[:2])
    odd = answer(asked=Asked("anomaly"), prediction=found, label=None, explanation=said)
    assert operator_lines(odd) == [
        "north/1, 2026-01-01 00:00:12 UTC: the model finds this unusual, an alarm (score 0.71).",
        "What makes the event unusual, and what usual:",
        "  temperature 91.2 degC makes it look unusual, with 80 % of the weight of all sensors.",
        "  vibration 3.142 mm/s makes it look usual, with 20 % of the weight of all sensors.",
    ]
    calm = prediction(value=0.1, outcome="false", interval=None)
    assert (
        "finds nothing unusual (score 0.1)"
        in operator_lines(answer(asked=Asked("anomaly"), prediction=calm))[0]
    )


def test_a_sensor_alone_against_a_class_and_one_that_is_not_known_are_named_so() -> None:
    said = explanation(
        output_space="vote share",
        target_class="jam",
        attributions=[share("flow", -0.3, None), share("load", 0.0, 1.0)],
    )
    lines = operator_lines(classified(explanation=said, made=None))
    assert lines[3:5] == [
        "  flow, which is not known, speaks against jam, with 100 % of the weight of all sensors.",
        "  The other sensor does little.",
    ]


def test_where_no_sensor_does_anything_an_operator_is_told() -> None:
    said = explanation(attributions=[share("load", 0.0, 1.0)])
    assert "No sensor moves it away from the usual answer." in operator_lines(
        answer(explanation=said)
    )


def test_a_model_without_an_answer_is_said_to_have_none_to_everybody() -> None:
    none = prediction(value=None, interval=None, version=0, quality=[])
    mute = answer(prediction=none, label=None)
    assert operator_lines(mute) == [
        "north/1, 2026-01-01 00:00:12 UTC: the model gave no answer.",
        "What came of it is not known.",
        "What the model does not know:",
        "  flow sent nothing.",
        "  The model had learned nothing yet.",
    ]
    assert expert_lines(mute)[0].endswith("the model gave no answer.")
    assert "prediction   wear no answer, model.predictions-1@15" in fact_lines(mute)


def test_what_cannot_be_explained_says_why() -> None:
    gone = answer(
        explanation=None, explained_at=None, absent="it is long ago", obstacle="no state is there"
    )
    assert operator_lines(gone)[-1] == (
        "  What each sensor does to it cannot be told: no state is there."
    )
    line = "explanation  none: it is long ago; nor can it be made now: no state is there"
    assert line in fact_lines(gone)


def test_without_a_definition_nothing_is_named_that_is_not_known() -> None:
    found = prediction(quality=["NOT_FINITE"], version=1)
    bare = answer(asked=Asked("regression"), readings=None, label=None, prediction=found)
    lines = operator_lines(bare)
    assert lines[0] == "north/1, 2026-01-01 00:00:12 UTC: the model predicts 3.421."
    assert lines[3] == "  temperature 91.2 degC raises the predicted value by 0.8."
    assert lines[-3:] == [
        "  flow sent nothing.",
        "  A reading is no number; the model was not given it.",
        "  The model had learned from 1 case only.",
    ]
    classes = prediction(value=None, interval=None, outcome="jam")
    said = operator_lines(answer(asked=Asked("multiclass"), prediction=classes))[0]
    assert said == "north/1, 2026-01-01 00:00:12 UTC: the model says jam."


def test_doubts_name_derived_features_and_readings_that_were_withheld() -> None:
    told = answer(
        prediction=prediction(quality=["STUCK", "DUPLICATE", "HELD", "FROZEN"]),
        readings={"vibration": 9.0, "recipe": "a"},
        explanation=explanation(
            attributions=[
                share("vibration", 0.1, None, "mm/s"),
                share("vibration_mean", 0.1, None),
                share("recipe", 0.2, "a"),
            ]
        ),
    )
    assert doubts(told) == [
        "vibration read 9 mm/s, which does not move any more; the model was given nothing.",
        "vibration_mean cannot be worked out yet: it has too few readings before it.",
        "An event of this name had come before; the model does not learn from it.",
        "Learning is on hold here until someone says what happened.",
        "The model is full and learns nothing new.",
    ]


def test_a_domain_expert_reads_direction_size_and_what_changed() -> None:
    assert expert_lines(answer(of_asset=view("north/1"))) == [
        "north/1, 2026-01-01 00:00:12 UTC: the model predicts wear 3.421 mm.",
        "In 90 of 100 cases it lies between 2.9 mm and 4.1 mm.",
        "What came of it: wear was 3.6 mm.",
        "From 2.82 at the reference (running mean of 1,234 cases) to 3.421, in value:",
        f"  temperature  91.2 degC               {AXIS}{BLOCK * 12}  raises by 0.8 mm",
        f"  vibration    3.142 mm/s           {BLOCK * 3}{AXIS}              lowers by 0.2 mm",
        f"  load         7 kN                    {AXIS}{SLIVER}             raises by 0.001 mm",
        f"  flow         nothing                 {AXIS}              does nothing",
        "What the model does not know:",
        "  flow sent nothing.",
        "What the model goes by, north/1:",
        "  1,200 explanations up to version 1,200, 2026-01-01 00:00:12 UTC; mean sizes in value",
        f"  1.  temperature  {AXIS}{BLOCK * 12}  0.71  mostly raises (+0.42)",
        f"  2.  vibration    {AXIS}{BLOCK * 7}       0.4   mostly lowers (-0.4)",
        f"  3.  load         {AXIS}{BLOCK * 2}            0.1   both ways (+0.01)",
        f"  4.  flow         {AXIS}              0     does nothing",
        "  since version 900: temperature from place 2 to 1 (0.3 to 0.71); vibration from place 1 "
        "to 2 (0.5 to 0.4); load is new at place 3 (0.1); flow from place 3 to 4 (0 to 0)",
        "What the model goes by, all of pump here:",
        NO_VIEW,
    ]


def test_a_domain_expert_reads_of_classes_which_against_which() -> None:
    lines = expert_lines(classified(of_stream=view(None, before_version=None)))
    assert lines[3] == (
        "From -1 at the reference (running mean of 1,234 cases) to 1.919, in log-odds for true "
        "rather than false:"
    )
    assert lines[4].endswith("raises by 0.8")
    assert lines[7] == "This was worked out now, from the model as it was."
    assert lines[-1] == "  the first record of its kind"


def test_a_view_in_which_nothing_moved_says_so() -> None:
    still = view("north/1")
    still["ranking"] = still["ranking"][:1]
    assert "  since version 900: no sensor changed its place" in expert_lines(
        answer(of_asset=still)
    )


def test_a_data_scientist_reads_everything() -> None:
    assert fact_lines(classified()) == [
        "event        e12 of pump, north/1, 2026-01-01 00:00:12 UTC, sensor.events-1@12",
        "came again   sensor.events-1@13",
        "prediction   is_faulty true (P(true) 0.872, P(false) 0.128), model.predictions-1@15",
        "class set    true, false",
        "label        true, model.updates-1@3, revision 2",
        "quality      OUT_OF_RANGE, IMPUTED, LATE",
        "model        pump/champion, version 12, structure 4",
        "lineage      000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
        "shadow       pump/tree, version 3: P(true) 0.5",
        "ledger       entry 17, partition 1",
        "explanation  made now: the definition says so: explanations are made on request only",
        "             from its state at model.anchors-1@3, after entry 14; ledger entries 15 to 17 "
        "folded again, 1,400 records, and found equal",
        "method       SAMPLED, not exact, in log-odds of true against false",
        "reference    running mean, 1,234 cases",
        "base         -1",
        "output       1.919",
        "residual     0.2",
        "additivity   off by 4.441e-16",
        "missing      flow",
        "samples      64",
        "sensors, the largest share first:",
        f"  temperature  60.1 degC  +0.8  se 0.05              {AXIS}{BLOCK * 12}",
        f"  flow         0.4        -0.3                   {BLOCK * 4}{AXIS}",
        f"  hot          true       +0.1                       {AXIS}{BLOCK * 2}",
        "What the model goes by, north/1:",
        NO_VIEW,
        "What the model goes by, all of pump here:",
        NO_VIEW,
    ]


def test_a_data_scientist_reads_of_numbers_interval_error_and_neighbours() -> None:
    near = [{"distance": 0.25, "label": 3.5}, {"distance": 1.5, "label": "jam"}]
    lines = fact_lines(
        answer(
            explanation=explanation(neighbours=near, missing=[]),
            prediction=prediction(quality=[]),
            made=None,
            entry=None,
        )
    )
    assert lines[1:5] == [
        "prediction   wear 3.421 mm, model.predictions-1@15",
        "interval     2.9 to 4.1, level 0.9, adaptive conformal, of 120 labels",
        "label        3.6 mm, prediction off by -0.179, sensor.events-1@12",
        "quality      no flags",
    ]
    assert "ledger       no longer retained, partition 1" in lines
    assert "explanation  model.explanations-1@14" in lines
    assert "missing      no sensor" in lines
    at = lines.index("answered by the cases nearest (distance, label):")
    assert lines[at + 1 : at + 3] == ["  0.25  3.5", "  1.5   jam"]


def test_a_model_that_began_with_nothing_is_said_to_have() -> None:
    lines = fact_lines(classified(made=Made(3, 1, 20)))
    assert (
        "             from nothing; ledger entries 1 to 3 folded again, 20 records, and found equal"
        in lines
    )


def test_the_document_has_everything_to_the_last_bit() -> None:
    whole = answer(of_asset=view("north/1"), prediction=prediction(value=0.1 + 0.2))
    said = json.loads(json.dumps(answer_document(whole), allow_nan=False))
    assert (said["found"], said["event_id"], said["ledger_entry"]) == (True, "e12", 17)
    assert said["target"] == {"kind": "regression", "name": "wear", "unit": "mm"}
    assert said["prediction"]["value"] == 0.1 + 0.2
    assert said["prediction"]["time"] == "2026-01-01T00:00:12Z"
    assert said["prediction"]["lineage"] == bytes(range(32)).hex()
    assert said["prediction"]["position"]["offset"] == 15
    assert said["label"]["value"] == 3.6
    assert said["readings"] == READINGS
    assert said["explanation"]["position"]["offset"] == 14
    assert said["explanation"]["additivity_error"] == 4.440892098500626e-16
    assert said["explanation"]["attributions"] == SHARES
    assert said["importances"]["asset"]["ranking"][0]["before"] == 0.3
    assert (said["importances"]["stream"], said["made"]) == (None, None)


def test_the_document_says_how_an_explanation_was_made_now() -> None:
    said = answer_document(classified())
    assert said["made"] == {
        "ledger_entry": 17,
        "first_entry": 15,
        "folded": 1400,
        "state": {"topic": ANCHORS, "partition": 1, "offset": 3},
        "state_entry": 14,
    }
    assert "position" not in said["explanation"]
    assert said["explanation_absent"].startswith("the definition says so")
    bare = answer_document(answer(explanation=None, explained_at=None, label=None, readings=None))
    assert [bare[name] for name in ("explanation", "label", "readings", "made")] == [None] * 4


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (float("nan"), "NaN"),
        (float("inf"), "infinity"),
        (float("-inf"), "-infinity"),
        (2e6, "2.000e+06"),
        (0.00012345, "0.0001234"),
        (-1234.5, "-1,234"),
        (100.0, "100"),
    ],
)
def test_numbers_are_short_and_never_round_to_something_else(value: float, text: str) -> None:
    assert number(value) == text


def test_a_reading_is_said_with_its_unit() -> None:
    said = [reading(*each) for each in ((None, "mm"), (False, None), (3, "mm"), ("jam", None))]
    assert said == ["nothing", "false", "3 mm", "jam"]

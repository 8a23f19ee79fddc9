"""Contradictions: who waits for a domain expert, who does not, and how that ends."""

from __future__ import annotations

import pytest

from feedback.stage import HOUR_MS, Said, Stage, definition_text, feedback, prediction
from tidemill.processors.feedback.trust import Limits

EXPERT = {"actor": "eve", "role": "domain_expert"}
LATE_NUMBERS = {"target": {"label": {"name": "visc", "kind": "regression", "ttl": "8h"}}}


def corrects(stage: Stage, actor: str, numbers: range, value: object = "jam") -> list[Said]:
    """Have somebody correct the events of these numbers."""
    return [
        stage.say(f"{actor}{n}", "CORRECTED", value=value, event_id=f"e{n}", actor=actor)
        for n in numbers
    ]


def nods(stage: Stage, actor: str, numbers: range) -> list[Said]:
    """Have somebody say RIGHT to the events of these numbers."""
    return [stage.say(f"{actor}{n}", "RIGHT", event_id=f"e{n}", actor=actor) for n in numbers]


def alarms(said: list[Said]) -> list[int]:
    """Return at which of them there was an alarm."""
    return [place for place, each in enumerate(said) if each.alarm]


def measured(interval: object = None) -> Stage:
    """Return a stage whose models predict numbers."""
    stored = [
        prediction(
            n, probabilities=None, outcome=None, value=5.0134567 + n / 1000, interval=interval
        )
        for n in range(100)
    ]
    return Stage(stored, text=definition_text(LATE_NUMBERS, "regression"))


def test_a_flood_of_contradictions_is_quarantined_with_one_alarm() -> None:
    stage = Stage()
    for number in range(30):
        stage.say(f"b{number}", "CORRECTED", value="jam", event_id=f"e{number}", actor="bob")
    alarms = [
        stage.say(f"m{number}", "CORRECTED", value="ok", event_id=f"e{number}", actor="mal").alarm
        for number in range(15)
    ]
    held = stage.say("calm", "CORRECTED", value="jam", event_id="e70", actor="mal")
    vote = stage.vote(71, "mal")

    assert [bool(alarm) for alarm in alarms] == [number == 9 for number in range(15)]
    assert "mal" in alarms[9]
    assert held.statuses == vote.statuses == ["ACCEPTED", "HELD_FOR_EXPERT"]
    assert not held.updates
    approved = stage.say("yes", "APPROVE", target_id="calm", **EXPERT)
    assert approved.kinds == ["EXAMPLE"]

    stage.time_ms += 24 * HOUR_MS
    assert stage.say("later", "CORRECTED", value="jam", event_id="e72", actor="mal").updates


def test_who_is_contradicted_by_one_and_confirmed_by_another_floods_nothing() -> None:
    stage = Stage()
    for number in range(20):
        for actor, value in (("mal", "ok"), ("bob", "jam")):
            stage.say(
                f"{actor}{number}", "CORRECTED", value=value, event_id=f"e{number}", actor=actor
            )
    said = [
        stage.say(f"c{n}", "CORRECTED", value="jam", event_id=f"e{n}", actor="cy")
        for n in range(20)
    ]

    assert not any(each.alarm for each in said)


def test_a_flood_has_one_alarm_however_long_it_is() -> None:
    stage = Stage()
    corrects(stage, "bob", range(100))

    assert alarms(corrects(stage, "mal", range(100), "ok")) == [9]


def test_a_flood_against_those_who_only_nod_takes_twice_as_many() -> None:
    stage = Stage()
    nods(stage, "bob", range(100))

    assert alarms(corrects(stage, "mal", range(100))) == [19]


def test_who_corrects_what_a_lazy_one_nods_at_waits_for_nobody() -> None:
    stage = Stage()
    nods(stage, "lazy", range(20))
    said = corrects(stage, "ann", range(15))

    assert alarms(said) == []
    assert all(each.kinds == ["EXAMPLE"] for each in said)


def test_a_domain_expert_waits_for_nobody_and_who_nods_at_what_is_wrong_does() -> None:
    stage = Stage()
    nods(stage, "lazy", range(20))
    said = [
        stage.say(f"x{n}", "CORRECTED", value="jam", event_id=f"e{n}", **EXPERT) for n in range(15)
    ]
    nod = stage.say("nod", "RIGHT", event_id="e50", actor="lazy")

    assert all(each.kinds == ["EXAMPLE"] for each in said)
    assert alarms(said) == [9]
    assert "all that lazy says" in said[9].alarm
    assert nod.statuses == ["ACCEPTED", "HELD_FOR_EXPERT"]
    assert stage.say("yes", "APPROVE", target_id="nod", **EXPERT).statuses[1:] == [
        "COUNTED",
        "COUNTED",
    ]


def test_who_speaks_first_is_contradicted_as_much_as_who_speaks_later() -> None:
    stage = Stage()
    corrects(stage, "mal", range(10), "ok")
    said = corrects(stage, "ann", range(10))
    calm = [*corrects(stage, "mal", range(50, 51)), *corrects(stage, "ann", range(51, 52))]

    assert alarms(said) == [9]
    assert "all that ann and mal says" in said[9].alarm
    assert all(each.statuses[-1] == "HELD_FOR_EXPERT" for each in calm)


def test_of_three_the_one_whom_two_contradict_waits() -> None:
    stage = Stage()
    corrects(stage, "mal", range(10), "ok")
    assert alarms(corrects(stage, "ann", range(9))) == []
    said = corrects(stage, "bob", range(10))

    assert [stage_of.alarm.count("mal") > 0 for stage_of in said if stage_of.alarm] == [True]
    assert "ann" not in "".join(each.alarm for each in said)


def test_what_people_in_quarantine_say_contradicts_nobody() -> None:
    stage = Stage()
    corrects(stage, "bob", range(30))
    corrects(stage, "mal", range(40, 50), "ok")
    corrects(stage, "mal", range(10), "ok")
    corrects(stage, "mal", range(50, 60), "ok")
    nods(stage, "mal", range(60, 80))

    assert alarms(corrects(stage, "ann", range(40, 80))) == []


def test_nor_does_it_count_against_them_once_that_is_over() -> None:
    stage = Stage()
    corrects(stage, "bob", range(40))
    corrects(stage, "mal", range(20), "ok")
    stage.time_ms += 24 * HOUR_MS

    assert alarms(corrects(stage, "mal", range(20, 29), "ok")) == []
    assert alarms(corrects(stage, "mal", range(29, 30), "ok")) == [0]


def test_domain_experts_who_contradict_everybody_and_each_other_are_heard() -> None:
    stage = Stage()
    corrects(stage, "ann", range(10))
    said = [
        stage.say(f"x{n}{actor}", "CORRECTED", value=value, event_id=f"e{n}", actor=actor,
                  role="domain_expert")
        for actor, value in (("eve", "ok"), ("zoe", "jam"))
        for n in range(12)
    ]  # fmt: skip

    assert "eve" not in "".join(each.alarm for each in said)
    assert "zoe" not in "".join(each.alarm for each in said)
    assert all(each.kinds[-1] == "EXAMPLE" for each in said)


def test_what_is_approved_though_the_same_is_learned_already_teaches_nothing_more() -> None:
    stage = Stage()
    corrects(stage, "bob", range(11))
    corrects(stage, "mal", range(10), "ok")
    corrects(stage, "mal", range(10, 11))

    approved = stage.say("yes", "APPROVE", target_id="mal10", **EXPERT)

    assert (approved.of("yes"), approved.kinds) == (["ACCEPTED", "COUNTED"], [])


def test_a_word_of_a_domain_expert_tells_who_was_right() -> None:
    stage = Stage()
    corrects(stage, "mal", range(8), "ok")
    corrects(stage, "ann", range(8))
    for number in range(8):
        stage.say(f"back{number}", "RETRACT", target_id=f"mal{number}", **EXPERT)
        stage.say(f"yes{number}", "APPROVE", target_id=f"ann{number}", **EXPERT)
    corrects(stage, "bob", range(20, 24), "ok")

    assert alarms(corrects(stage, "ann", range(20, 24))) == []


def test_what_was_rejected_counts_against_who_said_it() -> None:
    stage = Stage()
    corrects(stage, "ann", range(5))
    corrects(stage, "bob", range(5), "ok")
    for number in range(5):
        stage.say(f"no{number}", "REJECT", target_id=f"bob{number}", **EXPERT)
        stage.say(f"back{number}", "RETRACT", target_id=f"ann{number}")
    corrects(stage, "cid", range(20, 25))
    said = corrects(stage, "bob", range(20, 25), "ok")

    assert alarms(said) == [4]
    assert "all that bob says" in said[4].alarm


def test_a_domain_expert_ends_a_quarantine() -> None:
    stage = Stage()
    corrects(stage, "bob", range(30))
    corrects(stage, "mal", range(10), "ok")
    known = {"event_id": None, "stream": "pump", "scope": "actor:mal"}
    refused = stage.say("a", "RESUME", **known)
    nobody = stage.say("b", "RESUME", **{**known, "scope": "actor:bob"}, **EXPERT)
    held = corrects(stage, "mal", range(40, 41))
    freed = stage.say("c", "RESUME", **known, **EXPERT)
    heard = corrects(stage, "mal", range(41, 42))

    assert refused.statuses == nobody.statuses == ["REFUSED"]
    assert "bob must be in quarantine" in nobody.reason
    assert (held[0].kinds, freed.kinds, heard[0].kinds) == ([], [], ["EXAMPLE"])
    assert freed.statuses == ["ACCEPTED", "COUNTED"]
    assert alarms(corrects(stage, "mal", range(10, 19), "ok")) == []
    assert alarms(corrects(stage, "mal", range(19, 20), "ok")) == [0]


def test_in_quarantine_one_takes_back_ones_own_only_whatever_the_role() -> None:
    stage = Stage()
    corrects(stage, "bob", range(12))
    corrects(stage, "mal", range(20, 21))
    corrects(stage, "mal", range(10), "ok")
    claimed = {"actor": "mal", "role": "domain_expert"}
    others = stage.say("back", "RETRACT", target_id="bob0", **claimed)
    own = stage.say("own", "RETRACT", target_id="mal20", actor="mal")

    assert others.statuses == ["REFUSED"]
    assert "must not be quarantined to RETRACT for others" in others.reason
    assert own.kinds == ["RETRACT"]


def test_a_quarantine_is_remembered_while_it_runs_whatever_else_is_said() -> None:
    stage = Stage(limits=Limits(per_minute=1_000_000, per_asset=30))
    corrects(stage, "bob", range(12))
    corrects(stage, "mal", range(10), "ok")
    nods(stage, "mal", range(20, 90))

    assert corrects(stage, "mal", range(91, 92))[0].statuses[-1] == "HELD_FOR_EXPERT"


def test_so_is_its_end() -> None:
    stage = Stage(limits=Limits(per_minute=1_000_000, per_asset=30))
    corrects(stage, "bob", range(12))
    corrects(stage, "mal", range(10), "ok")
    stage.say("free", "RESUME", event_id=None, stream="pump", scope="actor:mal", **EXPERT)
    nods(stage, "bob", range(20, 90))

    assert corrects(stage, "mal", range(91, 92))[0].kinds == ["EXAMPLE"]


def test_an_alarm_is_told_again_where_a_crash_may_have_swallowed_it() -> None:
    stage = Stage()
    corrects(stage, "bob", range(10))
    corrects(stage, "mal", range(9), "ok")
    record = feedback("last", "CORRECTED", value="ok", event_id="e9", actor="mal")
    message = stage.message(record)
    first = stage.take(message)

    assert first.alarm
    assert stage.take(message).alarm == first.alarm
    assert not stage.take(stage.message(record)).alarm


def test_who_types_fewer_digits_contradicts_nobody() -> None:
    stage = measured()
    nods(stage, "bob", range(30))
    rounded = [
        stage.say(f"c{n}", "CORRECTED", value=round(5.0134567 + n / 1000, 2), event_id=f"e{n}")
        for n in range(30)
    ]
    stage.say("one", "CORRECTED", value=5.01, event_id="e50", actor="bob")
    two = stage.say("two", "CORRECTED", value=5.012, event_id="e50")

    assert alarms(rounded) == []
    assert two.statuses == ["ACCEPTED", "COUNTED"]
    assert "the same as one" in two.reason


@pytest.mark.parametrize(("other", "status"), [(5.1, "COUNTED"), (5.13, "HELD_FOR_EXPERT")])
def test_numbers_are_the_same_within_a_tenth_of_what_was_predicted(
    other: float, status: str
) -> None:
    stage = measured({"low": 4.5, "high": 5.5, "level": 0.9, "method": "aci", "labels": 200})
    stage.say("one", "CORRECTED", value=5.02, event_id="e0", actor="bob")

    assert stage.say("two", "CORRECTED", value=other).statuses[-1] == status


def test_a_plant_may_say_which_numbers_are_the_same() -> None:
    text = definition_text({**LATE_NUMBERS, "feedback": {"tolerance": 0.5}}, "regression")
    stored = [prediction(0, probabilities=None, outcome=None, value=5.0)]
    stage = Stage(stored, text=text)
    stage.say("one", "CORRECTED", value=6.0, actor="bob")

    assert stage.say("two", "CORRECTED", value=6.5).statuses[-1] == "COUNTED"
    assert stage.say("three", "CORRECTED", value=6.6, actor="cid").statuses[-1] == "HELD_FOR_EXPERT"


def test_a_domain_experts_answer_takes_the_place_of_what_others_taught() -> None:
    stage = Stage()
    stage.say("f1", "CORRECTED", value="jam")
    said = stage.say("x", "CORRECTED", value="ok", **EXPERT)
    again = stage.say("f2", "CORRECTED", value="ok", actor="bob")

    assert [(u["kind"], u["target_id"], u["label"]) for u in said.updates] == [
        ("RETRACT", "f1", None),
        ("EXAMPLE", None, "ok"),
    ]
    assert [update["cause"]["index"] for update in said.updates] == [0, 1]
    assert (said.of("x"), said.of("f1")) == (["ACCEPTED"], ["RETRACTED"])
    assert "the same as x, which models were told of" in again.reason

    back = stage.say("back", "RETRACT", target_id="x", **EXPERT)
    assert [update["target_id"] for update in back.updates] == ["x"]
    assert back.of("f1") == ["COUNTED"]
    assert "the same as f1" in stage.say("f3", "CORRECTED", value="jam", actor="cid").reason


def test_a_domain_expert_who_nods_hears_what_is_learned_all_the_same() -> None:
    stage = Stage()
    stage.say("f1", "CORRECTED", value="jam")

    assert "f1 says 'jam' and is learned" in stage.say("x", "RIGHT", **EXPERT).reason

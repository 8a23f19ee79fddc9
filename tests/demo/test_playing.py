"""Each scenario that the learner can run teaches its models something."""

from __future__ import annotations

import pytest

from demo.play import READINGS, Play, happenings, timeline
from tidemill.contracts.topics import EVENTS, LABELS
from tidemill.demo.happenings import HOUR_US, Reading
from tidemill.demo.scenario import SCENARIOS
from tidemill.demo.scores import AnomalyScore, ClassScore, RegressionScore
from tidemill.demo.show import LATER_US, READINGS_LATER
from tidemill.fold.plans import plan_problems
from tidemill.kernel.deadletters import SUFFIX

ALLOWED = {EVENTS + SUFFIX, LABELS + SUFFIX}


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_model_beats_the_naive_one_but_for_the_asset_that_drifts(name: str) -> None:
    play = Play(name)
    play.run(happenings(name))

    tally = play.tally
    assert tally.open == tally.doubled == 0
    assert {EVENTS + SUFFIX} <= set(play.set_aside) <= ALLOWED
    drifting = SCENARIOS[name].drift.asset
    for asset, score in tally.assets.items():
        if isinstance(score, RegressionScore | ClassScore):
            share = score.means.mean_model / score.means.mean_naive
            assert share < (1.0 if asset == drifting else 0.9)
        else:
            assert isinstance(score, AnomalyScore)
            assert (score.alarms - score.met) / (score.events - score.planted) < 0.01
            assert score.met >= 0.7 * score.planted


def played_to_the_end(name: str) -> Play:
    """Return a scenario of which nothing waits any more."""
    scenario = SCENARIOS[name]
    play = Play(name)
    plant = scenario.simulate(7, timeline(scenario))
    play.run(next(plant) for _ in range(READINGS))
    play.feed.send_later(READINGS_LATER * len(play.tally.assets), plant, LATER_US)
    for _ in range(3):
        play.rest()
    play.note_steps()
    return play


def test_every_label_of_the_laboratory_is_learned_once_or_it_is_known_why_not() -> None:
    play = played_to_the_end("soft-sensor")

    labels = play.tally.labels
    assert labels.is_balanced
    assert play.tally.is_balanced
    assert play.tally.is_settled
    assert labels.sent > 800
    assert labels.learned > 0.9 * labels.sent
    assert labels.flagged > 0
    assert labels.aside.total() > 0
    assert set(labels.aside) <= {"late", "unknown-event"}


def test_labels_that_wait_are_open_until_time_has_passed() -> None:
    play = Play("soft-sensor")
    play.run(happenings("soft-sensor"))
    play.note_steps()

    assert play.tally.labels.open > 0
    assert not play.tally.is_settled


def test_people_spare_their_pump_the_harm_that_a_broken_shortcut_does_to_the_others() -> None:
    scenario = SCENARIOS["pumps"]
    assert scenario.shortcut is not None
    plant = scenario.simulate(7, timeline(scenario))
    play = Play("pumps")
    assert play.operators is not None
    assert play.tally.feedback is not None
    for actor in scenario.shortcut.actors[:3]:
        play.run(next(plant) for _ in range(500))
        said = play.operators.vote(actor)
        assert said.startswith(f"{actor} calls display irrelevant to r-")
    play.run(next(plant) for _ in range(READINGS - 1_500))

    feedback = play.tally.feedback
    assert (feedback.sent, feedback.open, feedback.is_balanced) == (6, 0, True)
    assert play.tally.is_balanced
    statuses = [receipt["status"] for receipt in feedback.final.values()]
    assert statuses == [*["COUNTED"] * 4, "APPLIED", "COUNTED"]
    veto = feedback.veto
    assert veto is not None
    assert veto["effect"]["before"] != veto["effect"]["after"]
    assert veto["effect"]["compared"] == 20
    mine, others = feedback.errors_since()
    assert mine < 0.5 * others


def test_the_last_readings_lie_days_ahead_and_are_sampled_by_nobody() -> None:
    play = played_to_the_end("soft-sensor")
    last = play.predictions[-1]["time"]
    before = max(each.time_us for each in happenings("soft-sensor") if isinstance(each, Reading))

    assert last - before > LATER_US - HOUR_US
    assert all(not case.is_awaited for case in play.tally.last)


@pytest.mark.parametrize("name", SCENARIOS)
def test_what_runs_has_no_problem_in_its_plan(name: str) -> None:
    assert plan_problems(SCENARIOS[name].read().definition) == []

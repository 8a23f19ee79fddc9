"""Each scenario that the learner can run teaches its models something."""

from __future__ import annotations

import pytest

from demo.play import Play, happenings
from tidemill.contracts.topics import EVENTS
from tidemill.demo.scenario import SCENARIOS
from tidemill.demo.scores import AnomalyScore, ClassScore, RegressionScore
from tidemill.fold.plans import plan_problems
from tidemill.kernel.deadletters import SUFFIX


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_model_beats_the_naive_one_but_for_the_asset_that_drifts(name: str) -> None:
    play = Play(name)
    play.run(happenings(name))

    tally = play.tally
    assert tally.open == tally.doubled == 0
    assert set(play.set_aside) == {EVENTS + SUFFIX}
    drifting = SCENARIOS[name].drift.asset
    for asset, score in tally.assets.items():
        if isinstance(score, RegressionScore | ClassScore):
            share = score.means.mean_model / score.means.mean_naive
            assert share < (1.0 if asset == drifting else 0.9)
        else:
            assert isinstance(score, AnomalyScore)
            assert (score.alarms - score.met) / (score.events - score.planted) < 0.01
            assert score.met >= 0.7 * score.planted


def test_every_label_of_the_laboratory_is_learned_once_or_has_its_reason() -> None:
    play = Play("soft-sensor")
    play.run(happenings("soft-sensor"))

    labels = play.tally.labels
    steps = {record["asset"]: record["version"] for record in play.predictions}
    assert sum(steps.values()) in range(labels.examples - len(steps), labels.examples + 1)
    assert labels.examples + labels.untaught.total() == labels.sent > 800
    assert set(labels.untaught) == {"later than the ttl", "of a flagged event"}


@pytest.mark.parametrize("name", SCENARIOS)
def test_what_runs_has_no_problem_in_its_plan(name: str) -> None:
    assert plan_problems(SCENARIOS[name].read().definition) == []

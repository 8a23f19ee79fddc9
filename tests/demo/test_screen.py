"""The screen suits numbers, classes, alarms and what has no label yet; the sheet says it all."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from demo.given import ASSET, outcome, prediction, reading
from demo.test_books import KNOWN, LATE, tally
from tidemill.contracts.targets import FieldTarget
from tidemill.demo.scenario import SCENARIOS
from tidemill.demo.scores import AnomalyScore, ClassScore, RegressionScore
from tidemill.demo.screen import Reasons, last_table, render, summary, truth_text

if TYPE_CHECKING:
    from rich.console import RenderableType


def text(shown: RenderableType) -> str:
    """Return what a terminal would show, spaces run together."""
    console = Console(width=200)
    with console.capture() as capture:
        console.print(shown)
    return re.sub(r" +", " ", re.sub("[│┃]", "|", capture.get()))


def test_a_number_stands_beside_its_truth() -> None:
    books = tally(RegressionScore, KNOWN)
    books.note_sent(reading(1, 5.0))
    books.note_prediction(prediction(1, 4.0, version=9, quality=["MISSING"]))

    assert f"| e1 | {ASSET} | 4.00 | 5.00 | 9 | MISSING |" in text(last_table(books))


def test_what_has_no_label_yet_says_so_until_it_comes() -> None:
    books = tally(RegressionScore, LATE)
    books.note_sent(reading(1, is_sampled=True))
    books.note_sent(reading(2))
    for number in (1, 2):
        books.note_prediction(prediction(number, 4.0))
    sampled, other = books.last
    assert (truth_text(books, sampled), truth_text(books, other)) == ("no label yet", "-")
    assert "| 4.00 | no label yet | 0 |" in text(last_table(books))
    books.note_truth("e1", 6.0)

    assert "| 4.00 | 6.00 | 0 |" in text(last_table(books))


def test_a_class_is_shown_with_its_probability() -> None:
    books = tally(ClassScore, FieldTarget(name="v", kind="multiclass"))
    books.note_sent(reading(1, "scrap"))
    said = {"good": 0.75, "scrap": 0.25}
    books.note_prediction(prediction(1, probabilities=said, outcome="good"))
    books.note_sent(reading(2, "good"))
    books.note_prediction(prediction(2, probabilities={}))

    shown = text(last_table(books))
    assert "| good 75% | scrap |" in shown
    assert f"| e2 | {ASSET} | - | good |" in shown


def test_an_alarm_is_shown_beside_what_was_planted() -> None:
    books = tally(AnomalyScore, None)
    for number, (score, alarm, planted) in enumerate(((0.99, "true", True), (0.1, "false", False))):
        books.note_sent(reading(number, planted))
        books.note_prediction(prediction(number, score, outcome=alarm))

    shown = text(last_table(books))
    assert "| 0.99 alarm | planted fault |" in shown
    assert "| 0.10 | nothing planted |" in shown


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_scenario_marks_the_assets_in_which_something_is_planted(name: str) -> None:
    scenario = SCENARIOS[name]
    books = tally(RegressionScore, KNOWN)
    marked = (scenario.drift, scenario.fault, scenario.loose)
    for asset in [each for each in marked if each is not None]:
        books.assets[asset.asset] = RegressionScore()

    shown = text(render(scenario, books, summary(books, 1.0, 2.0)))
    assert f"{scenario.drift.asset} (drifts)" in shown
    assert scenario.answer in shown
    assert scenario.fault is None or f"{scenario.fault.asset} (faulty)" in shown
    assert scenario.loose is None or f"{scenario.loose.asset} (loose sensor)" in shown


def test_what_came_of_a_late_label_is_told_now_and_then() -> None:
    books = tally(RegressionScore, LATE)
    told = Reasons()
    assert not told.at(0.0, books)
    books.labels.note_outcome(outcome(3, 6.0))

    assert told.at(1.0, books)
    assert told.lines == [
        f"label of e3 of {ASSET}: version 7 had predicted 4.00, 2.5 h later the label says 6.00, "
        "error 2.00"
    ]
    assert not told.at(5.9, books)
    assert told.at(6.0, books)

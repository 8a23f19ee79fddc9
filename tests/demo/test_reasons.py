"""The demo matches each explanation to its prediction, and says one in words now and then."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest
from rich.console import Console

from demo.given import ASSET, outcome, prediction, reading
from demo.play import Play, happenings
from demo.test_books import KNOWN, stream
from tidemill.demo.reasons import ExplanationTally, ranking_text, reason_text
from tidemill.demo.scenario import SCENARIOS
from tidemill.demo.scores import RegressionScore
from tidemill.demo.screen import REASON_EVERY_S, Lines, Reasons, summary
from tidemill.demo.sheet import balance_sheet
from tidemill.demo.tally import Tally
from tidemill.demo.truths import truths_of

Record = dict[str, Any]


def share(feature: str, attribution: float, observed: object, unit: str | None = None) -> Record:
    return {
        "feature": feature,
        "attribution": attribution,
        "observed": observed,
        "unit": unit,
    }


def reason(number: int = 1, *shares: Record, **fields: object) -> Record:
    """Return the explanation of `e<number>`."""
    return {
        **{key: prediction(number)[key] for key in ("event_id", "asset", "source")},
        "output_space": "value",
        "target_class": None,
        "contrast_class": None,
        "base": 10.0,
        "prediction": 12.5,
        "attributions": list(shares),
        "residual": 0.0,
        **fields,
    }


def tally() -> Tally:
    return Tally(RegressionScore, truths_of(stream(KNOWN)), ExplanationTally())


def predicted(count: int) -> tuple[Tally, ExplanationTally]:
    """Return books with so many predictions, and what is to be explained of them."""
    books = tally()
    for number in range(count):
        books.note_sent(reading(number, 5.0))
        books.note_prediction(prediction(number, 4.0))
    assert books.explanations is not None
    return books, books.explanations


def test_the_books_are_open_until_every_prediction_is_explained() -> None:
    books, reasons = predicted(2)
    reasons.note_explanation(reason(0))
    assert (reasons.missing, books.is_settled, books.is_balanced) == (1, False, False)
    reasons.note_explanation(reason(1))

    assert (reasons.missing, books.is_settled, books.is_balanced) == (0, True, True)
    assert "explained 2" in summary(books, 1.0, 2.0)


def test_an_explanation_may_be_read_before_its_prediction() -> None:
    books = tally()
    assert books.explanations is not None
    books.explanations.note_explanation(reason(1))
    assert not books.is_balanced
    books.note_sent(reading(1, 5.0))
    books.note_prediction(prediction(1, 4.0))

    assert books.is_balanced


@pytest.mark.parametrize("numbers", [(0, 0), (0, 9), (0, 9, 9)])
def test_an_explanation_too_many_breaks_the_balance(numbers: tuple[int, ...]) -> None:
    books, reasons = predicted(1)
    for number in numbers:
        reasons.note_explanation(reason(number))

    sheet = balance_sheet(books)
    assert reasons.surplus == len(numbers) - 1
    assert sheet.startswith("Balance: NOT balanced\n")
    assert re.search(rf"explained too often +{reasons.surplus}$", sheet, re.MULTILINE)


def test_a_number_is_shown_as_the_sum_that_it_is() -> None:
    shares = (
        share("flow", 0.25, 3.0),
        share("load", -1.5, 82.125, "kW"),
        share("recipe", 4.0, "B"),
        share("speed", -0.5, None, "rpm"),
        share("level", 0.25, 1.0),
    )

    assert reason_text(reason(1, *shares)) == (
        f"{ASSET}: predicted 12.50 = 10.00 + 4.00 recipe (B) - 1.50 load (82.12 kW) "
        "- 0.50 speed (missing) + 0.50 others"
    )


def test_what_no_sensor_explains_counts_among_the_others() -> None:
    assert reason_text(reason(1, share("load", 2.0, 1.0), residual=0.5)) == (
        f"{ASSET}: predicted 12.50 = 10.00 + 2.00 load (1) + 0.50 others"
    )


def test_a_class_is_named_with_the_one_that_it_is_compared_with() -> None:
    one = {"output_space": "log-odds", "target_class": "scrap", "contrast_class": "good"}
    other = {"output_space": "probability", "target_class": "scrap"}

    assert reason_text(reason(1, share("load", 2.5, 1.0), **one)) == (
        f"{ASSET}: log-odds of scrap against good 12.50 = 10.00 + 2.50 load (1)"
    )
    assert f"{ASSET}: probability of scrap 12.50" in reason_text(reason(1, **other))


def weight(feature: str, now: float, before: float | None) -> Record:
    return {"feature": feature, "mean_absolute": now, "before": before}


def test_a_ranking_says_what_it_was_before() -> None:
    first = {"asset": ASSET, "ranking": [weight("load", 2.0, None), weight("flow", 1.0, None)]}
    later = {"asset": ASSET, "ranking": [weight("flow", 3.0, 1.0), weight("load", 2.5, 2.0)]}

    assert ranking_text(first) == f"{ASSET} goes by load 2.00, flow 1.00"
    assert ranking_text(later) == (
        f"{ASSET} goes by flow 3.00, load 2.50; before it was load, flow"
    )


def test_lines_tell_a_reason_now_and_then_and_a_ranking_once() -> None:
    books, reasons = predicted(1)
    out = io.StringIO()
    lines = Lines(Console(file=out, width=200), books)
    reasons.note_explanation(reason(0, share("load", 2.5, 1.0)))
    reasons.note_ranking({"asset": None, "ranking": []})
    reasons.note_ranking({"asset": ASSET, "ranking": [weight("load", 2.0, None)]})
    for elapsed_s in (0.0, 0.1, REASON_EVERY_S):
        lines(elapsed_s)

    told = out.getvalue()
    assert told.count(f"why {ASSET}: predicted 12.50") == 2
    assert told.count("goes by load") == 1


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_prediction_of_a_scenario_is_explained_and_reads_as_a_sum(name: str) -> None:
    play = Play(name, explains=True)
    play.run(happenings(name, 400))

    reasons = play.tally.explanations
    assert reasons is not None
    assert reasons.is_balanced
    assert reasons.explained == len(play.predictions) > 300
    for text in map(reason_text, play.explanations):
        head, made_of = text.split(" = ")
        terms = re.findall(r"(?:^|([+-]) )(\d+\.\d+|-\d+\.\d+)(?= |$)", made_of)
        total = sum(float(number) * (-1 if sign == "-" else 1) for sign, number in terms)
        assert total == pytest.approx(float(head.split()[-1]), abs=0.03), text


def test_what_was_never_told_is_told_without_waiting() -> None:
    books, reasons = predicted(3)
    books.labels.note_outcome(outcome(2, 6.0))
    told = Reasons()
    assert told.at(1.0, books)

    reasons.note_explanation(reason(0, share("load", 2.5, 1.0)))
    assert told.at(1.1, books)
    assert told.lines[0].startswith("why ")
    assert not told.at(1.2, books)

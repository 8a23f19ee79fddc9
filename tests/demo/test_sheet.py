"""The sheet balances events, labels and feedback, and says what is missing."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from demo.given import ASSET, joined, outcome, prediction, reading, receipt
from demo.test_books import KNOWN, LATE, tally
from demo.test_screen import text
from tidemill.demo.scenario import SCENARIOS
from tidemill.demo.scores import RegressionScore
from tidemill.demo.screen import render, summary
from tidemill.demo.sheet import balance_sheet
from tidemill.demo.shortcut import FeedbackTally, Shortcut
from tidemill.demo.tally import Tally

if TYPE_CHECKING:
    from tidemill.demo.label_tally import LabelTally

SHORTCUT = Shortcut(ASSET, "display", ("ann", "bob"), "the display lies")


def counted(sheet: str) -> dict[str, int]:
    """Return the numbers of a balance sheet by what they count."""
    found = re.findall(r"^ +(.*?) +(-?\d+)$", sheet, re.MULTILINE)
    return {name: int(number) for name, number in found}


def labelled() -> Tally:
    """Return books with five labels: two learned, one of a flagged event, one late, one unknown."""
    books = tally(RegressionScore, LATE)
    for number in range(5):
        books.note_sent(reading(number, is_sampled=True))
        books.note_prediction(prediction(number, 4.0))
    labels = books.labels
    labels.sent = 5
    for quality in ([], ["MISSING"], ["STUCK"]):
        labels.note_joined(joined(*quality))
    for number in range(3):
        books.note_outcome(outcome(number, 6.0))
    for number, reason in ((3, "late"), (4, "unknown-event")):
        books.note_label_aside(reason, {"event_id": f"e{number}", "value": 6.0})
    step = {"asset": ASSET, "model": "s/champion", "version": 2}
    labels.note_entry({"models": [step, {**step, "model": "s/tree", "version": 9}]})
    return books


def test_the_sheet_balances_events_and_labels() -> None:
    books = labelled()
    sheet = balance_sheet(books)
    counts = counted(sheet)

    assert sheet.startswith("Balance: balanced\n")
    assert books.is_settled
    assert counts["events in"] == counts["predicted"] == 5
    assert (counts["labels in"], counts["learned"], counts["of a flagged event"]) == (5, 2, 1)
    assert (counts["labels set aside"], counts["late"], counts["unknown-event"]) == (2, 1, 1)
    assert (counts["joined to a prediction"], counts["compared with it"]) == (3, 3)
    assert "labels 5, learned 2" in summary(books, 1.0, 2.0)


def test_every_label_is_scored_wherever_it_went() -> None:
    assert labelled().assets[ASSET].cells()[:2] == ("5", "2.00")


def _unlearned(labels: LabelTally) -> None:
    labels.steps[ASSET] -= 1


def _learned_twice(labels: LabelTally) -> None:
    labels.steps[ASSET] += 1


def _not_compared(labels: LabelTally) -> None:
    labels.outcomes -= 1


def _not_joined(labels: LabelTally) -> None:
    labels.joined -= 1


def _not_set_aside(labels: LabelTally) -> None:
    labels.aside["late"] -= 1


@pytest.mark.parametrize(
    "lose", [_unlearned, _learned_twice, _not_compared, _not_joined, _not_set_aside]
)
def test_a_label_that_is_missing_or_twice_anywhere_is_no_balance(lose: object) -> None:
    books = labelled()
    assert callable(lose)
    lose(books.labels)

    assert balance_sheet(books).startswith("Balance: NOT balanced\n")
    assert books.is_settled is (lose is _learned_twice)


def test_an_instruction_that_is_refused_is_no_balance() -> None:
    books = labelled()
    books.note_set_aside()

    sheet = balance_sheet(books)
    assert sheet.startswith("Balance: NOT balanced\n")
    assert counted(sheet)["instructions refused"] == 1


def test_a_sheet_without_labels_or_feedback_has_no_word_of_them() -> None:
    books = tally(RegressionScore, KNOWN)
    said = balance_sheet(books) + summary(books, 1.0, 2.0)
    assert "label" not in said
    assert "feedback" not in said


def heard() -> FeedbackTally:
    """Return books with two votes, of which one was counted and one has no final receipt."""
    feedback = FeedbackTally(SHORTCUT, breaks_us=reading(10).time_us, apart={"north/lathe"})
    for name in ("a", "b"):
        feedback.note_sent(name)
    feedback.note_receipt(receipt("a", "COUNTED"))
    feedback.note_receipt(receipt("b", "ACCEPTED"))
    return feedback


def books_of(feedback: FeedbackTally) -> Tally:
    """Return books in which nothing but feedback came."""
    empty = tally(RegressionScore, KNOWN)
    return Tally(empty.score, empty._truths, None, feedback)


def test_a_demo_settles_only_when_every_feedback_has_its_final_receipt() -> None:
    feedback = heard()
    books = books_of(feedback)
    assert (feedback.open, books.is_settled, books.is_balanced) == (1, False, False)
    effect = {"before": 5.0, "after": 4.0, "changed": 3, "compared": 20}
    feedback.note_receipt(receipt("b", "APPLIED", effect=effect, feature="display", version=8))
    feedback.note_receipt(receipt("b", "APPLIED"))

    counts = counted(balance_sheet(books))
    assert (feedback.open, books.is_settled, books.is_balanced) == (0, True, True)
    assert (counts["feedback in"], counts["with its final receipt"]) == (2, 2)
    assert (counts["APPLIED"], counts["COUNTED"], counts["feedback without receipt"]) == (1, 1, 0)
    assert [each["feedback_id"] for each in feedback.news] == ["a", "b"]
    assert "feedback 2, answered 2" in summary(books, 1.0, 2.0)
    shown = text(render(SCENARIOS["pumps"], books, "head"))
    assert "b: APPLIED: veto of display at" in shown


def test_feedback_that_is_set_aside_or_a_receipt_of_nothing_is_no_balance() -> None:
    aside, foreign = heard(), heard()
    for feedback in (aside, foreign):
        feedback.note_receipt(receipt("b", "COUNTED"))
        assert feedback.is_balanced
    aside.note_set_aside()
    foreign.note_receipt(receipt("c", "COUNTED"))

    assert not aside.is_balanced
    assert not foreign.is_balanced

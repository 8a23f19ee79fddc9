"""People vote on what was predicted last, receipts are told, the harm of a break is measured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from demo.given import ASSET, prediction, reading, receipt
from demo.test_books import KNOWN, tally
from tidemill.contracts.codec import codec
from tidemill.contracts.feedback_form import form_problems
from tidemill.contracts.topics import FEEDBACK
from tidemill.demo.cases import Answer, Case
from tidemill.demo.operators import Operators
from tidemill.demo.scores import RegressionScore
from tidemill.demo.shortcut import COMPARED, FeedbackTally, Shortcut, receipt_text
from tidemill.demo.tally import Tally

if TYPE_CHECKING:
    from tidemill.runtime.sending import Sender

SHORTCUT = Shortcut(ASSET, "display", ("ann",), "the display lies")
LATHE = "north/lathe"


class Written:
    """Takes what is sent."""

    def __init__(self) -> None:
        self.records: list[dict[str, Any]] = []

    def send(self, topic: str, *, key: str, value: bytes, partition: int | None) -> None:
        assert (topic, key, partition) == (FEEDBACK, ASSET, 0)
        self.records.append(codec("Feedback").decode(value))


def books() -> FeedbackTally:
    return FeedbackTally(SHORTCUT, breaks_us=reading(10).time_us, apart={"north/saw"})


def test_a_person_votes_on_the_last_sound_predictions_of_the_asset() -> None:
    feedback, written = books(), Written()
    operators = Operators(cast("Sender", written), feedback)
    assert operators.vote("ann") == "ann finds no prediction to judge"
    for number in range(4):
        feedback.note_prediction(prediction(number, 4.0))
    feedback.note_prediction(prediction(4, 4.0, quality=["STUCK"]))
    feedback.note_prediction(prediction(5, 4.0, asset=LATHE))

    assert operators.vote("ann") == f"ann calls display irrelevant to e2 and e3 of {ASSET}"
    assert [each["event"]["offset"] for each in written.records] == [2, 3]
    assert {each["kind"] for each in written.records} == {"IRRELEVANT"}
    assert {each["feature"] for each in written.records} == {"display"}
    assert len({each["feedback_id"] for each in written.records}) == feedback.sent == 2
    for record in written.records:
        assert list(form_problems(record)) == []


def test_the_receipt_of_a_veto_says_what_the_model_says_before_and_after() -> None:
    effect = {"before": 5.0, "after": 4.0, "changed": 3, "compared": 20}
    veto = receipt("b", "APPLIED", effect=effect, feature="display", version=8)

    assert receipt_text(veto) == (
        f"b: APPLIED: veto of display at {ASSET}, version 8; the case reads 5.00 before and 4.00 "
        "after, 3 of the last 20 cases otherwise"
    )
    assert receipt_text(receipt("a", "COUNTED", reason="1 vote")) == "a: COUNTED, 1 vote"


def case(number: int, asset: str, error: float) -> Case:
    answer = Answer.of(prediction(number, 5.0 + error))
    return Case(f"e{number}", asset, reading(number).time_us, truth=5.0, answer=answer)


def test_errors_count_from_the_break_on_for_a_while_beside_all_that_did_not_drift() -> None:
    feedback = books()
    feedback.note_case(case(9, ASSET, 99.0))
    feedback.note_case(case(10, LATHE, -3.0))
    assert feedback.harm() is None
    for number in range(10, 10 + COMPARED):
        feedback.note_case(case(number, ASSET, 1.0))
    for late in (case(999, ASSET, 99.0), case(11, "north/saw", 99.0)):
        feedback.note_case(late)
    assert feedback.errors_since() == (1.0, 3.0)
    feedback.note_receipt(receipt("b", "APPLIED", effect={"before": 1.0, "after": 2.0}))

    assert feedback.harm() == (
        f"the display lies: mean error of the first {COMPARED} readings since then 1.00 at {ASSET} "
        "(display vetoed), 3.00 at the others"
    )


def test_the_books_bring_predictions_and_cases_to_those_of_feedback() -> None:
    feedback = books()
    empty = tally(RegressionScore, KNOWN)
    all_books = Tally(empty.score, empty._truths, None, feedback)
    for number in (9, 10):
        all_books.note_sent(reading(number, 5.0))
        all_books.note_prediction(prediction(number, 4.0))

    assert [each["event_id"] for each in feedback.cases] == ["e9", "e10"]
    assert feedback._errors == {ASSET: [1.0]}

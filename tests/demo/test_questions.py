"""A sensor that comes loose: it is asked about, answered, the hold ends, the alarm is seen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest

from demo.given import prediction, reading
from demo.test_books import KNOWN, tally
from tidemill.contracts.codec import codec
from tidemill.contracts.feedback_form import form_problems
from tidemill.contracts.topics import FEEDBACK
from tidemill.demo.attending import Attendant
from tidemill.demo.feeding import Feed, LooseFeed
from tidemill.demo.questions import QuestionTally, question_text, release_text
from tidemill.demo.scenario import SCENARIOS
from tidemill.demo.scores import RegressionScore
from tidemill.demo.sheet import balance_sheet
from tidemill.demo.shortcut import FeedbackTally
from tidemill.demo.simulators import wells
from tidemill.demo.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Callable

    from tidemill.runtime.sending import Sender

PUMPS = SCENARIOS["pumps"]
ELSEWHERE = "north/lathe"
START_US = 1_767_225_600_000_000


def drift(status: str, name: str = "d1", asset: str = wells.ASSET, **known: Any) -> dict[str, Any]:
    """Return a change of an episode of sensors together."""
    return {
        "drift_id": name,
        "asset": asset,
        "stream": "pump",
        "kind": "MULTIVARIATE",
        "status": status,
        "started": START_US,
        "effect": 1.25,
        "ranked": [{"signal": "vibration", "effect": 1.25}],
        "held": True,
        **known,
    }


def alarm(state: str, revision: int, **known: Any) -> dict[str, Any]:
    """Return a change of the alarm that tells of episode d1."""
    return {
        "alarm_id": "a1",
        "asset": wells.ASSET,
        "stream": "pump",
        "kind": "DRIFT",
        "state": state,
        "active": True,
        "since": START_US,
        "until": None,
        "actor": None,
        "note": "multivariate, episode d1",
        "revision": revision,
        **known,
    }


def hold(name: str = "d1") -> dict[str, Any]:
    return {"kind": "HOLD", "origin": name, "target_id": None, "asset": wells.ASSET}


def release(name: str = "d1", label: str = "fault") -> dict[str, Any]:
    span = {"from": START_US, "to": START_US + 60_000_000}
    known = {"asset": wells.ASSET, "label": label, "span": span, "origin": f"{name}:release"}
    return {"kind": "RELEASE", "target_id": name, **known}


class Written:
    """Takes what is sent."""

    def __init__(self) -> None:
        self.records: list[tuple[str, int, dict[str, Any]]] = []

    def send(self, topic: str, *, key: str, value: bytes, partition: int) -> None:
        assert topic == FEEDBACK
        self.records.append((key, partition, codec("Feedback").decode(value)))


class Desk:
    """Somebody at hand, and the books."""

    def __init__(self) -> None:
        assert PUMPS.loose is not None
        assert PUMPS.shortcut is not None
        self.written = Written()
        self.feedback = FeedbackTally(PUMPS.shortcut, breaks_us=0, apart=PUMPS.apart)
        self.questions = QuestionTally(PUMPS.loose)
        sender = cast("Sender", self.written)
        self.attendant = Attendant(sender, self.feedback, self.questions)

    def attend(self) -> list[dict[str, Any]]:
        """Have everything answered that can be; return what was sent."""
        before = len(self.written.records)
        self.said = list(self.attendant.attend())
        return [record for _, _, record in self.written.records[before:]]

    def played(self) -> None:
        """Take the whole story in, as it usually comes."""
        self.questions.note_drift(drift("OPEN"), 3)
        self.questions.note_update(hold())
        self.questions.note_alarm(alarm("UNACKNOWLEDGED", 0), 3)
        self.attend()
        self.questions.note_alarm(alarm("ACKNOWLEDGED", 1, actor="eva"), 3)
        self.questions.note_drift(drift("FAULT"), 3)
        self.questions.note_drift(drift("CLOSED"), 3)
        self.questions.note_update(release())


def test_a_question_is_answered_once_on_its_partition_and_expects_a_receipt() -> None:
    desk = Desk()
    desk.questions.note_drift(drift("OPEN"), 3)
    desk.questions.note_drift(drift("OPEN", kind="FEATURE", name="d2"), 3)
    (answer,) = desk.attend()

    assert (answer["kind"], answer["drift_id"], answer["actor"]) == ("FAULT", "d1", "eva")
    assert list(form_problems(answer)) == []
    assert desk.written.records[0][:2] == (wells.ASSET, 3)
    assert desk.said == [f"eva answers for {wells.ASSET}: FAULT"]
    assert (desk.feedback.sent, desk.feedback.open) == (1, 1)
    assert desk.attend() == []


def test_what_changes_at_any_other_asset_is_called_the_process() -> None:
    desk = Desk()
    desk.questions.note_drift(drift("OPEN", asset=ELSEWHERE), 1)
    (answer,) = desk.attend()

    assert (answer["kind"], answer["asset"]) == ("PROCESS_CHANGE", ELSEWHERE)


def test_an_alarm_is_acknowledged_at_each_change_that_asks_for_it_and_no_more() -> None:
    desk = Desk()
    for revision, state in enumerate(("UNACKNOWLEDGED", "ACKNOWLEDGED", "UNACKNOWLEDGED")):
        for times in range(2):
            desk.questions.note_alarm(alarm(state, revision), 2)
            sent = desk.attend()
            is_due = state == "UNACKNOWLEDGED" and times == 0
            assert [each["kind"] for each in sent] == ["ACKNOWLEDGE"] * is_due
    for other in (
        alarm("UNACKNOWLEDGED", 9, kind="SILENCE"),
        alarm("UNACKNOWLEDGED", 9, asset="x"),
    ):
        desk.questions.note_alarm(other, 2)

    assert desk.attend() == []
    names = [record["feedback_id"] for _, _, record in desk.written.records]
    assert names == ["eva-a1-0", "eva-a1-2"]
    assert all(list(form_problems(record)) == [] for _, _, record in desk.written.records)
    assert desk.feedback.sent == 0


def test_only_the_alarm_of_the_question_is_read_out() -> None:
    desk = Desk()
    desk.questions.note_alarm(alarm("UNACKNOWLEDGED", 0, note="feature vibration"), 2)
    assert len(desk.attend()) == 1
    assert desk.said == []
    desk.questions.note_alarm(alarm("UNACKNOWLEDGED", 1), 2)
    desk.attend()
    (line,) = desk.said
    assert line.startswith("alarm a1  2026-01-01T00:00:00+00:00  DRIFT  ")
    assert line.endswith("; eva acknowledges it")


def test_a_story_that_was_told_to_its_end_is_balanced() -> None:
    desk = Desk()
    desk.played()

    questions = desk.questions
    assert questions.is_balanced
    assert (questions.open, questions.unacknowledged, questions.alarms) == (0, 0, 1)
    assert questions.news[0] == question_text(drift("OPEN"))
    assert list(questions.news)[1:] == ["alarm a1: acknowledged", release_text(release())]


def test_an_instruction_may_be_read_before_the_episode_that_it_is_about() -> None:
    desk = Desk()
    desk.questions.note_update(hold())
    desk.questions.note_update(release())
    desk.played()

    assert desk.questions.is_balanced


def test_alarms_are_told_of_a_partition_once_it_had_a_heartbeat() -> None:
    questions = Desk().questions
    questions.note_alarm(alarm("UNACKNOWLEDGED", 0), 3)
    assert questions.attended == set()
    for partition in (1, 2, 1):
        questions.note_alarm(alarm("CLEARED", 0, kind="HEARTBEAT", asset=None), partition)

    assert questions.attended == {1, 2}
    assert questions.alarms == 1


LEFT_OUT: dict[str, Callable[[Desk], object]] = {
    "nothing was asked": lambda desk: desk.questions.asked.clear(),
    "nobody answered": lambda desk: desk.questions.answers.clear(),
    "it was settled otherwise": lambda desk: desk.questions.settled.update(d1="TIMED_OUT"),
    "it was never settled": lambda desk: desk.questions.settled.clear(),
    "the hold was never released": lambda desk: desk.questions.released.clear(),
    "the alarm asks again": lambda desk: desk.questions.note_alarm(alarm("UNACKNOWLEDGED", 2), 3),
    "no alarm told of it": lambda desk: desk.questions._notes.clear(),
}


@pytest.mark.parametrize("name", LEFT_OUT)
def test_a_story_with_something_left_out_is_not(name: str) -> None:
    desk = Desk()
    desk.played()
    LEFT_OUT[name](desk)

    assert not desk.questions.is_balanced


def test_a_demo_is_balanced_only_with_its_questions() -> None:
    desk = Desk()
    empty = tally(RegressionScore, KNOWN)
    books = Tally(empty.score, empty._truths, questions=desk.questions)
    assert (books.is_settled, books.is_balanced) == (False, False)
    before = books.progress
    desk.played()

    assert (books.is_settled, books.is_balanced) == (True, True)
    assert books.progress > before
    sheet = balance_sheet(books)
    for line in ("questions asked", "FAULT", "models held", "holds released", "alarms of pump-1"):
        assert f"  {line} " in sheet
    assert "questions" not in balance_sheet(empty)


def test_a_model_that_goes_on_as_its_fold_without_the_span_is_told() -> None:
    questions = Desk().questions
    detail = {"model": f"pump|{wells.ASSET}|pump/champion", "events": "5380", "lineage": "ab" * 32}
    for action in ("swap", "skip"):
        questions.note_entry({"actions": [{"kind": action, "detail": detail}]})
    other = {**detail, "model": f"pump|{ELSEWHERE}|pump/champion"}
    questions.note_entry({"actions": [{"kind": "swap", "detail": other}]})

    assert questions.refolds == 1
    assert list(questions.news) == [
        f"the model of {wells.ASSET} goes on as its fold without the span: 5380 events folded "
        f"again, lineage {'ab' * 8}"
    ]


def test_a_hold_that_ends_says_what_becomes_of_the_span() -> None:
    span = "what was read from 00:00:00 to 00:01:00"
    assert release_text(release()) == (
        f"hold of {wells.ASSET} released, fault: {span} stays out for ever"
    )
    assert release_text(release(label="process_change")).endswith(f"{span} is learned, in order")


class Sent:
    """Counts what is sent."""

    def __init__(self) -> None:
        self.count = 0

    def send(self, *_: object, **__: object) -> None:
        self.count += 1


@pytest.mark.parametrize("length_s", [6.0, 60.0])
def test_the_asset_has_its_past_at_once_and_as_much_to_tell_however_long_the_demo_is(
    length_s: float,
) -> None:
    assert PUMPS.loose is not None
    sent = Sent()
    feed = Feed(PUMPS.read(), cast("Sender", sent), tally(RegressionScore, KNOWN))
    loose = LooseFeed(feed, PUMPS.loose, length_s)

    loose.send_until(0.0)
    assert sent.count == wells.PAST
    loose.send_until(length_s / 2)
    assert sent.count == wells.PAST + wells.PRESENT // 2
    loose.send_until(3 * length_s)
    loose.finish()
    assert sent.count == wells.PAST + wells.PRESENT


def test_readings_of_two_feeds_are_counted_apart() -> None:
    books, sent = tally(RegressionScore, KNOWN), Sent()
    first, second = (Feed(PUMPS.read(), cast("Sender", sent), books) for _ in range(2))
    readings = wells.simulate()
    first.send_until(3, readings)
    second.send_until(2, readings)

    assert (sent.count, books.sent) == (5, 5)


def test_errors_of_the_asset_say_nothing_of_the_broken_shortcut() -> None:
    desk = Desk()
    empty = tally(RegressionScore, KNOWN)
    books = Tally(empty.score, empty._truths, None, desk.feedback)
    books.note_sent(reading(1, 5.0))
    books.note_prediction(prediction(1, 4.0))

    assert desk.feedback._errors != {}
    assert PUMPS.apart == {PUMPS.drift.asset, wells.ASSET}

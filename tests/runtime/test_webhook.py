"""Alarms are posted in order, each until it is taken, under a name that does not change."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest

from tidemill.contracts.codec import codec
from tidemill.contracts.topics import ALARMS
from tidemill.kernel.errors import ConfigError
from tidemill.kernel.records import Message
from tidemill.processors.alerts.settings import Settings
from tidemill.runtime.webhook import FIRST_RETRY_S, LAST_RETRY_S, Courier
from tidemill.runtime.webhook_post import Answer, Posting, meaning_of, post, posting_of

HOUR_S = 3600.0


def alarm(number: int, revision: int = 0, partition: int = 0) -> Message:
    record = {
        "alarm_id": f"a{number}",
        "kind": "DRIFT",
        "state": "UNACKNOWLEDGED",
        "since": 1_800_000_000_000_000,
        "revision": revision,
    }
    return Message(ALARMS, partition, number, None, codec("Alarm").encode(record))


class Told:
    """Keeps what the courier tells."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []

    def posted(self, answer: Answer, _: str) -> None:
        self.answers.append(answer)


class Hook:
    """Answers as it is told, and takes everything when it is told no more."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.posted: list[tuple[float, str]] = []
        self.now_s = 0.0
        self.told = Told()
        self.courier = Courier(self._send, self.told, clock=lambda: self.now_s)

    def _send(self, posting: Posting) -> tuple[Answer, str]:
        self.posted.append((self.now_s, posting.key))
        return (self.answers.pop(0) if self.answers else Answer.TAKEN), "why"

    def wait(self, seconds: float) -> list[int]:
        """Let time pass; return the offsets of alarms that were done with."""
        done, until = [], self.now_s + seconds
        while self.now_s < until:
            while (message := self.courier.step()) is not None:
                done.append(message.offset)
            self.now_s += 0.25
        return done

    @property
    def keys(self) -> list[str]:
        return [key for _, key in self.posted]


def test_alarms_are_posted_in_order_under_their_names() -> None:
    hook = Hook()
    hook.courier.add([alarm(0), alarm(1, revision=3)])
    assert hook.wait(1.0) == [0, 1]
    assert hook.keys == ["a0-0", "a1-3"]


def test_a_webhook_that_is_away_is_asked_again_ever_more_rarely_and_nothing_overtakes() -> None:
    hook = Hook(*[Answer.AWAY] * 9)
    hook.courier.add([alarm(0), alarm(1)])
    assert hook.wait(HOUR_S) == [0, 1]
    assert hook.keys == ["a0-0"] * 10 + ["a1-0"]
    times = [at for at, key in hook.posted if key == "a0-0"]
    gaps = [then - at for at, then in pairwise(times)]
    assert gaps == sorted(gaps)
    assert gaps[0] == pytest.approx(FIRST_RETRY_S, abs=0.25)
    assert gaps[-1] == pytest.approx(LAST_RETRY_S, abs=0.25)


def test_what_is_refused_for_good_does_not_stop_those_behind() -> None:
    hook = Hook(Answer.REFUSED)
    hook.courier.add([alarm(0), alarm(1)])
    assert hook.wait(1.0) == [0, 1]
    assert hook.told.answers == [Answer.REFUSED, Answer.TAKEN]


def test_a_change_that_stands_twice_in_the_topic_is_posted_once() -> None:
    hook = Hook()
    again = alarm(0)._replace(offset=7)
    hook.courier.add([alarm(0), again, alarm(0, revision=1)])
    assert hook.wait(1.0) == [0, 7, 0]
    assert hook.keys == ["a0-0", "a0-1"]


def test_what_is_no_alarm_is_passed_over() -> None:
    hook = Hook()
    hook.courier.add([alarm(0)._replace(value=b"nonsense"), alarm(1)])
    assert hook.wait(1.0) == [0, 1]
    assert hook.keys == ["a1-0"]


def test_alarms_of_a_partition_that_went_are_left_to_its_owner() -> None:
    hook = Hook()
    hook.courier.add([alarm(0), alarm(1, partition=1)])
    hook.courier.drop([0])
    assert hook.wait(1.0) == [1]


def test_the_same_record_is_the_same_request() -> None:
    assert posting_of(alarm(3)) == posting_of(alarm(3))
    body = json.loads(posting_of(alarm(3)).body)
    assert body["since"] == "2027-01-15T08:00:00+00:00"
    assert body["until"] is None


@pytest.mark.parametrize(
    ("status", "meaning"),
    [
        (200, Answer.TAKEN),
        (204, Answer.TAKEN),
        (302, Answer.REFUSED),
        (400, Answer.REFUSED),
        (404, Answer.REFUSED),
        (408, Answer.AWAY),
        (429, Answer.AWAY),
        (500, Answer.AWAY),
        (503, Answer.AWAY),
    ],
)
def test_what_another_time_may_help_is_repeated(status: int, meaning: Answer) -> None:
    assert meaning_of(status) is meaning


def test_nobody_there_is_away_and_the_address_is_not_told() -> None:
    answer, why = post("http://127.0.0.1:9/secret", posting_of(alarm(0)))
    assert answer is Answer.AWAY
    assert "secret" not in why


NO_WEBHOOKS = (
    "ftp://host/x", "file:///etc/passwd", "host/path", "https://", "https://host:port/",
    "http://[::1", "https://ann:secret@host/", "https://host/a b", "https://host/#there",
    "https://host/\N{LATIN SMALL LETTER E WITH ACUTE}",
)  # fmt: skip


@pytest.mark.parametrize(
    "webhook", ["https://host/a?b=c", "http://127.0.0.1:80/x", "http://[::1]/"]
)
def test_addresses_of_the_web_are_webhooks(webhook: str) -> None:
    assert Settings(Path("plant.yaml"), "localhost:9092", "0", webhook=webhook).webhook == webhook


@pytest.mark.parametrize("webhook", NO_WEBHOOKS)
def test_only_addresses_of_the_web_are_webhooks(webhook: str) -> None:
    with pytest.raises(ConfigError, match="--webhook") as raised:
        Settings(Path("plant.yaml"), "localhost:9092", "0", webhook=webhook)
    assert webhook not in str(raised.value)

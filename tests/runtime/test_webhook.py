"""Alarms are posted in order, each until it is taken, under a name that does not change."""

from __future__ import annotations

import json
import socket
import threading
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tidemill.contracts.codec import codec
from tidemill.contracts.topics import ALARMS
from tidemill.kernel.errors import ConfigError
from tidemill.kernel.records import Message
from tidemill.processors.alerts.settings import Settings
from tidemill.runtime.clients import Failures, KafkaError, KafkaException, TopicPartition
from tidemill.runtime.webhook import FIRST_RETRY_S, LAST_RETRY_S, MOST_FAILURES, Courier, Webhook
from tidemill.runtime.webhook_post import Answer, Posting, meaning_of, post, posting_of

HOUR_S = 3600.0
WITHIN_S = 60.0


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


def test_an_alarm_on_which_the_webhook_always_fails_stops_those_behind_for_an_hour_only() -> None:
    hook = Hook(*[Answer.FAILED] * MOST_FAILURES)
    hook.courier.add([alarm(0), alarm(1)])
    assert hook.wait(0.9 * HOUR_S) == []
    assert hook.wait(0.2 * HOUR_S) == [0, 1]
    assert hook.keys == ["a0-0"] * MOST_FAILURES + ["a1-0"]
    assert hook.told.answers[-2:] == [Answer.PASSED_OVER, Answer.TAKEN]
    assert hook.told.answers.count(Answer.PASSED_OVER) == 1


def test_each_alarm_has_an_hour_of_its_own() -> None:
    hook = Hook(*[Answer.FAILED] * (MOST_FAILURES - 1), Answer.TAKEN, Answer.FAILED)
    hook.courier.add([alarm(0), alarm(1)])
    assert hook.wait(2 * HOUR_S) == [0, 1]
    assert Answer.PASSED_OVER not in hook.told.answers


def test_no_alarm_is_passed_over_while_nobody_is_there() -> None:
    hook = Hook(*[Answer.FAILED, Answer.AWAY] * (MOST_FAILURES - 1), *[Answer.AWAY] * 100)
    hook.courier.add([alarm(0)])
    assert hook.wait(24 * HOUR_S) == [0]
    assert hook.told.answers[-1] is Answer.TAKEN


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
        (408, Answer.FAILED),
        (429, Answer.FAILED),
        (500, Answer.FAILED),
        (503, Answer.FAILED),
    ],
)
def test_what_another_time_may_help_is_repeated(status: int, meaning: Answer) -> None:
    assert meaning_of(status) is meaning


def test_nobody_there_is_away_and_the_address_is_not_told() -> None:
    answer, why = post("http://127.0.0.1:9/secret", posting_of(alarm(0)))
    assert answer is Answer.AWAY
    assert "secret" not in why


def test_who_takes_a_request_and_does_not_answer_it_failed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        def hang_up() -> None:
            taken, _ = server.accept()
            with taken:
                taken.recv(65_536)

        thread = threading.Thread(target=hang_up)
        thread.start()
        answer, why = post(f"http://127.0.0.1:{port}/secret", posting_of(alarm(0)))
        thread.join()
    assert answer is Answer.FAILED
    assert "secret" not in why


class Member:
    """A member of a group whose brokers answer or do not."""

    def __init__(self, committed: int | None = None, span: tuple[int, int] = (0, 0)) -> None:
        self.committed_offset = committed
        self.span = span
        self.asked = threading.Event()
        self.assigned = threading.Event()
        self.starts: list[TopicPartition] = []
        self._on_assign: Any = None  # Any: as confluent_kafka calls it
        self.is_closed = False
        self.unknown = 0

    def subscribe(self, _: list[str], *, on_assign: object, **__: object) -> None:
        self._on_assign = on_assign

    def assignment(self) -> list[TopicPartition]:
        return self.starts

    def pause(self, _: object) -> None: ...
    def resume(self, _: object) -> None: ...
    def commit(self, **_: Any) -> None: ...  # Any: offsets, and how

    def consume(self, _: int, timeout_s: float) -> list[object]:
        on_assign, self._on_assign = self._on_assign, None
        if on_assign is None:
            threading.Event().wait(timeout_s / 10)
        else:
            on_assign(self, [TopicPartition(ALARMS, 0)])
        return []

    def committed(self, where: list[TopicPartition], _: float) -> list[TopicPartition]:
        self.asked.set()
        if self.committed_offset is None:
            raise KafkaException(KafkaError(KafkaError._TRANSPORT))
        where[0].offset = self.committed_offset
        return where

    def get_watermark_offsets(self, *_: object) -> tuple[int, int]:
        if self.unknown > 0:
            self.unknown -= 1
            raise KafkaException(KafkaError(KafkaError._UNKNOWN_PARTITION))
        return self.span

    def assign(self, starts: list[TopicPartition]) -> None:
        self.starts = starts
        self.assigned.set()

    def close(self) -> None:
        self.is_closed = True


class Clients:
    """Makes that member only."""

    def __init__(self, member: Member) -> None:
        self._member = member
        self.failures = Failures()

    def member(self, *_: str) -> Member:
        return self._member


def follow(member: Member) -> Webhook:
    failures: list[BaseException] = []
    clients: Any = Clients(member)  # Any: it makes no other client
    url = "http://127.0.0.1:9/"
    return Webhook(url, clients, group="g", instance="0", observer=Told(), failed=failures.append)


def test_who_waits_for_brokers_ends_in_order() -> None:
    member = Member(committed=None)
    with follow(member):
        assert member.asked.wait(WITHIN_S)
    assert member.is_closed
    assert member.starts == []


@pytest.mark.parametrize(("committed", "start"), [(-1001, 9), (3, 5), (7, 7)])
def test_it_goes_on_with_what_is_retained_of_what_was_not_posted(
    committed: int, start: int
) -> None:
    member = Member(committed, span=(5, 9))
    with follow(member):
        assert member.assigned.wait(WITHIN_S)
    assert [part.offset for part in member.starts] == [start]


def test_a_partition_that_the_cluster_does_not_show_yet_is_asked_for_again() -> None:
    member = Member(3, span=(1, 9))
    member.unknown = 2
    with follow(member):
        assert member.assigned.wait(WITHIN_S)
    assert [part.offset for part in member.starts] == [3]


class SlowToCommit(Member):
    """Its first commits are refused: the coordinator still reads its groups."""

    def __init__(self) -> None:
        super().__init__(-1001, span=(0, 9))
        self.refusals = 3
        self.begun = threading.Event()
        self.calls: list[str] = []

    def pause(self, _: object) -> None:
        self.calls.append("pause")

    def resume(self, _: object) -> None:
        self.calls.append("resume")
        self.begun.set()

    def commit(self, **how: Any) -> None:  # Any: as above
        self.calls.append(f"commit {how['offsets'][0].offset}")
        if self.refusals:
            self.refusals -= 1
            raise KafkaException(KafkaError(KafkaError.COORDINATOR_LOAD_IN_PROGRESS))


def test_nothing_is_read_until_where_it_began_is_committed() -> None:
    member = SlowToCommit()
    with follow(member):
        assert member.begun.wait(WITHIN_S)
    assert member.calls[:7] == ["commit 9", *["commit 9", "pause"] * 2, "commit 9", "resume"]


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

"""Posting alarms to a webhook: each at least once, in order, and where it stands is in Kafka."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, deque
from typing import TYPE_CHECKING, Any, Protocol, Self

from tidemill.contracts.topics import ALARMS
from tidemill.kernel.errors import InvalidRecordError
from tidemill.runtime.clients import KafkaException, TopicPartition, kafka_error
from tidemill.runtime.failures import check_callback_error, check_message_error, is_refusal
from tidemill.runtime.kafka_log import METADATA_TIMEOUT_S, UNKNOWN, to_message
from tidemill.runtime.renewals import Renewals, is_of_no_use
from tidemill.runtime.webhook_post import Answer, Posting, post, posting_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tidemill.kernel.records import Message
    from tidemill.runtime.clients import KafkaClients, KafkaError

FIRST_RETRY_S, LAST_RETRY_S = 1.0, 60.0
# An hour, by these times between them.
MOST_FAILURES = 65
POLL_S = 0.25
AT_ONCE = 50
REMEMBERED = 10_000
END_WITHIN_S = 30.0


class WebhookObserver(Protocol):
    """Hears what becomes of requests; must not raise."""

    def posted(self, answer: Answer, why: str) -> None:
        """One request was answered, or was not."""


class Courier:
    """Posts alarms one after the other, each until it is taken or refused for good.

    One that fails again and again would stop all behind it: after an hour it is passed over.

    Args:
        send: Posts once.
        clock: Monotonic seconds.
        observer: Is told.
    """

    def __init__(
        self,
        send: Callable[[Posting], tuple[Answer, str]],
        observer: WebhookObserver,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._send = send
        self._observer = observer
        self._clock = clock
        self._due_s = 0.0
        self._retry_s = FIRST_RETRY_S
        self._failures = 0
        self._done: OrderedDict[str, None] = OrderedDict()
        self._waiting: deque[Message] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, messages: Iterable[Message]) -> None:
        """Queue alarms."""
        self._waiting.extend(messages)

    def clear(self) -> None:
        """Leave all alarms that wait: they are read again."""
        self._waiting.clear()

    def drop(self, partitions: Iterable[int]) -> None:
        """Leave alarms to another worker."""
        gone, self._failures = set(partitions), 0
        self._waiting = deque(m for m in self._waiting if m.partition not in gone)

    def step(self) -> Message | None:
        """Try the first that waits, if it is time; return it once it is done with."""
        if not self._waiting or self._clock() < self._due_s:
            return None
        message = self._waiting[0]
        if not self._is_done(message):
            self._due_s = self._clock() + self._retry_s
            self._retry_s = min(LAST_RETRY_S, 2 * self._retry_s)
            return None
        self._retry_s, self._due_s, self._failures = FIRST_RETRY_S, 0.0, 0
        return self._waiting.popleft()

    def _is_done(self, message: Message) -> bool:
        try:
            posting = posting_of(message)
        except InvalidRecordError as error:
            self._observer.posted(Answer.REFUSED, str(error))
            return True
        if posting.key in self._done:
            return True
        answer, why = self._send(posting)
        self._failures += answer is Answer.FAILED
        if answer is Answer.FAILED and self._failures >= MOST_FAILURES:
            answer, why = Answer.PASSED_OVER, f"{why}, {posting.key}"
        self._observer.posted(answer, why)
        if answer in {Answer.AWAY, Answer.FAILED}:
            return False
        self._done[posting.key] = None
        while len(self._done) > REMEMBERED:
            self._done.popitem(last=False)
        return True


class Webhook:
    """Follows the alarms as a member of a group of its own, in a thread of its own.

    What is done with is committed, so the next life goes on behind it; a crash in between posts
    an alarm again, under the same key.

    Args:
        url: Where to post.
        clients: Makes the member.
        group, instance: Which.
        observer: Is told.
        failed: Told why nothing more can be posted, from the thread.
    """

    def __init__(
        self,
        url: str,
        clients: KafkaClients,
        *,
        group: str,
        instance: str,
        observer: WebhookObserver,
        failed: Callable[[BaseException], None],
    ) -> None:
        self._clients = clients
        self._courier = Courier(lambda posting: post(url, posting), observer)
        self._place = (group, instance)
        self._member: Any = clients.member(*self._place)  # Any: it commits too
        self._is_fenced = False
        self._begun: list[TopicPartition] = []  # where we begin, until that is committed
        self._renewals = Renewals(group, instance, time.monotonic)
        self._failed = failed
        self._is_ending = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="webhook", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_ending.set()
        self._thread.join(END_WITHIN_S)
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        try:
            self._join()
            while not self._is_ending.is_set():
                self._turn()
                if self._is_fenced:
                    self._renew()
            self._member.close()
        except Exception as error:  # noqa: BLE001 - raised again where the worker ends
            self._failure = error
            self._failed(error)

    def _join(self) -> None:
        self._member.subscribe(
            [ALARMS], on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._revoked
        )

    def _renew(self) -> None:
        """Take our place in the group again, and go on behind what was committed."""
        self._renewals.note()
        self._member.close()
        self._courier.clear()
        self._begun = []
        self._clients.failures.take()
        self._is_fenced = False
        self._member = self._clients.member(*self._place)
        self._join()

    def _turn(self) -> None:
        for error in self._clients.failures.take():
            self._check(error)
        if self._is_fenced:
            return
        if self._begun and self._commit(self._begun):
            self._begun = []
        owned = self._member.assignment()
        if len(self._courier) or self._begun:
            self._member.pause(owned)
        elif owned:
            self._member.resume(owned)
        messages = []
        for raw in self._member.consume(AT_ONCE, POLL_S):
            error = raw.error()
            if error is None:
                messages.append(to_message(raw))
            else:
                self._check(error)
        self._courier.add(messages)
        while not self._is_fenced and (message := self._courier.step()) is not None:
            self._commit([TopicPartition(ALARMS, message.partition, message.offset + 1)])
            if self._is_ending.is_set():
                return

    def _check(self, error: KafkaError) -> None:
        """Let pass what passes; a member that is of no use any more is replaced."""
        if is_of_no_use(error):
            self._is_fenced = True
        else:
            check_message_error(error)

    def _commit(self, offsets: list[TopicPartition]) -> bool:
        """Commit, say whether it is done; what is not committed is posted again, under its key."""
        try:
            self._member.commit(offsets=offsets, asynchronous=False)
        except KafkaException as raised:
            error = kafka_error(raised)
            if is_refusal(error):
                raise
            self._is_fenced = self._is_fenced or is_of_no_use(error)
            return False
        return True

    def _assigned(self, member: Any, partitions: list[TopicPartition]) -> None:  # Any: a consumer
        """Go on behind what is committed, or with what is retained; at the end where nothing is."""
        starts = [self._start(member, part.partition) for part in partitions]
        known = [start for start in starts if start is not None]
        if len(known) < len(starts):
            return  # it ends, or has lost its place, and could not ask where
        try:
            member.assign(known)
        except KafkaException as raised:
            self._note_fenced(raised)
            return
        # Or else a next life, to which nothing is committed, would begin at a later end.
        self._begun = [] if not known or self._commit(known) else known

    def _start(self, member: Any, partition: int) -> TopicPartition | None:  # Any: as above
        """Return where a partition is gone on with.

        None where this ends, or the place in the group is lost, before that is known.
        """
        where = TopicPartition(ALARMS, partition)
        while True:
            try:
                (found,) = member.committed([where], METADATA_TIMEOUT_S)
                first, end = member.get_watermark_offsets(where, METADATA_TIMEOUT_S)
                found.offset = end if found.offset < 0 else max(first, found.offset)
            except KafkaException as raised:
                error = kafka_error(raised)
                if is_of_no_use(error):
                    self._is_fenced = True
                    return None
                if error.code() not in UNKNOWN:
                    check_callback_error(error)
                if self._is_ending.wait(POLL_S):
                    return None
            else:
                return TopicPartition(ALARMS, partition, found.offset)

    def _note_fenced(self, raised: KafkaException) -> None:
        """Note that the member is of no use any more; raise whatever else is wrong with it."""
        if not is_of_no_use(kafka_error(raised)):
            raise raised
        self._is_fenced = True

    def _revoked(self, member: Any, partitions: list[TopicPartition]) -> None:  # Any: as above
        self._courier.drop(part.partition for part in partitions)
        self._begun = []
        member.unassign()

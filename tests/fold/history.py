"""A small history of one partition, made by the learner itself, in topics that are lists."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from tidemill.contracts.topics import (
    ANCHORS,
    EVENTS,
    EXPLAINER_SNAPSHOTS,
    EXPLANATIONS,
    IMPORTANCES,
    LEDGER,
    OUTCOMES,
    PREDICTIONS,
    RECEIPTS,
    SNAPSHOTS,
    UPDATES,
)
from tidemill.fold.audit.starting import drained
from tidemill.fold.books import Policy
from tidemill.fold.snapshots import SigningKey
from tidemill.kernel.deadletters import SUFFIX
from tidemill.kernel.errors import RetentionError
from tidemill.kernel.records import Message
from tidemill.processors.learner.processor import Learner, LearnerFactory
from tidemill.testing.plants import LINEAR, event_value, sample_terms, update_value

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tidemill.fold.terms import Terms
    from tidemill.kernel.records import Emit

KEY = SigningKey(bytes(range(32)))
POLICY = Policy(snapshot_every=6, anchor_every=8, define_every=7)
CHALLENGERS = {"plain": ["linear_model.LinearRegression"]}
TERMS = sample_terms(challengers=CHALLENGERS)
EXPLAINED = (EXPLANATIONS, IMPORTANCES, EXPLAINER_SNAPSHOTS)
OUTPUTS = (PREDICTIONS, EVENTS + SUFFIX, UPDATES + SUFFIX, OUTCOMES, RECEIPTS)
TOPICS = (EVENTS, UPDATES, *OUTPUTS, LEDGER, SNAPSHOTS, ANCHORS, *EXPLAINED)
START_MS = 1_767_225_600_000
ASSETS = ("north/1", "north/2", "south/1")


@dataclass
class ListLog:
    """Topics as lists of records; offsets may have gaps, as control markers leave them."""

    topics: dict[str, list[Message]] = field(default_factory=lambda: {t: [] for t in TOPICS})
    ends: dict[str, int] = field(default_factory=lambda: dict.fromkeys(TOPICS, 0))
    begins: dict[str, int] = field(default_factory=dict)
    partition: int = 0

    def span(self, topic: str, partition: int) -> tuple[int, int]:
        assert partition == self.partition
        return self.begins.get(topic, 0), self.ends[topic]

    def read(self, topic: str, partition: int, start: int, stop: int) -> Iterator[list[Message]]:
        assert partition == self.partition
        if start < self.begins.get(topic, 0):
            msg = f"{topic}-{partition}: {start} must be retained"
            raise RetentionError(msg)
        found = [m for m in self.topics[topic] if start <= m.offset < stop]
        yield []
        for n in range(0, len(found), 3):
            yield found[n : n + 3]

    def append(
        self, topic: str, value: bytes | None, *, key: bytes | None = None, headers: object = ()
    ) -> Message:
        at = self.ends[topic]
        message = Message(topic, self.partition, at, key, value, headers, START_MS + 1000 * at)  # type: ignore[arg-type]  # tests pass pairs
        self.topics[topic].append(message)
        self.ends[topic] += 1
        return message

    def mark(self, topic: str) -> None:
        self.ends[topic] += 1

    def copy(self) -> ListLog:
        topics = {topic: list(messages) for topic, messages in self.topics.items()}
        return replace(self, topics=topics, ends=dict(self.ends), begins=dict(self.begins))

    def all(self) -> list[Message]:
        return [m for topic in TOPICS for m in self.topics[topic]]

    def put(self, message: Message) -> None:
        messages = self.topics[message.topic]
        at = next(n for n, m in enumerate(messages) if m.offset == message.offset)
        messages[at] = message

    def remove(self, message: Message) -> None:
        self.topics[message.topic].remove(message)

    def forget_before(self, topic: str, offset: int) -> None:
        self.begins[topic] = offset
        self.topics[topic] = [m for m in self.topics[topic] if m.offset >= offset]


class History:
    """Lets a learner apply batches and commits what it says."""

    def __init__(
        self, terms: Terms = TERMS, *, policy: Policy = POLICY, signing: SigningKey = KEY
    ) -> None:
        self.log = ListLog()
        self.positions = dict.fromkeys((EVENTS, UPDATES), 0)
        self._policy = policy
        self._signing = signing
        self.learner = self.open(terms)

    def open(self, terms: Terms, *, from_end: bool = False, redefines: bool = False) -> Learner:
        """Start a learner, as a worker does after each assignment."""
        factory = LearnerFactory(
            terms, self._signing, self._policy, from_end=from_end, redefines=redefines
        )
        committed = self.positions if self.log.topics[LEDGER] else {}
        opened = drained(factory.open(0, {t: committed.get(t) for t in self.positions}, self.log))
        assert isinstance(opened.task, Learner)
        self.positions = dict(opened.positions)
        self._write(opened.first_emits)
        self.learner = opened.task
        return self.learner

    def event(self, value: bytes | None, *, key: bytes = b"north/1") -> Message:
        headers = (("traceparent", b"00-1"),) if self.log.ends[EVENTS] % 4 == 0 else ()
        return self.log.append(EVENTS, value, key=key, headers=headers)

    def update(self, value: bytes | None) -> Message:
        return self.log.append(UPDATES, value, key=b"any")

    def commit(self, batches: Sequence[Sequence[Message]]) -> None:
        """Apply batches, each of one topic, and write all of it as one transaction."""
        emits: list[Emit] = []
        for batch in batches:
            emits += self.learner.process_batch(batch)
        for topic in self.positions:
            self.positions[topic] = self.log.ends[topic]
        self._write([*emits, *self.learner.seal(self.positions)])

    def _write(self, emits: Sequence[Emit]) -> None:
        for emit in emits:
            self.log.append(emit.topic, emit.value, key=emit.key, headers=emit.headers)
        for topic in dict.fromkeys(emit.topic for emit in emits):
            self.log.mark(topic)


def features(rng: random.Random) -> dict[str, float | None]:
    x: dict[str, float | None] = {
        "vibration": rng.uniform(0, 50),
        "temperature": rng.gauss(60, 9),
        "flow": rng.random(),
    }
    if rng.random() < 0.1:
        x["flow"] = None
    if rng.random() < 0.1:
        x["temperature"] = 5000.0
    return x


def some_event(history: History, number: int, rng: random.Random) -> Message:
    if rng.random() < 0.1:
        return history.event(rng.choice([None, b"", b"\x00\x00\x00\x00\x07what", b"\x01junk"]))
    y = None if rng.random() < 0.2 else rng.gauss(3, 1)
    return history.event(event_value(rng.choice(ASSETS), number, features(rng), y))


def some_update(history: History, number: int, rng: random.Random) -> Message:
    x = {"vibration": rng.random(), "temperature": rng.gauss(60, 9), "flow": rng.random()}
    asset, dice = rng.choice(ASSETS), rng.random()
    if dice < 0.1:
        return history.update(b"no update")
    if dice < 0.2:
        return history.update(update_value(asset, number, x, 1.0, kind="FAULT"))
    if dice < 0.3:
        return history.update(update_value(asset, number, x, 1.0, kind="PROMOTE"))
    cause = number if dice < 0.8 else max(0, number - 3)
    model = rng.choice([None, None, "pump/champion", "pump/plain"])
    return history.update(update_value(asset, cause, x, rng.gauss(3, 1), model=model))


def make_history(seed: int, *, entries: int = 9, terms: Terms = TERMS) -> ListLog:
    """Return the topics after some transactions of events and updates, interleaved."""
    rng = random.Random(seed)
    history = History(terms)
    number = 0
    for n in range(entries):
        if n == entries // 2:
            history.open(terms)
        batches = []
        for _ in range(rng.randint(0, 3)):
            make = rng.choice([some_event, some_event, some_update])
            size = rng.randint(1, 5)
            batches.append([make(history, number + i, rng) for i in range(size)])
            number += size
        if rng.random() < 0.3:
            history.log.mark(EVENTS)
        history.commit(batches)
    return history.log


def with_flipped_bit(log: ListLog, message: Message, bit: int) -> ListLog:
    """Return the topics with one bit of one value flipped."""
    value = bytearray(message.value or b"")
    byte, place = divmod(bit % (8 * len(value)), 8)
    value[byte] ^= 1 << place
    altered = log.copy()
    altered.put(message._replace(value=bytes(value)))
    return altered


__all__ = ["LINEAR", "History", "ListLog", "make_history", "with_flipped_bit"]

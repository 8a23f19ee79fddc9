"""One partition of the feedback processor: each feedback judged once, in order."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from tidemill.contracts.feedback_form import OF_ALARMS, SEND_AGAIN
from tidemill.contracts.topics import DECISIONS, FEEDBACK, UPDATES
from tidemill.fold.plans import plan_stream
from tidemill.kernel.deadletters import dead_letter
from tidemill.kernel.deciding import Handled, Noted
from tidemill.kernel.errors import DeadLetterReason, InvalidRecordError
from tidemill.kernel.records import Emit, trace_headers
from tidemill.processors.feedback.book import Book
from tidemill.processors.feedback.context import Context
from tidemill.processors.feedback.decision import decision_of, decode_decision, key_of
from tidemill.processors.feedback.doubting import alarm_of
from tidemill.processors.feedback.judging import judge
from tidemill.processors.feedback.saying import read_said
from tidemill.processors.feedback.trust import Limits, is_too_fast
from tidemill.processors.feedback.writing import REFUSED, Ruling, emits_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from tidemill.contracts.definition import PlantDefinition
    from tidemill.kernel.records import Message
    from tidemill.processors.feedback.cases import Cases
    from tidemill.processors.feedback.decision import Decision
    from tidemill.processors.feedback.saying import Said

PROCESSOR = "feedback"
# An entry holds all it causes; with its key and headers it fits what Kafka takes unless told else.
LARGEST_ENTRY = 1_000_000
MOST_TRACED = 8_192
TOO_LARGE = (
    f"what is remembered of a feedback must have at most {LARGEST_ENTRY} bytes, would have {{}}: "
    "the prediction it is about is too large to be corrected or voted on"
)


class Feedback:
    """One partition; see `tidemill.kernel.deciding.Decider`.

    Args:
        partition: The partition of all its topics.
        definition: The plant.
        cases: Finds what feedback is about.
        limits: What people may do.
    """

    def __init__(
        self, partition: int, definition: PlantDefinition, cases: Cases, limits: Limits
    ) -> None:
        self._partition = partition
        self._limits = limits
        self._book = Book(
            keep_ms=limits.keep_ms,
            most=limits.per_asset,
            refused=limits.refused,
            quarantine_ms=limits.quarantine_ms,
        )
        self._context = Context(
            self._book,
            cases,
            limits,
            {stream.name: stream for stream in definition.streams},
            {stream.name: plan_stream(stream).task for stream in definition.streams},
        )

    def __len__(self) -> int:
        return len(self._book)

    @property
    def reached(self) -> Mapping[str, int]:
        """The last offset that a decision is remembered of; see `Decider`."""
        return {FEEDBACK: max((decision.offset for decision in self._book), default=0)}

    def decide(self, message: Message) -> Handled:
        """Return what becomes of a record; see `tidemill.kernel.deciding.Decider`."""
        came_ms = max(message.timestamp_ms, self._book.time_ms)
        try:
            said = read_said(message._replace(timestamp_ms=came_ms))
            if said.kind in OF_ALARMS:
                return Handled([])  # the alerts processor's
            digest = hashlib.sha256(message.value or b"").hexdigest()
            before = self._book.get(said.feedback_id)
            if before is not None:
                return self._repeated(message, before, digest)
        except InvalidRecordError as error:
            return Handled([dead_letter(message, error, PROCESSOR)])
        if is_too_fast(self._book, said, self._limits):
            return self._too_fast(message, said)
        return self._decided(message, said, digest)

    def note(self, messages: Sequence[Message]) -> Noted:
        """Take note of nothing: each feedback is decided."""
        del messages
        return Noted(0)

    def _decided(self, message: Message, said: Said, digest: str) -> Handled:
        ruling = judge(self._context, said)
        emits, decision, entry = _entered(said, digest, ruling)
        if len(entry) > LARGEST_ENTRY:
            ruling = Ruling(REFUSED, TOO_LARGE.format(len(entry)))
            emits, decision, entry = _entered(said, digest, ruling)
        return Handled(
            _traced(emits, message),
            key_of(self._partition, said.feedback_id),
            entry,
            self._forgotten(decision),
            alarm=alarm_of(decision, self._limits),
        )

    def _repeated(self, message: Message, before: Decision, digest: str) -> Handled:
        """Return what the first record of a feedback caused; of a copy of it only the receipts."""
        if before.digest != digest:
            msg = (
                f"feedback_id must be new, {before.feedback_id!r} is that of another feedback at "
                f"{FEEDBACK}-{self._partition}@{before.offset}"
            )
            raise InvalidRecordError(DeadLetterReason.CONTRACT, msg)
        is_same = before.offset == message.offset
        emits = [
            Emit(topic, self._partition, key, value)
            for topic, key, value in before.emits
            if is_same or topic != UPDATES
        ]
        return Handled(
            _traced(emits, message),
            key_of(self._partition, before.feedback_id),
            forgotten=self._forgotten(before) if is_same else (),
            is_repeated=True,
            alarm=alarm_of(before, self._limits) if is_same else "",
        )

    def _too_fast(self, message: Message, said: Said) -> Handled:
        """Return a refusal that is not remembered: a flood would drive out what is."""
        reason = (
            f"{said.actor} must send at most {self._limits.per_minute} feedback in a minute, this "
            f"is one more; {SEND_AGAIN}"
        )
        return Handled(_traced(emits_of(said, Ruling(REFUSED, reason)), message))

    def _forgotten(self, decision: Decision) -> list[bytes]:
        return [key_of(self._partition, name) for name in self._book.expired(decision)]

    def keep(self, handled: Handled) -> None:
        """Take note of a decision that is remembered."""
        if not handled.is_repeated:
            self._book.keep(decode_decision(handled.value))
        self._book.forget(key.decode().partition("|")[2] for key in handled.forgotten)

    def process_batch(self, records: Sequence[Message]) -> list[Emit]:
        """Decide records in order; see `tidemill.kernel.processor.Processor`."""
        emits: list[Emit] = []
        for record in records:
            handled = self.decide(record)
            if handled.key is not None:
                self.keep(handled)
            emits += handled.emits
        return emits

    def snapshot(self) -> bytes:
        """Return all decisions."""
        return json.dumps([decision.encode().decode() for decision in self._book]).encode()

    def restore(self, state: bytes) -> None:
        """Become what `snapshot` returned."""
        self._book.forget([decision.feedback_id for decision in self._book])
        self.load(text.encode() for text in json.loads(state))

    def load(self, remembered: Iterable[bytes]) -> None:
        """Take decisions, in any order."""
        found = [decode_decision(value) for value in remembered]
        for decision in sorted(found, key=lambda each: each.offset):
            self._book.keep(decision)


def _entered(said: Said, digest: str, ruling: Ruling) -> tuple[list[Emit], Decision, bytes]:
    """Return what a ruling causes, the decision, and the entry by which it is remembered."""
    emits = emits_of(said, ruling)
    caused = tuple((emit.topic, emit.key, emit.value) for emit in emits)
    known = {**ruling.known, "emits": caused}
    decision = decision_of(said, digest, ruling.status, **known)
    return emits, decision, decision.encode()


def _traced(emits: Sequence[Emit], message: Message) -> list[Emit]:
    headers = trace_headers(message.headers)
    if sum(len(value) for _, value in headers) > MOST_TRACED:
        return list(emits)
    return [emit._replace(headers=headers) for emit in emits] if headers else list(emits)


class FeedbackFactory:
    """Opens partitions of the feedback processor; see `tidemill.kernel.deciding.DeciderFactory`.

    Args:
        definition: The plant.
        cases: Finds what feedback is about.
        limits: What people may do.
    """

    name = PROCESSOR
    inputs: tuple[str, ...] = (FEEDBACK,)
    from_end: frozenset[str] = frozenset()
    batched: frozenset[str] = frozenset()
    clock = ""
    table = DECISIONS

    def __init__(
        self, definition: PlantDefinition, cases: Cases, limits: Limits | None = None
    ) -> None:
        self._definition = definition
        self._cases = cases
        self._limits = limits or Limits()

    def valid(self, before: bytes, _: bytes) -> bytes:
        """Return the first decision: none is changed."""
        return before

    def open(self, partition: int, remembered: Mapping[bytes, bytes]) -> Feedback:
        """Return the decider of a partition whose decisions are these."""
        feedback = Feedback(partition, self._definition, self._cases, self._limits)
        feedback.load(remembered.values())
        return feedback

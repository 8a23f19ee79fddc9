"""The law-suite passes an honest processor and catches every planted law-breaker."""

from __future__ import annotations

import json
from itertools import count
from typing import TYPE_CHECKING

import pytest

from tidemill.kernel.deadletters import dead_letter
from tidemill.kernel.errors import DeadLetterReason, InvalidRecordError, InvariantError
from tidemill.kernel.records import Emit, Message
from tidemill.testing.laws import check_processor

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class RunningSum:
    """Emits the sum of the numbers so far; an honest processor to plant faults in."""

    def __init__(self) -> None:
        self.total = 0
        self.seen = 0

    def process_batch(self, records: Sequence[Message]) -> list[Emit]:
        return [self.process(record) for record in records]

    def process(self, record: Message) -> Emit:
        try:
            number = self.read(record)
        except InvalidRecordError as error:
            return dead_letter(record, error, "sum")
        self.total += number
        self.seen += 1
        return self.emit(record)

    def read(self, record: Message) -> int:
        value = (record.value or b"").decode()
        if value == "halt":
            msg = "the value must not be halt"
            raise InvariantError(msg)
        if not value.isdecimal():
            raise InvalidRecordError(DeadLetterReason.DOMAIN, f"must be a number, was {value}")
        return int(value)

    def emit(self, record: Message) -> Emit:
        text = f"{self.total} of {self.seen} at {record.offset}"
        return Emit("sums", record.partition, None, text.encode())

    def snapshot(self) -> bytes:
        return json.dumps([self.total, self.seen]).encode()

    def restore(self, state: bytes) -> None:
        self.total, self.seen = json.loads(state)


CALLS = count()


class HiddenCounter(RunningSum):
    """Counts in a global."""

    def emit(self, record: Message) -> Emit:
        return super().emit(record)._replace(key=str(next(CALLS)).encode())


class ForgetfulSnapshot(RunningSum):
    """Leaves a field out of its snapshot."""

    def snapshot(self) -> bytes:
        return json.dumps([self.total, 0]).encode()


class SnapshotThatResets(RunningSum):
    """Changes its state by taking a snapshot."""

    def snapshot(self) -> bytes:
        state = super().snapshot()
        self.seen = 0
        return state


class GrowingState(RunningSum):
    """Keeps every number."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers: list[int] = []

    def process(self, record: Message) -> Emit:
        emit = super().process(record)
        self.numbers.append(self.total)
        return emit

    def snapshot(self) -> bytes:
        return json.dumps([self.total, self.seen, self.numbers]).encode()

    def restore(self, state: bytes) -> None:
        self.total, self.seen, self.numbers = json.loads(state)


class MutatesBeforeItRaises(RunningSum):
    """Counts a record before it is known to be good."""

    def read(self, record: Message) -> int:
        self.seen += 1
        number = super().read(record)
        self.seen -= 1
        return number


class BatchTotals(RunningSum):
    """Emits what depends on where a batch ended."""

    def process_batch(self, records: Sequence[Message]) -> list[Emit]:
        emits = super().process_batch(records)
        return [emit._replace(value=emits[-1].value) for emit in emits]


class ClosesBatches(RunningSum):
    """Emits once more at the end of each long batch."""

    def process_batch(self, records: Sequence[Message]) -> list[Emit]:
        emits = super().process_batch(records)
        return [*emits, emits[-1]] if len(records) > 5 else emits


def stream(*values: str) -> list[Message]:
    return [Message("in", 0, 10 + n, None, value.encode()) for n, value in enumerate(values)]


PLAIN = stream("1", "2", "x", "3", "4", "5", "6")


def test_an_honest_processor_passes() -> None:
    check_processor(RunningSum, stream("1", "x", "2", "halt", "3", *"4567"), max_state_bytes=40)


def test_a_stream_of_one_record_and_of_none_pass() -> None:
    check_processor(RunningSum, stream("1"), max_state_bytes=40)
    check_processor(RunningSum, [], max_state_bytes=40)


@pytest.mark.parametrize(
    ("make", "law", "position"),
    [
        (HiddenCounter, "deterministic", "in-0@10"),
        (ForgetfulSnapshot, "recoverable", "in-0@11"),
        (SnapshotThatResets, "recoverable: after taking a snapshot", "in-0@11"),
        (GrowingState, "bounded", "in-0@16"),
        (MutatesBeforeItRaises, "atomic", "in-0@13"),
        (BatchTotals, "cut-invariant: in batches of 2", "in-0@10"),
        (ClosesBatches, "cut-invariant: in batches of 7", "in-0@16"),
    ],
)
def test_a_planted_law_breaker_is_caught_by_name_and_position(
    make: Callable[[], RunningSum], law: str, position: str
) -> None:
    with pytest.raises(AssertionError) as caught:
        check_processor(make, PLAIN, max_state_bytes=200)

    message = str(caught.value)
    assert message.startswith(law)
    assert position in message


def test_state_mutated_before_an_invariant_error_is_caught() -> None:
    with pytest.raises(AssertionError, match=r"atomic: as if in-0@11.*at in-0@12"):
        check_processor(MutatesBeforeItRaises, stream("1", "halt", "2"), max_state_bytes=200)


def test_both_values_are_named() -> None:
    with pytest.raises(AssertionError, match=r"must be .*3 of 2 at 11.*were .*3 of 1 at 11"):
        check_processor(ForgetfulSnapshot, PLAIN, max_state_bytes=200)

"""Planned faults of the in-memory cluster: an error or a crash at the n-th call from now."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Literal

from tidemill.runtime.clients import KafkaError, KafkaException

if TYPE_CHECKING:
    from tidemill.testing.processes import Process


class Crash(BaseException):
    """The process died inside a call; whoever catches it drops the worker without closing it."""


class Operation(StrEnum):
    """Where a fault may strike; those that end in `done` strike after the call took effect."""

    INIT = "init"
    BEGIN = "begin"
    PRODUCE = "produce"
    FLUSH = "flush"
    FLUSH_DONE = "flush done"
    SEND_OFFSETS = "send_offsets"
    SEND_OFFSETS_DONE = "send_offsets done"
    COMMIT = "commit"
    COMMIT_DONE = "commit done"
    ABORT = "abort"
    ABORT_DONE = "abort done"
    CONSUME = "consume"
    COMMITTED = "committed"
    ANY = "any"


Fault = KafkaError | Literal["crash"]


def timed_out() -> KafkaError:
    """Return the error of a call that did not end in time and may be repeated."""
    code = KafkaError._TIMED_OUT
    return KafkaError(code, "planned: timed out", retriable=True)


def abortable(code: int = KafkaError.UNKNOWN_PRODUCER_ID) -> KafkaError:
    """Return an error after which the transaction can only be aborted."""
    return KafkaError(code, "planned: abort", txn_requires_abort=True)


def fatal() -> KafkaError:
    """Return the error of a producer that another one with its id has fenced."""
    code = KafkaError._FENCED
    return KafkaError(code, "another producer took the transactional id over", fatal=True)


@dataclass(slots=True, eq=False)
class Planned:
    """One fault; strikes when `after` more calls have passed, `times` times in a row."""

    operation: Operation
    fault: Fault
    after: int
    times: int
    process: Process | None


class Faults:
    """The plan, and how often each operation was called.

    Attributes:
        calls: Calls so far by operation; `Operation.ANY` counts them all.
    """

    def __init__(self) -> None:
        self.calls: Counter[Operation] = Counter()
        self._plan: list[Planned] = []

    def add(self, planned: Planned) -> None:
        """Plan a fault."""
        self._plan.append(planned)

    def clear(self) -> None:
        """Forget what has not struck yet."""
        self._plan.clear()

    @property
    def pending(self) -> int:
        """How many planned faults have not struck yet."""
        return len(self._plan)

    def strike(self, operation: Operation, process: Process, *, wait_s: float = 0.0) -> None:
        """Note a call; raise what is planned for it.

        Raises:
            Crash: The process is dead, or dies now.
            KafkaException: As planned; a time-out passes `wait_s` seconds first.
        """
        if not process.is_alive:
            raise Crash
        self.calls[operation] += 1
        self.calls[Operation.ANY] += 1
        fault = self._due(operation, process)
        if fault is None:
            return
        if isinstance(fault, str):  # a KafkaError cannot be compared with one
            process.kill()
            raise Crash
        if fault.code() == KafkaError._TIMED_OUT:
            process.wait(wait_s)
        raise KafkaException(fault)

    def _due(self, operation: Operation, process: Process) -> Fault | None:
        for planned in self._plan:
            if planned.operation not in {operation, Operation.ANY}:
                continue
            if planned.process not in {None, process}:
                continue
            if planned.after > 0:
                planned.after -= 1
                continue
            planned.times -= 1
            if planned.times <= 0:
                self._plan.remove(planned)
            return planned.fault
        return None

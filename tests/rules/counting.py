"""A small processor for the runtime's tests: a running sum per partition, on topics of its own."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tidemill.kernel.deadletters import dead_letter
from tidemill.kernel.errors import DeadLetterReason, InvalidRecordError
from tidemill.kernel.processor import Opened
from tidemill.kernel.records import Emit

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

    from tidemill.kernel.processor import Log
    from tidemill.kernel.records import Message


class Counting:
    """Emits the running sum after each number; the sum is the state."""

    def __init__(self, output: str, partition: int, total: int) -> None:
        self.total = total
        self._output = output
        self._partition = partition

    def process_batch(self, records: Sequence[Message]) -> list[Emit]:
        emits = []
        for record in records:
            if record.value == b"poison":
                error = InvalidRecordError(DeadLetterReason.UNDECODABLE, "poison")
                emits.append(dead_letter(record, error, "counting"))
                continue
            self.total += int(record.value or b"0")
            value = json.dumps({"topic": record.topic, "offset": record.offset, "sum": self.total})
            emits.append(Emit(self._output, self._partition, record.key, value.encode()))
        return emits

    def seal(self, positions: Mapping[str, int]) -> list[Emit]:
        return []


class CountingFactory:
    """Rebuilds the sum from the last committed output.

    Args:
        name: Prefix of its topics: `<name>.events`, `<name>.updates`, `<name>.sums`.
        breaths: How often a restore yields before it ends, by partition; None never ends.
    """

    def __init__(self, name: str, breaths: Mapping[int, int | None] | None = None) -> None:
        self.name = name
        self.inputs: tuple[str, ...] = (f"{name}.updates", f"{name}.events")
        self.outputs: tuple[str, ...] = (f"{name}.sums",)
        self.opened: list[int] = []
        self.smaller = 0
        self._breaths = dict(breaths or {})

    def open(
        self, partition: int, committed: Mapping[str, int | None], log: Log
    ) -> Generator[None, None, Opened]:
        self.opened.append(partition)
        left = self._breaths.get(partition, 0)
        while left is None or left > 0:
            left = None if left is None else left - 1
            yield
        output = self.outputs[0]
        last = None
        for messages in log.read(output, partition, *log.span(output, partition)):
            last = messages[-1] if messages else last
            yield
        total = json.loads(last.value or b"")["sum"] if last is not None else 0
        positions = {
            topic: offset if offset is not None else log.span(topic, partition)[0]
            for topic, offset in committed.items()
        }
        return Opened(Counting(output, partition, total), positions)

    def write_smaller(self) -> None:
        self.smaller += 1

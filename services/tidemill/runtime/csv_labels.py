"""Labels from a column of a CSV: delayed, some missing, in the order of their event time."""

from __future__ import annotations

import heapq
from collections import defaultdict, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from tidemill.contracts.targets import LabelTarget
from tidemill.contracts.topics import EVENTS, LABELS
from tidemill.kernel.errors import ConfigError
from tidemill.runtime.csv_values import label_value

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable, Iterator, Mapping

    from tidemill.contracts.stream import StreamDefinition
    from tidemill.runtime.csv_events import CsvEvent
    from tidemill.runtime.csv_table import Table


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelPlan:
    """Which column holds the labels, and how late and how seldom they come.

    Attributes:
        column: Of the CSV; an empty cell is no label.
        delay: Events of the same asset (int) or seconds of event time (float) after the event.
        missing: Share of labels that never come, drawn per row.
    """

    column: str
    delay: int | float = 0.0
    missing: float = 0.0


class CsvLabel(NamedTuple):
    """One label, due at `time_us` of event time."""

    time_us: int
    order: int
    event_id: str
    asset: str
    value: bool | float | str

    def record(self) -> dict[str, object]:
        """Return the `Label` to send."""
        return {
            "event_id": self.event_id,
            "asset": self.asset,
            "value": self.value,
            "revision": 0,
            "time": self.time_us,
            "source": "csv",
            "selection": None,
        }


class Outgoing(NamedTuple):
    """One record to send."""

    topic: str
    key: str
    record: Mapping[str, object]


def interleaved(events: Iterable[CsvEvent], labels: Labels | None) -> Iterator[Outgoing]:
    """Yield events in the order of the file and, between them, labels when they are due."""
    for event in events:
        for label in labels.before(event.time_us) if labels else ():
            yield Outgoing(LABELS, label.asset, label.record())
        yield Outgoing(EVENTS, event.asset, event.values)
        for label in labels.after(event) if labels else ():
            yield Outgoing(LABELS, label.asset, label.record())
    for label in labels.rest() if labels else ():
        yield Outgoing(LABELS, label.asset, label.record())


class Labels:
    """Holds labels back until they are due.

    With `join: [asset, time]` a label names its event by that time, so it carries the event's
    time, however late it is sent.
    """

    def __init__(
        self, plan: LabelPlan, stream: StreamDefinition, table: Table, chance: random.Random
    ) -> None:
        self._plan, self._chance = plan, chance
        self._target, self._place = _target_and_place(plan, stream, table)
        self._joined = self._target.join is not None
        self._due: list[tuple[int, int, CsvLabel]] = []
        self._waiting: defaultdict[str, deque[CsvLabel]] = defaultdict(deque)
        self._last_us: dict[str, int] = {}
        self._count = 0

    def check(self, event: CsvEvent) -> None:
        """Raise `ValueError` unless the event's label can be read."""
        if event.cells[self._place].strip():
            label_value(event.cells[self._place], self._target)

    def before(self, time_us: int) -> Iterator[CsvLabel]:
        """Yield what is due before an event at `time_us`, earliest first."""
        while self._due and self._due[0][0] < time_us:
            yield heapq.heappop(self._due)[2]

    def after(self, event: CsvEvent) -> Iterator[CsvLabel]:
        """Take in a sent event; yield the label it was waited for, if any."""
        waiting = self._waiting[event.asset]
        self._last_us[event.asset] = event.time_us
        cell = event.cells[self._place]
        is_missing = self._chance.random() < self._plan.missing
        label = None if is_missing or not cell.strip() else self._label(event, cell)
        if isinstance(self._plan.delay, int):
            waiting.append(label or CsvLabel(event.time_us, -1, "", event.asset, value=False))
            if len(waiting) > self._plan.delay and (due := waiting.popleft()).order >= 0:
                yield self._at(due, event.time_us)
        elif label is not None:
            due_us = event.time_us + round(self._plan.delay * 1e6)
            heapq.heappush(self._due, (due_us, label.order, self._at(label, due_us)))

    def rest(self) -> Iterator[CsvLabel]:
        """Yield what is still held back when the file has ended, earliest first."""
        while self._due:
            yield heapq.heappop(self._due)[2]
        late = [
            self._at(label, self._last_us[asset])
            for asset, waiting in self._waiting.items()
            for label in waiting
            if label.order >= 0
        ]
        yield from sorted(late, key=lambda label: (label.time_us, label.order))

    def _label(self, event: CsvEvent, cell: str) -> CsvLabel:
        self._count += 1
        value = label_value(cell, self._target)
        return CsvLabel(event.time_us, self._count, event.event_id or "", event.asset, value)

    def _at(self, label: CsvLabel, time_us: int) -> CsvLabel:
        return label if self._joined else label._replace(time_us=time_us)


def _target_and_place(
    plan: LabelPlan, stream: StreamDefinition, table: Table
) -> tuple[LabelTarget, int]:
    problems = []
    if not isinstance(stream.target, LabelTarget):
        problems.append(f"--label: requires streams.{stream.name}.target.label, has another target")
    if plan.column not in table.columns:
        known = ", ".join(table.columns)
        problems.append(f"--label: must be a column ({known}), was {plan.column}")
    if not 0.0 <= plan.missing < 1.0:
        problems.append(f"--label-missing: must be in [0, 1), was {plan.missing}")
    if problems or not isinstance(stream.target, LabelTarget):
        raise ConfigError(problems)
    return stream.target, table.columns.index(plan.column)

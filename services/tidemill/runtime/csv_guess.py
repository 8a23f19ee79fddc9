"""An Avro record and what else a CSV shows, guessed from all of its rows."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tidemill.contracts.draft import ASSET_NAMES, Seen
from tidemill.runtime.csv_table import avro_name
from tidemill.runtime.csv_values import parse_ticks

if TYPE_CHECKING:
    from collections.abc import Callable

    from tidemill.contracts.codec import JsonSchema
    from tidemill.runtime.csv_table import Table

_FEW = 50
_TIME_WORDS = ("time", "date", "timestamp", "ts")
_LONG = 1 << 63
# Seconds, milliseconds, microseconds, nanoseconds of about 1990 to 2100.
_EPOCHS = (("s", 6e8, 4.2e9), ("ms", 6e11, 4.2e12), ("us", 6e14, 4.2e15), ("ns", 6e17, 4.2e18))


@dataclass(slots=True)
class _Column:
    """What is known of one column after the rows read so far."""

    name: str
    rows: int = 0
    empty: int = 0
    whole: bool = True
    number: bool = True
    truth: bool = True
    time: bool = True
    low: float = math.inf
    high: float = -math.inf
    values: set[str] = field(default_factory=set)

    def see(self, cell: str) -> None:
        text = cell.strip()
        self.rows += 1
        if not text:
            self.empty += 1
            return
        if len(self.values) <= _FEW:
            self.values.add(text)
        self.truth = self.truth and text.lower() in ("true", "false")
        if self.number:
            self._see_number(text)
        if self.time and not self.number:
            self.time = _is_time(text)

    def _see_number(self, text: str) -> None:
        try:
            number = float(text)
        except ValueError:
            self.number = self.whole = False
            return
        if math.isfinite(number):
            self.low, self.high = min(self.low, number), max(self.high, number)
        self.whole = self.whole and math.isfinite(number) and number == int(number)

    @property
    def is_empty(self) -> bool:
        return self.empty == self.rows

    @property
    def epoch_unit(self) -> str | None:
        """The unit of a column of whole numbers that bears a time's name and reads as one."""
        words = self.name.lower().split("_")
        if not (self.number and self.whole and any(word in words for word in _TIME_WORDS)):
            return None
        return next((u for u, low, high in _EPOCHS if low <= self.low <= self.high < high), None)

    @property
    def is_iso_time(self) -> bool:
        return self.time and not self.number and not self.truth

    @property
    def avro(self) -> str:
        if self.truth:
            return "boolean"
        if not self.number:
            return "string"
        return "long" if self.whole and max(-self.low, self.high) < _LONG else "double"

    @property
    def range(self) -> tuple[float, float] | None:
        """The values seen with once their span on either side; None for a constant."""
        span = self.high - self.low
        if not (self.number and 0 < span < math.inf):
            return None
        low = _rounded(self.low - span, math.floor)
        return (0.0 if self.low >= 0 > low else low), _rounded(self.high + span, math.ceil)

    @property
    def classes(self) -> list[bool | int | str] | None:
        if len(self.values) > _FEW or (self.number and not self.whole):
            return None
        if self.truth:
            return [False, True]
        found = {int(float(v)) for v in self.values} if self.number else self.values
        return sorted(found, key=str)


def guess_record(table: Table, event: str) -> tuple[JsonSchema, Seen]:
    """Return a record for the table's rows, and what the rows show beside their types.

    Where no column looks like the asset or the time, the record gets fields for them, which
    `produce` fills by `--asset` and `--start`.
    """
    columns = [_Column(name) for name in _field_names(table.columns)]
    for _, cells in table.rows():
        for column, cell in zip(columns, cells, strict=True):
            column.see(cell)
    filled = [column for column in columns if not column.is_empty]
    time = next((c for c in filled if c.is_iso_time or c.epoch_unit), None)
    fields = [_field(column, column is time) for column in filled]
    names = {column.name.lower() for column in filled}
    if time is None:
        fields.insert(0, {"name": "event_time", "type": _timestamp("micros")})
    if not any(c.avro == "string" and c is not time and _is_asset(c) for c in filled):
        free = "asset" if "asset" not in names else "plant_asset"
        fields.insert(0, {"name": free, "type": "string"})
    namespace, _, name = event.rpartition(".")
    record = {"type": "record", "name": name, "namespace": namespace, "fields": fields}
    unit = time.epoch_unit if time else None
    return record, Seen(
        ranges={c.name: r for c in filled if c is not time and (r := c.range) is not None},
        classes={c.name: v for c in filled if c is not time and (v := c.classes) is not None},
        unit=unit if unit in ("s", "ns") else None,
    )


def _field_names(columns: tuple[str, ...]) -> list[str]:
    names: list[str] = []
    for place, column in enumerate(columns, 1):
        name = avro_name(column)
        names.append(f"{name}_{place}" if name in names else name)
    return names


def _field(column: _Column, is_time: bool) -> JsonSchema:
    if is_time and column.epoch_unit in ("s", "ns"):
        return {"name": column.name, "type": "long"}
    if is_time:
        unit = "millis" if column.epoch_unit == "ms" else "micros"
        return {"name": column.name, "type": _timestamp(unit)}
    if _is_asset(column) and column.avro == "string":
        return {"name": column.name, "type": "string"}
    return {"name": column.name, "type": ["null", column.avro], "default": None}


def _is_asset(column: _Column) -> bool:
    return column.name.lower() in ASSET_NAMES


def _timestamp(unit: str) -> JsonSchema:
    return {"type": "long", "logicalType": f"timestamp-{unit}"}


def _is_time(text: str) -> bool:
    try:
        parse_ticks(text, "us")
    except ValueError:
        return False
    return True


def _rounded(value: float, towards: Callable[[float], int]) -> float:
    if value == 0:
        return 0.0
    scale = 10.0 ** (math.floor(math.log10(abs(value))) - 2)
    return float(towards(value / scale)) * scale

"""Rows of a CSV as sensor events of one stream."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from tidemill.contracts.avro import (
    field_of,
    kind_of,
    logical_type,
    with_types_in_place,
    without_null,
)
from tidemill.kernel.errors import ConfigError
from tidemill.runtime.csv_table import avro_name
from tidemill.runtime.csv_values import Cell, micros_of, parse_ticks, parser_for, ticks_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from tidemill.contracts.codec import JsonSchema
    from tidemill.contracts.stream import StreamDefinition
    from tidemill.runtime.csv_table import Table

_SHOWN_PROBLEMS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Filling:
    """Where the fields come from when the columns' names do not say it.

    Attributes:
        renames: Column to field.
        asset: A column, or the asset itself.
        time: The column of event time.
        start: First event time where it is synthesised: ISO 8601 or a number in the field's unit.
        step_s: Seconds from one synthesised event to the next.
    """

    renames: Mapping[str, str]
    asset: str | None = None
    time: str | None = None
    start: str | None = None
    step_s: float = 1.0


class CsvEvent(NamedTuple):
    """One event: what the record holds, and the row it came from."""

    asset: str
    time_us: int
    event_id: str | None
    values: dict[str, Cell | None]
    line: int
    cells: Sequence[str]


class _Column(NamedTuple):
    field: str
    place: int
    parse: Callable[[str], Cell]
    nullable: bool
    has_default: bool


class CsvEvents:
    """The events of one file; iterating again reads it again.

    `notes` says what an operator should know although nothing is wrong.
    """

    def __init__(
        self, stream: StreamDefinition, record: JsonSchema, table: Table, filling: Filling
    ) -> None:
        self._stream, self._table = stream, table
        self._record = with_types_in_place(record)
        self._filling = filling
        self._fields: dict[str, JsonSchema] = {
            field["name"]: field for field in self._record["fields"]
        }
        self._asset_field = self._own_name(stream.asset)
        self._time_field = self._own_name(stream.time.field)
        self._id_field = None if stream.id is None else self._own_name(stream.id)
        self.notes: list[str] = []
        self._problems: list[str] = []
        self._places = self._placed()
        self._unit = self._time_unit()
        self._start_us = self._synthesised()
        self._columns = self._parsers()
        self._check_ends()
        if self._problems:
            raise ConfigError(self._problems)

    def _own_name(self, name: str) -> str:
        field = field_of(self._record, name)
        if field is None:
            raise ConfigError([f"{name}: must be a field of {self._record['name']}"])
        return str(field["name"])

    def check(self, also: Callable[[CsvEvent], None] | None = None) -> int:
        """Return the number of rows, all of them readable, and `also` content with each.

        Raises:
            ConfigError: With the first problems, each with its line.
        """
        problems: list[str] = []
        count = 0
        for count, (line, cells) in enumerate(self._table.rows(), 1):
            try:
                event = self._event(count - 1, line, cells)
                if also is not None:
                    also(event)
            except ValueError as error:
                problems.append(f"{self._table.path} line {line}: {error}")
            if len(problems) == _SHOWN_PROBLEMS:
                problems.append("and perhaps more: nothing was sent")
                break
        if problems:
            raise ConfigError(problems)
        return count

    def __iter__(self) -> Iterator[CsvEvent]:
        """Yield the events in the order of the file; call `check` first."""
        for row, (line, cells) in enumerate(self._table.rows()):
            yield self._event(row, line, cells)

    def _event(self, row: int, line: int, cells: Sequence[str]) -> CsvEvent:
        values: dict[str, Cell | None] = {}
        for column in self._columns:
            cell = cells[column.place]
            if cell.strip() or (not column.nullable and column.parse is str):
                values[column.field] = _parsed(column, cell)
            elif column.nullable:
                values[column.field] = None
            elif not column.has_default:
                msg = f"{column.field} must have a value, was empty and may not be null"
                raise ValueError(msg)
        asset = self._asset(cells)
        ticks = self._ticks(row, cells)
        values |= {self._asset_field: asset, self._time_field: ticks}
        event_id = self._event_id(row, values)
        return CsvEvent(asset, micros_of(ticks, self._unit), event_id, values, line, cells)

    def _asset(self, cells: Sequence[str]) -> str:
        place = self._places.get(self._asset_field)
        asset = str(self._filling.asset) if place is None else cells[place].strip()
        if not asset:
            msg = f"{self._asset_field} must name the asset, was empty"
            raise ValueError(msg)
        return asset

    def _ticks(self, row: int, cells: Sequence[str]) -> int:
        if self._start_us is not None:
            return ticks_of(self._start_us + round(row * self._filling.step_s * 1e6), self._unit)
        try:
            return parse_ticks(cells[self._places[self._time_field]], self._unit)
        except ValueError as error:
            msg = f"{self._time_field} {error}"
            raise ValueError(msg) from error

    def _event_id(self, row: int, values: dict[str, Cell | None]) -> str | None:
        field = self._id_field
        if field is None:
            return None
        if field not in self._places:
            is_text = kind_of(without_null(self._fields[field]["type"])) == "string"
            values[field] = f"{self._table.path.stem}-{row + 1}" if is_text else row + 1
        found = values.get(field)
        if found is None or found == "":
            msg = f"{field} must be the event's id, was empty"
            raise ValueError(msg)
        return str(found)

    def _placed(self) -> dict[str, int]:
        """Return the column of each field that has one."""
        columns = {name: place for place, name in enumerate(self._table.columns)}
        targets = dict(self._filling.renames)
        if self._filling.time is not None:
            targets[self._filling.time] = self._time_field
        if self._filling.asset in columns:
            targets[str(self._filling.asset)] = self._asset_field
        for column, field in targets.items():
            self._check_rename(column, field)
        placed = {field: columns[c] for c, field in targets.items() if c in columns}
        free = {name: place for name, place in columns.items() if name not in targets}
        plain = {avro_name(name): place for name, place in reversed(free.items())}
        for name, field in self._fields.items():
            names = (name, *field.get("aliases", ()))
            found = next((free[n] for n in names if n in free), plain.get(name))
            if name not in placed and found is not None:
                placed[name] = found
        if self._filling.asset is not None and self._filling.asset not in columns:
            placed.pop(self._asset_field, None)
        return placed

    def _check_rename(self, column: str, field: str) -> None:
        if column not in self._table.columns:
            known = ", ".join(self._table.columns)
            self._problems.append(f"{column}: must be a column of {self._table.path} ({known})")
        if field not in self._fields:
            close = difflib.get_close_matches(field, self._fields, n=1)
            hint = f", did you mean {close[0]}?" if close else ""
            self._problems.append(f"--map {column}={field}: must be a field of the record{hint}")

    def _time_unit(self) -> str:
        logical = logical_type(without_null(self._fields[self._time_field]["type"]))
        return self._stream.time.unit or ("ms" if logical == "timestamp-millis" else "us")

    def _synthesised(self) -> int | None:
        if self._filling.start is None:
            return None
        if self._filling.time is not None:
            self._problems.append("--start: excludes --time, was both")
        try:
            return micros_of(parse_ticks(self._filling.start, self._unit), self._unit)
        except ValueError as error:
            self._problems.append(f"--start: {error}")
            return None

    def _parsers(self) -> list[_Column]:
        own = {self._asset_field, self._time_field}
        columns = []
        for name, field in self._fields.items():
            schema, has_default = field["type"], "default" in field
            nullable = isinstance(schema, list) and "null" in schema
            parse = parser_for(schema)
            place = self._places.get(name)
            if name in own or (name == self._id_field and place is None):
                continue
            if place is not None and parse is not None:
                columns.append(_Column(name, place, parse, nullable, has_default))
            elif not has_default and not nullable:
                self._problems.append(f"{name}: must have a column (--map column={name}), has none")
        return columns

    def _check_ends(self) -> None:
        found = ", ".join(self._table.columns)
        if self._asset_field not in self._places and not self._filling.asset:
            reason = f"must be given, no column is {self._asset_field} ({found})"
            self._problems.append(f"--asset: {reason}")
        if self._time_field not in self._places and self._filling.start is None:
            reason = f"or --start must be given, no column is {self._time_field} ({found})"
            self._problems.append(f"--time: {reason}")
        if self._id_field is not None and self._id_field not in self._places:
            self.notes.append(f"{self._id_field}: no such column, ids are made from file and row")
        features = {f.name: field_of(self._record, f.name) for f in self._stream.sensors}
        absent = [
            name
            for name, field in features.items()
            if field is None or field["name"] not in self._places
        ]
        if len(absent) == len(features):
            self._problems.append(f"features: at least one must have a column, was ({found})")
        elif absent:
            self.notes.append(f"features without a column stay empty: {', '.join(absent)}")


def _parsed(column: _Column, cell: str) -> Cell:
    try:
        return column.parse(cell)
    except ValueError as error:
        msg = f"{column.field} {error}"
        raise ValueError(msg) from error

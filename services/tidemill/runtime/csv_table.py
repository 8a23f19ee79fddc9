"""A CSV as plants have them: any delimiter, a byte-order mark, no header, or lying on its side."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from tidemill.kernel.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

WHITE_SPACE = " "
_CANDIDATES = (";", "\t", ",", "|")
_SPELLED = {"tab": "\t", "\\t": "\t", "space": WHITE_SPACE, "comma": ",", "semicolon": ";"}
_SNIFFED_LINES = 25


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """What the file does not say itself.

    Attributes:
        delimiter: One character; a space stands for any white space; None lets the file decide.
        columns: Names for a file without a header.
        transpose: The file has one column per line.
    """

    delimiter: str | None = None
    columns: tuple[str, ...] | None = None
    transpose: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """A readable CSV: `columns` are unique, `rows` may be called again."""

    path: Path
    columns: tuple[str, ...]
    layout: Layout

    def rows(self) -> Iterator[tuple[int, Sequence[str]]]:
        """Yield line number (from 1) and as many cells as there are columns.

        Raises:
            ConfigError: A line has another number of cells.
        """
        skipped = 0 if self.layout.columns else 1
        for line, cells in islice(_cells(self.path, self.layout), skipped, None):
            if len(cells) != len(self.columns):
                reason = f"must have {len(self.columns)} values, was {len(cells)}"
                raise ConfigError([f"{self.path} line {line}: {reason}"])
            yield line, cells


def open_table(path: Path, layout: Layout) -> Table:
    """Return the table at `path` with its columns named and its delimiter known.

    Raises:
        ConfigError: The file cannot be read, is empty, or its columns cannot be named.
    """
    delimiter = _SPELLED.get(layout.delimiter or "", layout.delimiter) or sniff_delimiter(path)
    if len(delimiter) != 1:
        raise ConfigError([f"--delimiter: must be one character, tab or space, was {delimiter!r}"])
    known = Layout(delimiter=delimiter, columns=layout.columns, transpose=layout.transpose)
    _, first = next(_cells(path, known), (0, ()))
    if not first:
        raise ConfigError([f"{path}: must have at least one line, was empty"])
    if layout.columns is None:
        if all(map(_is_number, first)):
            reason = "the first row must name the columns, was all numbers; give --columns a,b,c"
            raise ConfigError([f"{path}: {reason}"])
        return Table(path, _named(first), known)
    if len(layout.columns) != len(first):
        reason = f"must name the {len(first)} columns of {path}, was {len(layout.columns)}"
        raise ConfigError([f"--columns: {reason}"])
    return Table(path, _named(layout.columns), known)


def sniff_delimiter(path: Path) -> str:
    """Return the delimiter that cuts the first lines into the most columns of equal number."""
    lines = list(islice((line for line in _lines(path) if line.strip()), _SNIFFED_LINES))
    best, most = WHITE_SPACE, 1
    for candidate in _CANDIDATES:
        counts = _counts(lines, candidate)
        if len(counts) == 1 and max(counts) > most:
            best, most = candidate, max(counts)
    if most > 1 or not lines:
        return best
    likeliest = max(_CANDIDATES, key=lines[0].count)
    if likeliest in lines[0]:
        return likeliest
    return WHITE_SPACE if len(lines[0].split()) > 1 else ","


def _counts(lines: Sequence[str], delimiter: str) -> set[int]:
    try:
        return {len(cells) for cells in csv.reader(lines, delimiter=delimiter)}
    except csv.Error:
        return set()  # not cut by this one; reading says what is wrong


def avro_name(column: str) -> str:
    """Return a column's name as an Avro field may bear it.

    >>> avro_name("Air temperature [K]"), avro_name("1st pump")
    ('Air_temperature_K', '_1st_pump')
    """
    name = re.sub(r"[^A-Za-z0-9_]+", "_", column).strip("_") or "column"
    return f"_{name}" if name[0].isdigit() else name


def _named(names: Sequence[str]) -> tuple[str, ...]:
    """Return names that differ: unnamed columns by their place, repeated ones numbered."""
    named: list[str] = []
    for place, raw in enumerate(names, 1):
        name = raw.strip() or f"column_{place}"
        named.append(f"{name}_{place}" if name in named else name)
    return tuple(named)


def _lines(path: Path) -> Iterator[str]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            yield from lines
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([f"{path}: must be a readable UTF-8 file, found {error}"]) from error


def _cells(path: Path, layout: Layout) -> Iterator[tuple[int, Sequence[str]]]:
    cells = _upright(path, layout.delimiter or ",")
    if not layout.transpose:
        yield from cells
        return
    columns = [values for _, values in cells]
    if len({len(values) for values in columns}) > 1:
        raise ConfigError([f"{path}: every line must have as many values as the first"])
    yield from enumerate(zip(*columns, strict=True), 1)


def _upright(path: Path, delimiter: str) -> Iterator[tuple[int, Sequence[str]]]:
    if delimiter == WHITE_SPACE:
        split = enumerate(map(str.split, _lines(path)), 1)
        yield from ((number, cells) for number, cells in split if cells)
        return
    reader = csv.reader(_lines(path), delimiter=delimiter, strict=True)
    try:
        for cells in reader:
            if len(cells) > 1 or any(map(str.strip, cells)):
                yield reader.line_num, cells
    except csv.Error as error:
        reason = f"must be CSV, found {error}"
        raise ConfigError([f"{path} line {reader.line_num}: {reason}"]) from error


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True

"""Feedback as people write it: one JSON document per line, or options of a command."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from tidemill.contracts.feedback_form import field_names, form_problems
from tidemill.kernel.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TIMES = frozenset({"time", "until"})
_OPTIONS = {"event_id": "--event", "target_id": "--target", "drift_id": "--drift"}
_LONGEST = 80


@dataclass(frozen=True, slots=True)
class Draft:
    """A feedback before anything is looked up.

    Attributes:
        where: What a problem of it is named after: file and line; empty for options.
        fields: By name, of the schema's types; only what was given.
        is_text: Whether the value is text that is still to be read.
    """

    where: str
    fields: dict[str, Any]  # Any: Avro values
    is_text: bool = False

    def problem(self, field: str, text: str) -> str:
        """Return a problem as a person can find it."""
        if self.where:
            return f"{self.where}: {field}: {text}"
        return f"{_OPTIONS.get(field, f'--{field}')}: {text}"


def read_file(path: Path) -> list[Draft]:
    """Return the feedback in a file, one per line; empty lines are passed over.

    Raises:
        ConfigError: With every problem of every line.
    """
    try:
        lines = path.read_text("utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        msg = f"--file: must be a readable UTF-8 file, found {error}"
        raise ConfigError([msg]) from error
    drafts: list[Draft] = []
    problems: list[str] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        draft = Draft(f"{path}, line {number}", {})
        problems += _read_line(draft, line)
        drafts.append(draft)
    if not drafts:
        problems.append(f"{path}: must hold one feedback per line, found none")
    if problems:
        raise ConfigError(problems)
    return drafts


def read_options(given: Mapping[str, Any]) -> Draft:  # Any: as the options were typed
    """Return the feedback that options describe; None is not given.

    Raises:
        ConfigError: With every problem.
    """
    draft = Draft("", {}, is_text=True)
    fields = {name: value for name, value in given.items() if value is not None}
    if "kind" in fields:
        fields["kind"] = str(fields["kind"]).upper()  # typed by hand, as `list --status` is
    problems = list(_fill(draft, fields))
    problems += [draft.problem(*each) for each in form_problems(draft.fields)]
    if problems:
        raise ConfigError(problems)
    return draft


def _read_line(draft: Draft, line: str) -> Iterator[str]:
    try:
        document = json.loads(line)
    except ValueError as error:
        yield f"{draft.where}: must be one JSON document, found {error}"
        return
    if not isinstance(document, dict):
        yield f"{draft.where}: must be a JSON object, was {_shown(document)}"
        return
    before = [*_fill(draft, document)]
    yield from before
    if not before:
        yield from (draft.problem(*each) for each in form_problems(draft.fields))


def _fill(draft: Draft, document: Mapping[str, Any]) -> Iterator[str]:  # Any: JSON
    known = field_names()
    for name, given in document.items():
        if name not in known:
            yield draft.problem(name, f"must be a field of Feedback ({', '.join(known)})")
        elif given is not None:
            try:
                draft.fields[name] = _typed(name, given)
            except ValueError as error:
                yield draft.problem(name, str(error))


def _typed(name: str, given: Any) -> Any:  # Any: JSON in, an Avro value out
    if name in _TIMES:
        return moment_us(given)
    match name:
        case "event":
            return _position(given)
        case "value":
            return _value(given)
        case "selection":
            return _number(given)
    if isinstance(given, str) and given:
        return _utf8(given)
    msg = f"must be a text that is not empty, was {_shown(given)}"
    raise ValueError(msg)


def moment_us(given: object) -> int:
    """Return a time in microseconds since 1970, from ISO 8601 (UTC if it names no zone).

    Raises:
        ValueError: Neither that nor a whole number of microseconds.
    """
    if isinstance(given, int) and not isinstance(given, bool):
        return given
    try:
        moment = datetime.fromisoformat(given) if isinstance(given, str) else None
    except ValueError:
        moment = None
    if moment is None:
        msg = f"must be a time in ISO 8601 such as 2026-01-31T06:00:00Z, was {_shown(given)}"
        raise ValueError(msg)
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (aware - _EPOCH) // timedelta(microseconds=1)


def _position(given: object) -> dict[str, Any]:  # Any: Avro values
    match given:
        case {"topic": str(topic), "partition": int(partition), "offset": int(offset), **rest} if (
            not rest and not isinstance(partition, bool) and not isinstance(offset, bool)
        ):
            return {"topic": topic, "partition": partition, "offset": offset}
    msg = f'must be {{"topic": ..., "partition": 0, "offset": 0}}, was {_shown(given)}'
    raise ValueError(msg)


def _value(given: object) -> object:
    match given:
        case bool():
            return given
        case str():
            return _utf8(given)
        case int() | float():
            return _number(given)
    msg = f"must be a finite number, true, false or a text, was {_shown(given)}"
    raise ValueError(msg)


def _utf8(given: str) -> str:
    try:
        given.encode()
    except UnicodeEncodeError as error:
        msg = f"must be a text that UTF-8 can hold, was {_shown(given)}"
        raise ValueError(msg) from error
    return given


def _number(given: object) -> float:
    is_number = isinstance(given, int | float) and not isinstance(given, bool)
    try:
        number = float(given) if is_number else math.nan  # type: ignore[arg-type]  # is a number
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        msg = f"must be a finite number, was {_shown(given)}"
        raise ValueError(msg)
    return number


def _shown(given: object) -> str:
    text = repr(given)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."

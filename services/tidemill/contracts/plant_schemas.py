"""The plant's own Avro records held against the definition."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastavro import parse_schema
from fastavro.schema import SchemaParseException, UnknownType

from tidemill.contracts.avro import (
    SchemaError,
    field_of,
    full_name,
    kind_of,
    logical_type,
    self_contained,
    with_types_in_place,
    without_null,
)
from tidemill.contracts.targets import AheadTarget, FieldTarget
from tidemill.contracts.unbounded import unbounded_types

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tidemill.contracts.codec import JsonSchema
    from tidemill.contracts.definition import PlantDefinition
    from tidemill.contracts.stream import Feature, StreamDefinition, TimeField

_NUMBERS = ("double", "float", "int", "long")
_CLASSES = ("boolean", "int", "long", "enum", "string")
_IDS = ("string", "int", "long")
_TYPES_OF_FEATURE = {"numeric": (*_NUMBERS, "boolean"), "nominal": _CLASSES}
_TYPES_OF_TARGET = {"regression": _NUMBERS, "binary": _CLASSES, "multiclass": _CLASSES}
_UNITS = {"timestamp-millis": "ms", "timestamp-micros": "us"}


def check_records(
    definition: PlantDefinition,
    schemas: Mapping[str, JsonSchema],
    older: Sequence[JsonSchema] = (),
) -> list[str]:
    """Return every way in which the records do not carry what the definition reads.

    Args:
        definition: The plant.
        schemas: The plant's current records by full name, self-contained.
        older: Earlier writer schemas; a sensor that only they have is a removed one: missing from
            now on, no problem.
    """
    problems: list[str] = []
    for stream in definition.streams:
        path = f"streams.{stream.name}"
        record = schemas.get(stream.event)
        if record is None:
            known = ", ".join(sorted(schemas)) or "none"
            problems.append(f"{path}.event: must be one of the plant's records, {known}")
        elif record["type"] != "record":
            problems.append(f"{path}.event: must be a record, {stream.event} is {record['type']}")
        else:
            removed = [s for s in older if full_name(s) == stream.event]
            found = dict.fromkeys(p for s in (record, *removed) for p in unbounded_types(s))
            problems += [f"{path}.event: {problem}" for problem in found]
            if found:
                continue
            problems += _Fields(with_types_in_place(record), removed).problems(stream, path)
    return problems


def check_writer(schema: JsonSchema, event: str) -> list[str]:
    """Return every reason why records written with a schema from elsewhere must not be read.

    Args:
        schema: A writer schema that no file of the plant holds.
        event: Full name of the record that it must be of.
    """
    try:
        contained = self_contained(schema, {})
        parse_schema(contained)
    except (SchemaError, SchemaParseException, UnknownType, KeyError, TypeError) as error:
        return [f"must be an Avro schema that defines every type it names, found: {error}"]
    if not isinstance(contained, dict) or contained["type"] != "record":
        return [f"must be the record {event}, was {contained!r:.80}"]
    if full_name(contained) != event:
        return [f"must be the record {event}, was {full_name(contained)}"]
    return list(unbounded_types(contained))


class _Fields:
    """The fields of one event's record, and of its earlier versions."""

    def __init__(self, record: JsonSchema, older: Sequence[JsonSchema]) -> None:
        self._record = record
        self._older = older

    def problems(self, stream: StreamDefinition, path: str) -> Iterator[str]:
        yield from self._typed(stream.asset, ("string",), f"{path}.asset")
        yield from self._time(stream.time, f"{path}.time")
        if stream.id is not None:
            yield from self._typed(stream.id, _IDS, f"{path}.id")
        for feature in stream.sensors:
            yield from self._feature(feature, f"{path}.features.{feature.name}")
        if isinstance(stream.target, FieldTarget):
            yield from self._target(stream.target, f"{path}.target.field")
        if isinstance(stream.target, AheadTarget):
            yield from self._typed(stream.target.field, _NUMBERS, f"{path}.target.ahead.field")

    def _typed(self, name: str, types: tuple[str, ...], path: str) -> Iterator[str]:
        field = field_of(self._record, name)
        if field is None:
            fields = ", ".join(each["name"] for each in self._record["fields"])
            yield f"{path}: must be a field of {self._record['name']} ({fields}), was {name}"
            return
        kind = kind_of(without_null(field["type"]))
        if kind not in types:
            yield f"{path}: {name} must be {' or '.join(types)} (null allowed), was {kind}"

    def _time(self, time: TimeField, path: str) -> Iterator[str]:
        wrong = list(self._typed(time.field, ("long",), path))
        field = field_of(self._record, time.field)
        if wrong or field is None:
            yield from wrong
            return
        logical = logical_type(without_null(field["type"]))
        unit = _UNITS.get(logical or "")
        if unit is None and time.unit is None:
            found = logical or "a plain long"
            yield f"{path}: must have a unit (s, ms, us, ns), {time.field} is {found}"
        if unit is not None and time.unit not in (None, unit):
            yield f"{path}.unit: must be left out or be {unit} for {logical}, was {time.unit}"

    def _feature(self, feature: Feature, path: str) -> Iterator[str]:
        if field_of(self._record, feature.name) is None and any(
            field_of(record, feature.name) for record in self._older
        ):
            return
        yield from self._typed(feature.name, _TYPES_OF_FEATURE[feature.kind], path)
        for record in (self._record, *self._older):
            field = field_of(record, feature.name)
            unit = None if field is None else field.get("unit")
            if unit is not None and feature.unit not in {None, unit}:
                yield (
                    f"{path}.unit: must be {unit}, which a version of {record['name']} says of "
                    f"{feature.name}, was {feature.unit}; a sensor that changes its unit needs a "
                    "field of its own"
                )

    def _target(self, target: FieldTarget, path: str) -> Iterator[str]:
        wrong = list(self._typed(target.name, _TYPES_OF_TARGET[target.kind], path))
        field = field_of(self._record, target.name)
        if wrong or field is None or target.classes is None:
            yield from wrong
            return
        schema = without_null(field["type"])
        match kind_of(schema):
            case "boolean":
                known = ["false", "true"]
            case "enum":
                known = schema["symbols"]
            case "int" | "long":
                known = [key for key in target.classes if key.lstrip("-").isdecimal()]
            case _:
                known = list(target.classes)
        for key in target.classes:
            if key not in known:
                yield f"{path}.classes: must be classes that {target.name} can hold, was {key}"

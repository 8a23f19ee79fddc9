"""Whether records written with one schema can be read with another, both ways: FULL_TRANSITIVE."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidemill.contracts.avro import full_name, kind_of, named_types, normal_form

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from tidemill.contracts.codec import JsonSchema

# Source: Apache Avro 1.12 specification, "Schema Resolution".
_PROMOTIONS = {
    "int": {"long", "float", "double"},
    "long": {"float", "double"},
    "float": {"double"},
    "string": {"bytes"},
    "bytes": {"string"},
}
_LOGICAL = ("logicalType", "precision", "scale")


def compatibility_problems(new: JsonSchema, olds: Iterable[JsonSchema]) -> list[str]:
    """Return why `new` and each of `olds` cannot read each other's records; empty if they can.

    All schemas are self-contained. Stricter than Avro in one point: a logical type must stay,
    because a time in milliseconds read as microseconds is wrong without an error.
    """
    problems: list[str] = []
    for old in olds:
        problems += backward_problems(new, old)
        problems += [f"an older reader: {p}" for p in backward_problems(old, new)]
    return list(dict.fromkeys(problems))


def backward_problems(reader: JsonSchema, writer: JsonSchema) -> list[str]:
    """Return why `reader` cannot read what `writer` wrote."""
    normal_reader, normal_writer = normal_form(reader), normal_form(writer)
    resolution = _Resolution(dict(named_types(normal_reader)), dict(named_types(normal_writer)))
    name = full_name(reader) if isinstance(reader, dict) and "name" in reader else "schema"
    return list(resolution.problems(normal_reader, normal_writer, name))


class _Resolution:
    def __init__(self, readers: dict[str, JsonSchema], writers: dict[str, JsonSchema]) -> None:
        self._readers = readers
        self._writers = writers
        self._seen: set[tuple[str, str]] = set()

    def problems(self, reader: JsonSchema, writer: JsonSchema, path: str) -> Iterator[str]:
        reader = self._readers.get(reader, reader) if isinstance(reader, str) else reader
        writer = self._writers.get(writer, writer) if isinstance(writer, str) else writer
        if isinstance(writer, list):
            for branch in writer:
                yield from self.problems(reader, branch, path)
        elif isinstance(reader, list):
            if not any(self._fits(branch, writer, path) for branch in reader):
                yield f"{path}: must read {_said(writer)}, was a union of {_said(reader)}"
        elif "name" in reader and "name" in writer:
            yield from self._named(reader, writer, path)
        else:
            yield from self._unnamed(reader, writer, path)

    def _fits(self, reader: JsonSchema, writer: JsonSchema, path: str) -> bool:
        trial = _Resolution(self._readers, self._writers)
        trial._seen = set(self._seen)
        return not any(trial.problems(reader, writer, path))

    def _unnamed(self, reader: JsonSchema, writer: JsonSchema, path: str) -> Iterator[str]:
        to, came = kind_of(reader), kind_of(writer)
        if to != came and to not in _PROMOTIONS.get(came, set()):
            yield f"{path}: must read {_said(writer)}, was {_said(reader)}"
        elif to == "array":
            yield from self.problems(reader["items"], writer["items"], f"{path}[]")
        elif to == "map":
            yield from self.problems(reader["values"], writer["values"], f"{path}{{}}")
        else:
            yield from _logical_problems(reader, writer, path)

    def _named(self, reader: JsonSchema, writer: JsonSchema, path: str) -> Iterator[str]:
        names = {reader["name"], *reader.get("aliases", ())}
        if reader["type"] != writer["type"] or writer["name"] not in names:
            yield f"{path}: must read {_said(writer)}, was {_said(reader)}"
            return
        if (reader["name"], writer["name"]) in self._seen:
            return
        self._seen.add((reader["name"], writer["name"]))
        rules: dict[str, Callable[[JsonSchema, JsonSchema, str], Iterator[str]]] = {
            "enum": _enum_problems,
            "fixed": _fixed_problems,
        }
        yield from rules.get(reader["type"], self._record)(reader, writer, path)

    def _record(self, reader: JsonSchema, writer: JsonSchema, path: str) -> Iterator[str]:
        written = {field["name"]: field for field in writer["fields"]}
        for field in reader["fields"]:
            names = [field["name"], *field.get("aliases", ())]
            source = next((written[name] for name in names if name in written), None)
            here = f"{path}.{field['name']}"
            if source is not None:
                yield from self.problems(field["type"], source["type"], here)
            elif "default" not in field:
                yield f"{here}: must have a default, records without the field exist"


def _enum_problems(reader: JsonSchema, writer: JsonSchema, path: str) -> Iterator[str]:
    lost = [symbol for symbol in writer["symbols"] if symbol not in reader["symbols"]]
    if lost and "default" not in reader:
        yield f"{path}: must know the symbols {', '.join(lost)} or have a default symbol"


def _fixed_problems(reader: JsonSchema, writer: JsonSchema, path: str) -> Iterator[str]:
    if reader["size"] != writer["size"]:
        yield f"{path}: must be fixed of {writer['size']} bytes, was {reader['size']}"
    yield from _logical_problems(reader, writer, path)


def _logical_problems(reader: JsonSchema, writer: JsonSchema, path: str) -> Iterator[str]:
    to, came = ([_attribute(side, key) for key in _LOGICAL] for side in (reader, writer))
    if to != came:
        yield f"{path}: must keep the logical type of {_said(writer)}, was {_said(reader)}"


def _attribute(schema: JsonSchema, key: str) -> object:
    return schema.get(key) if isinstance(schema, dict) else None


def _said(schema: JsonSchema) -> str:
    if isinstance(schema, list):
        return ", ".join(_said(branch) for branch in schema)
    if isinstance(schema, dict):
        logical = schema.get("logicalType")
        kind = f"{schema['type']} {schema['name']}" if "name" in schema else kind_of(schema)
        return f"{kind} ({logical})" if logical else kind
    return str(schema)

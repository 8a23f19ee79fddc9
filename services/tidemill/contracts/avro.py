"""Avro schemas as values: full names, references between files, one normal form."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tidemill.contracts.codec import JsonSchema

PRIMITIVES = frozenset({"null", "boolean", "int", "long", "float", "double", "bytes", "string"})
NAMED = frozenset({"record", "error", "enum", "fixed"})

# What decides how bytes are read and resolved; everything else (doc, order) is commentary.
_READING = ("symbols", "size", "logicalType", "precision", "scale")


class SchemaError(Exception):
    """An Avro schema that is not one; the caller reports it as a configuration problem."""


def full_name(schema: JsonSchema, namespace: str = "") -> str:
    """Return the full name of a named type that stands inside `namespace`."""
    name = str(schema["name"])
    own = schema.get("namespace", namespace)
    return name if "." in name or not own else f"{own}.{name}"


def self_contained(schema: JsonSchema, others: Mapping[str, JsonSchema]) -> JsonSchema:
    """Return `schema` with every type it names defined where it is first used.

    Args:
        schema: A named type, as in its file.
        others: Named types of other files by full name.

    Raises:
        SchemaError: A name that nobody defines, or a shape that is not Avro.
    """
    return _Inliner(others).inlined(schema, "")


class _Inliner:
    def __init__(self, others: Mapping[str, JsonSchema]) -> None:
        self._others = others
        self._defined: set[str] = set()

    def inlined(self, schema: JsonSchema, namespace: str) -> JsonSchema:
        match schema:
            case str():
                return self._reference(schema, namespace)
            case list():
                return [self.inlined(branch, namespace) for branch in schema]
            case {"type": str(kind)} if kind in NAMED:
                return self._definition(schema, namespace)
            case {"type": "array" | "map" as kind}:
                part = "items" if kind == "array" else "values"
                return {**schema, part: self.inlined(schema.get(part), namespace)}
            case {"type": inner}:
                found = self.inlined(inner, namespace)
                is_plain = isinstance(found, str) and found in PRIMITIVES
                return {**schema, "type": found} if is_plain else found
        msg = f"must be an Avro schema, was {schema!r}"
        raise SchemaError(msg)

    def _reference(self, name: str, namespace: str) -> JsonSchema:
        if name in PRIMITIVES:
            return name
        full = name if "." in name or not namespace else f"{namespace}.{name}"
        for candidate in (full, name):
            if candidate in self._defined:
                return candidate
            if candidate in self._others:
                return self.inlined(self._others[candidate], "")
        msg = f"must name a type that some file defines, was {full}"
        raise SchemaError(msg)

    def _definition(self, schema: JsonSchema, namespace: str) -> JsonSchema:
        if not isinstance(schema.get("name"), str):
            msg = f"a {schema['type']} must have a name, was {schema!r}"
            raise SchemaError(msg)
        full = full_name(schema, namespace)
        if full in self._defined:
            msg = f"{full} must be defined once"
            raise SchemaError(msg)
        self._defined.add(full)
        own, _, short = full.rpartition(".")
        named = {**schema, "name": short}
        if own or namespace:
            named["namespace"] = own
        if schema["type"] in {"record", "error"}:
            named["fields"] = [self._field(field, own, full) for field in _fields(schema, full)]
        return named

    def _field(self, field: JsonSchema, namespace: str, record: str) -> JsonSchema:
        if not isinstance(field, dict) or not {"name", "type"} <= field.keys():
            msg = f"{record}: a field must have name and type, was {field!r}"
            raise SchemaError(msg)
        return {**field, "type": self.inlined(field["type"], namespace)}


def _fields(schema: JsonSchema, full: str) -> list[JsonSchema]:
    fields = schema.get("fields")
    if not isinstance(fields, list):
        msg = f"{full}: a record must have a list of fields, was {fields!r}"
        raise SchemaError(msg)
    return fields


def normal_form(schema: JsonSchema, namespace: str = "") -> JsonSchema:
    """Return what of a self-contained `schema` decides reading, with full names.

    Like Avro's parsing canonical form, but it keeps logical types, defaults and aliases: without
    them milliseconds and microseconds would be one schema.
    """
    if isinstance(schema, str):
        local = schema in PRIMITIVES or "." in schema or not namespace
        return schema if local else f"{namespace}.{schema}"
    if isinstance(schema, list):
        return [normal_form(branch, namespace) for branch in schema]
    kind = schema["type"]
    if kind in ("record", "error", "enum", "fixed"):
        return _normal_named(schema, namespace)
    reading = {key: schema[key] for key in _READING if key in schema}
    if kind == "array":
        return {"type": "array", "items": normal_form(schema["items"], namespace)}
    if kind == "map":
        return {"type": "map", "values": normal_form(schema["values"], namespace)}
    inner = normal_form(kind, namespace)
    return {"type": inner, **reading} if reading else inner


def _normal_named(schema: JsonSchema, namespace: str) -> JsonSchema:
    full = full_name(schema, namespace)
    own = full.rpartition(".")[0]
    normal: dict[str, JsonSchema] = {"type": schema["type"], "name": full}
    normal |= {key: schema[key] for key in (*_READING, "default") if key in schema}
    if aliases := schema.get("aliases"):
        normal["aliases"] = [a if "." in a or not own else f"{own}.{a}" for a in aliases]
    if "fields" in schema:
        normal["fields"] = [
            {
                **{key: field[key] for key in ("name", "default", "aliases") if key in field},
                "type": normal_form(field["type"], own),
            }
            for field in schema["fields"]
        ]
    return normal


def named_types(normal: JsonSchema) -> Iterator[tuple[str, JsonSchema]]:
    """Yield every named type defined in a schema in normal form, outermost first."""
    if isinstance(normal, list):
        for branch in normal:
            yield from named_types(branch)
    elif isinstance(normal, dict):
        if "name" in normal:
            yield normal["name"], normal
        for field in normal.get("fields", ()):
            yield from named_types(field["type"])
        for key in ("items", "values", "type"):
            if isinstance(normal.get(key), dict | list):
                yield from named_types(normal[key])


def with_types_in_place(record: JsonSchema) -> JsonSchema:
    """Return a record whose fields hold the types that they only named; not for decoding."""
    normal = normal_form(record)
    types = dict(named_types(normal))

    def placed(schema: JsonSchema) -> JsonSchema:
        if isinstance(schema, list):
            return [placed(branch) for branch in schema]
        return types.get(schema, schema) if isinstance(schema, str) else schema

    pairs = zip(record["fields"], normal["fields"], strict=True)
    fields = [{**field, "type": placed(shown["type"])} for field, shown in pairs]
    return {**record, "fields": fields}


def field_of(record: JsonSchema, name: str) -> JsonSchema | None:
    """Return the field of a record that goes by `name`, by its own name or by an alias."""
    fields = record["fields"]
    own = next((field for field in fields if field["name"] == name), None)
    return own or next((field for field in fields if name in field.get("aliases", ())), None)


def without_null(schema: JsonSchema) -> JsonSchema:
    """Return `X` for `X`, `["null", X]` and `[X, "null"]`; other unions as they are."""
    if isinstance(schema, list):
        rest = [branch for branch in schema if branch != "null"]
        if len(rest) == 1:
            return rest[0]
    return schema


def kind_of(schema: JsonSchema) -> str:
    """Return the type's kind: a primitive, `record`, `enum`, `array`, ..., `union`, or a name."""
    while isinstance(schema, dict) and not isinstance(schema["type"], str):
        schema = schema["type"]
    if isinstance(schema, list):
        return "union"
    return str(schema["type"] if isinstance(schema, dict) else schema)


def logical_type(schema: JsonSchema) -> str | None:
    """Return the logical type of a schema, or None."""
    while isinstance(schema, dict):
        if "logicalType" in schema:
            return str(schema["logicalType"])
        schema = schema["type"]
    return None

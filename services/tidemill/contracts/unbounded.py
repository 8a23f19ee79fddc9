"""Avro types by which a few bytes become more than a process can hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidemill.contracts.avro import PRIMITIVES, named_types, normal_form

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tidemill.contracts.codec import JsonSchema


def unbounded_types(record: JsonSchema) -> Iterator[str]:
    """Yield what is wrong with each type of a record that no reader should be given.

    A record inside itself ends a decoder's stack, and with it the process, at some ten thousand
    bytes; a list of items that take no bytes may claim any length.
    """
    normal = normal_form(record)
    types = dict(named_types(normal))
    recursive = sorted(name for name, schema in types.items() if _holds(schema, name, types))
    for name in recursive:
        yield f"{name} must not hold itself: a deep one would end the process that reads it"
    if not recursive:
        for items in _items(normal):
            if _is_empty(items, types):
                yield f"items of an array must take at least a byte, {_named(items)} takes none"


def _parts(schema: JsonSchema) -> list[JsonSchema]:
    if isinstance(schema, list):
        return schema
    if not isinstance(schema, dict):
        return []
    inner = [schema[key] for key in ("items", "values") if key in schema]
    if not isinstance(schema["type"], str):
        inner.append(schema["type"])
    return [*inner, *(field["type"] for field in schema.get("fields", ()))]


def _holds(schema: JsonSchema, name: str, types: Mapping[str, JsonSchema]) -> bool:
    """Return whether a type stands anywhere inside `schema`, through names too."""
    seen: set[str] = set()
    rest = _parts(schema)
    while rest:
        part = rest.pop()
        full = part.get("name") if isinstance(part, dict) else part
        if full == name:
            return True
        if not isinstance(full, str) or full not in types:
            rest += _parts(part)
        elif full not in seen:
            seen.add(full)
            rest += _parts(types[full])
    return False


def _items(schema: JsonSchema) -> Iterator[JsonSchema]:
    if isinstance(schema, dict) and schema["type"] == "array":
        yield schema["items"]
    for part in _parts(schema):
        yield from _items(part)


def _is_empty(schema: JsonSchema, types: Mapping[str, JsonSchema]) -> bool:
    """Return whether a value of a type that is not recursive is written in no bytes."""
    if isinstance(schema, str):
        return schema == "null" if schema in PRIMITIVES else _is_empty(types[schema], types)
    if isinstance(schema, list):
        return False
    kind = schema["type"]
    if kind in ("record", "error"):
        return all(_is_empty(field["type"], types) for field in schema["fields"])
    if kind == "fixed":
        return bool(schema["size"] == 0)
    return kind not in ("enum", "array", "map") and _is_empty(kind, types)


def _named(schema: JsonSchema) -> str:
    return str(schema.get("name", schema["type"]) if isinstance(schema, dict) else schema)

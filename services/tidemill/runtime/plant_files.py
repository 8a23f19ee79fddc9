"""The plant's files: the definition, the Avro records beside it, and their locked ids."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fastavro import parse_schema
from fastavro.schema import SchemaParseException, UnknownType

from tidemill.contracts.avro import (
    NAMED,
    SchemaError,
    full_name,
    named_types,
    normal_form,
    self_contained,
)
from tidemill.contracts.definition import PlantDefinition, parse_definition
from tidemill.contracts.document_problems import schemas_folder
from tidemill.contracts.id_lock import LOCK_FILE, locked_id, read_lock
from tidemill.contracts.plant_schemas import check_records
from tidemill.kernel.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from tidemill.contracts.codec import JsonSchema


HISTORY = "history"
"""A folder below the records that keeps what was released: not read with them."""


@dataclass(frozen=True, slots=True)
class Records:
    """The plant's records as their files have them now, and every id ever locked."""

    folder: Path
    schemas: dict[str, JsonSchema]
    lock: dict[int, JsonSchema]

    @property
    def unlocked(self) -> list[str]:
        """Full names of the records whose present form has no id yet."""
        return [name for name, each in self.schemas.items() if locked_id(self.lock, each) is None]


@dataclass(frozen=True, slots=True)
class Plant:
    """Everything about one plant that files say.

    `writer_schemas` are all that ever had an id; `schemas` the present ones by full name.
    """

    definition: PlantDefinition
    writer_schemas: dict[int, JsonSchema]
    path: Path
    schemas: dict[str, JsonSchema] = field(default_factory=dict)


def read_plant(path: Path) -> Plant:
    """Return the plant that the definition at `path` describes, its records all locked.

    Raises:
        ConfigError: With every problem of definition, records and lock.
    """
    definition, records = _read(path, lock_wanted=f"run `tidemill schemas lock -f {path}`")
    return Plant(definition, records.lock, path, records.schemas)


def read_unlocked_plant(path: Path) -> tuple[PlantDefinition, Records]:
    """Return definition and records at `path`; some records may still be without an id.

    Raises:
        ConfigError: With every problem of definition, records and lock.
    """
    return _read(path, lock_wanted=None)


def _read(path: Path, lock_wanted: str | None) -> tuple[PlantDefinition, Records]:
    text = _text(path)
    problems: list[str] = []
    definition = records = None
    try:
        definition = parse_definition(text)
    except ConfigError as error:
        problems += error.problems
    folder = schemas_folder(text) if definition is None else definition.schemas
    if folder is not None:
        records = _records(path.parent / folder, problems)
    if records is not None and lock_wanted is not None:
        fix = f"{lock_wanted} and commit {records.folder / LOCK_FILE}"
        problems += [f"{name}: must have a locked id; {fix}" for name in records.unlocked]
    if definition is not None and records is not None:
        problems += check_records(definition, records.schemas, tuple(records.lock.values()))
    if problems or definition is None or records is None:
        raise ConfigError(problems)
    return definition, records


def read_definition(path: Path) -> PlantDefinition:
    """Return the definition at `path`, its records unread.

    Raises:
        ConfigError: The file cannot be read, or with every problem in it.
    """
    return parse_definition(_text(path))


def read_records(folder: Path) -> Records:
    """Return the records of all `.avsc` files under `folder` by full name, and the id lock.

    Raises:
        ConfigError: With every problem of every file.
    """
    problems: list[str] = []
    records = _records(folder, problems)
    if records is None:
        raise ConfigError(problems)
    return records


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = f"{path}: must be a readable UTF-8 file, found {error}; `tidemill init` writes one"
        raise ConfigError([reason]) from error


def _records(folder: Path, problems: list[str]) -> Records | None:
    """Return the records, or None after adding to `problems`."""
    if not folder.is_dir():
        problems.append(f"schemas: must be a folder of .avsc files, {folder} is none")
        return None
    before = len(problems)
    roots = _roots(folder, problems)
    others = _definitions(roots)
    schemas = {
        name: schema
        for name, (path, raw) in sorted(roots.items())
        if (schema := _contained(path, raw, others, problems)) is not None
        and schema["type"] == "record"
    }
    lock = _lock(folder / LOCK_FILE, problems)
    return Records(folder, schemas, lock) if len(problems) == before else None


def _roots(folder: Path, problems: list[str]) -> dict[str, tuple[Path, JsonSchema]]:
    roots: dict[str, tuple[Path, JsonSchema]] = {}
    for path in sorted(folder.rglob("*.avsc")):
        parts = path.relative_to(folder).parts
        if HISTORY in parts or any(part.startswith("..") for part in parts):
            continue  # "..": where Kubernetes keeps what a mounted folder links to
        try:
            value = json.loads(path.read_text("utf-8-sig"))
        except (OSError, ValueError) as error:
            problems.append(f"{path}: must be JSON, found {error}")
            continue
        for schema in value if isinstance(value, list) else [value]:
            if not _is_named(schema):
                problems.append(f"{path}: must hold a named Avro type, was {schema!r:.80}")
                continue
            name = full_name(schema)
            if name in roots:
                problems.append(f"{path}: {name} must be defined once, is in {roots[name][0]} too")
            roots[name] = (path, schema)
    return roots


def _is_named(schema: JsonSchema) -> bool:
    return (
        isinstance(schema, dict)
        and schema.get("type") in NAMED
        and isinstance(schema.get("name"), str)
    )


def _definitions(roots: dict[str, tuple[Path, JsonSchema]]) -> dict[str, JsonSchema]:
    """Return every type that a file may name: the roots, and what stands inside them."""
    others = {name: schema for name, (_, schema) in roots.items()}
    for _, schema in roots.values():
        try:
            inside = dict(named_types(normal_form(schema)))
        except (KeyError, TypeError, AttributeError):
            continue  # reported with its file when the root itself is read
        others = {**inside, **others}
    return others


def _contained(
    path: Path, raw: JsonSchema, others: dict[str, JsonSchema], problems: list[str]
) -> JsonSchema | None:
    try:
        schema = self_contained(raw, others)
        parse_schema(schema)
    except (SchemaError, SchemaParseException, UnknownType, KeyError, TypeError) as error:
        problems.append(f"{path}: must be an Avro schema, found: {error}")
        return None
    return schema


def _lock(path: Path, problems: list[str]) -> dict[int, JsonSchema]:
    if not path.exists():
        return {}
    try:
        return read_lock(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        problems.append(
            f"{path}: must be a lock of ids written by `tidemill schemas lock`, {error}"
        )
        return {}

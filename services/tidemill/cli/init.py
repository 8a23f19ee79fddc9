"""`tidemill init`: a commented definition from an Avro record or a CSV."""

import json
import os
import re
from pathlib import Path
from typing import Annotated

import typer

from tidemill.cli.check import model_problems
from tidemill.cli.options import (
    DEFAULT_DEFINITION,
    ColumnsOption,
    DefinitionFile,
    DelimiterOption,
    TransposeOption,
    names_of,
)
from tidemill.contracts.avro import full_name
from tidemill.contracts.codec import JsonSchema
from tidemill.contracts.draft import Seen, draft_of
from tidemill.contracts.draft_text import draft_text
from tidemill.contracts.id_lock import LOCK_FILE
from tidemill.kernel.errors import ConfigError
from tidemill.runtime.csv_guess import guess_record
from tidemill.runtime.csv_table import Layout, avro_name, open_table
from tidemill.runtime.locking import lock_records
from tidemill.runtime.plant_files import read_plant, read_records

_RECORDS = "avro"

Source = Annotated[Path, typer.Argument(help="An Avro record (.avsc), or a CSV.", metavar="FILE")]
PlantName = Annotated[str | None, typer.Option("--plant", help="The plant's name.")]
StreamName = Annotated[str | None, typer.Option("--stream", help="The stream's name.")]
EventName = Annotated[str | None, typer.Option("--event", help="Full name of the record.")]
Partitions = Annotated[int, typer.Option(min=1, help="Of every topic per asset, for ever.")]
Force = Annotated[bool, typer.Option("--force", help="Replace files that are there.")]


def init(  # noqa: PLR0913 - one parameter per option of the command
    source: Source,
    *,
    definition: DefinitionFile = DEFAULT_DEFINITION,
    plant: PlantName = None,
    stream: StreamName = None,
    event: EventName = None,
    partitions: Partitions = 8,
    delimiter: DelimiterOption = None,
    columns: ColumnsOption = None,
    transpose: TransposeOption = False,
    force: Force = False,
) -> None:
    """Write a commented definition, and for a CSV its record; the result passes `check`."""
    if definition.exists() and not force:
        raise ConfigError([f"{definition}: must not exist yet; --force replaces it"])
    if source.suffix == ".avsc":
        folder, record, seen = source.parent, _record_in(source, event), Seen()
    else:
        layout = Layout(delimiter=delimiter, columns=names_of(columns), transpose=transpose)
        folder = definition.parent / _RECORDS
        record, seen = guess_record(open_table(source, layout), event or _event_name(source))
        _write_record(folder, record, force=force)
    try:
        draft = draft_of(record, seen)
    except ValueError as error:
        raise ConfigError([f"{source}: {error}"]) from error
    text = draft_text(
        draft,
        plant=plant or _name(definition.resolve().parent.name, "plant"),
        stream=stream or _name(source.stem, "stream"),
        schemas=_relative(folder, definition.parent),
        partitions=partitions,
    )
    _write(definition, text)
    lock_records(folder)
    problems = model_problems(read_plant(definition).definition)
    if problems:
        raise ConfigError(problems)
    typer.echo(f"wrote {definition} and {folder / LOCK_FILE}; read it, then: tidemill check")


def _record_in(source: Path, event: str | None) -> JsonSchema:
    records = read_records(source.parent).schemas
    value = json.loads(source.read_text("utf-8-sig"))
    roots = [full_name(root) for root in (value if isinstance(value, list) else [value])]
    names = [name for name in roots if name in records]
    if event is None and len(names) == 1:
        return records[names[0]]
    if event not in names:
        known = ", ".join(names) or "none"
        raise ConfigError([f"--event: must be a record of {source} ({known}), was {event}"])
    return records[event]


def _event_name(source: Path) -> str:
    words = re.split(r"[^A-Za-z0-9]+", source.stem)
    name = avro_name("".join(word[:1].upper() + word[1:] for word in words))
    return f"plant.{name}"


def _name(text: str, fallback: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]+", "-", text).strip("-_") or fallback


def _relative(folder: Path, start: Path) -> str:
    relative = os.path.relpath(folder, start)
    return relative if relative.startswith(".") else f"./{relative}"


def _write_record(folder: Path, record: JsonSchema, *, force: bool) -> None:
    path = folder / f"{record['name']}.avsc"
    if path.exists() and not force:
        raise ConfigError([f"{path}: must not exist yet; --force replaces it"])
    _write(path, json.dumps(record, indent=2) + "\n")


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    except OSError as error:
        raise ConfigError([f"{path}: must be writable, found {error}"]) from error

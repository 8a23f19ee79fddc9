"""`tidemill schemas`: ids, compatibility and registration of the records."""

import os
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Annotated

import typer

from tidemill.cli.options import DEFAULT_DEFINITION, DefinitionFile, Execute
from tidemill.contracts.codec import JsonSchema, codec, our_lock, record_name
from tidemill.contracts.compatibility import backward_problems, compatibility_problems
from tidemill.contracts.id_lock import OUR_IDS_START, PLANT_IDS_START
from tidemill.contracts.topics import EVENTS, TOPICS
from tidemill.kernel.errors import ConfigError
from tidemill.runtime.locking import evolution_problems, lock_records, own_problems
from tidemill.runtime.plant_files import read_definition, read_plant, read_records
from tidemill.runtime.registry import (
    BACKWARD,
    COMPATIBILITY,
    REGISTRY_VARIABLE,
    RefusedError,
    Registry,
    refused,
    subject,
    writers,
)

app = typer.Typer(help="Ids, compatibility and registration of records.", no_args_is_help=True)

Own = Annotated[
    Path | None,
    typer.Option("--own", help="A folder of the mesh's own schemas instead of the plant's."),
]


@app.command()
def lock(*, definition: DefinitionFile = DEFAULT_DEFINITION, own: Own = None) -> None:
    """Give records that are new or changed an id; ids are never taken back."""
    folder = own or _folder(definition)
    new = lock_records(folder, OUR_IDS_START if own else PLANT_IDS_START)
    for key, name in new.items():
        typer.echo(f"{key} {name}")
    typer.echo(f"{len(new)} new ids in {folder}; commit the lock", err=True)


@app.command()
def check(*, definition: DefinitionFile = DEFAULT_DEFINITION, own: Own = None) -> None:
    """Hold records to their earlier versions: ours FULL_TRANSITIVE, the plant's to be readable."""
    problems: list[str] = []
    if own is not None or not definition.exists():
        with resources.as_file(resources.files("tidemill") / "schemas") as packaged:
            problems += own_problems(own or packaged)
    else:
        records = read_records(_folder(definition))
        problems += [
            f"{name}: must have a locked id; run `tidemill schemas lock`"
            for name in records.unlocked
        ]
        problems += evolution_problems(records)
    for problem in problems:
        typer.echo(problem, err=True)
    if problems:
        raise typer.Exit(1)
    typer.echo("every record reads what its earlier versions wrote")


@app.command()
def register(
    *,
    definition: DefinitionFile = DEFAULT_DEFINITION,
    backward: Annotated[
        bool,
        typer.Option(
            "--backward", help="Hold the plant's records to BACKWARD_TRANSITIVE: types may widen."
        ),
    ] = False,
    execute: Execute = False,
) -> None:
    """Register the plant's records and ours with the Schema Registry, under FULL_TRANSITIVE.

    A record that breaks the rule is refused, by name; the others are registered.
    """
    url = os.environ.get(REGISTRY_VARIABLE)
    if not url:
        raise ConfigError([f"{REGISTRY_VARIABLE}: must name the Schema Registry, was not set"])
    plant = read_plant(definition)
    registry = Registry(url)
    events = [plant.schemas[stream.event] for stream in plant.definition.streams]
    refusals: list[str] = []
    act = _registered if execute else _to_register
    for topic, schema in _registrations(events):
        level = BACKWARD if backward and topic == EVENTS else COMPATIBILITY
        try:
            typer.echo(act(registry, topic, schema, level))
        except RefusedError as error:
            refusals += error.problems
    for problem in refusals:
        typer.echo(problem, err=True)
    if not execute:
        typer.echo("nothing was done: --execute does it", err=True)
    if refusals:
        raise typer.Exit(1)


def _registered(registry: Registry, topic: str, schema: JsonSchema, level: str) -> str:
    """Register a schema unless it is; say what was done.

    Raises:
        RefusedError: The registry refuses it; told by our own comparison, which names fields.
    """
    found, name = registry.find(topic, schema), subject(topic, schema)
    if found is not None:
        return f"unchanged {found} {name}"
    try:
        found = registry.register(topic, schema, level=level)
    except RefusedError:
        _hold(registry, topic, schema, level)
        raise
    return f"registered {found} {name}"


def _to_register(registry: Registry, topic: str, schema: JsonSchema, level: str) -> str:
    """Say what would be done.

    Raises:
        RefusedError: The registry would refuse it.
    """
    found, name = registry.find(topic, schema), subject(topic, schema)
    if found is not None:
        return f"unchanged {found} {name}"
    _hold(registry, topic, schema, level)
    return f"to register {name}"


def _hold(registry: Registry, topic: str, schema: JsonSchema, level: str) -> None:
    """Hold a schema to the versions that are registered.

    Raises:
        RefusedError: It is not compatible with one.
    """
    older = writers(registry, topic, [record_name(schema)]).values()
    problems = [problem for each in older for problem in backward_problems(schema, each)]
    if level == COMPATIBILITY:
        problems = compatibility_problems(schema, older)
    if problems:
        raise refused(subject(topic, schema), level, "; ".join(dict.fromkeys(problems)))


def _registrations(events: list[JsonSchema]) -> Iterator[tuple[str, JsonSchema]]:
    for schema in events:
        yield EVENTS, schema
    ours = our_lock()
    names = {schema["name"] for schema in ours.values()}
    for topic in TOPICS:
        if topic.record in names:
            yield topic.name, ours[codec(topic.record).schema_id]


def _folder(definition: Path) -> Path:
    return definition.parent / read_definition(definition).schemas

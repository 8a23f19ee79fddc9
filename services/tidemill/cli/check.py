"""`tidemill check`: definition, records, models, key and reach, before anything starts."""

import json
import os
from pathlib import Path
from typing import Annotated

import typer

from tidemill.cli.directory import DirectoryOption, JsonOption
from tidemill.cli.options import (
    DEFAULT_DEFINITION,
    Bootstrap,
    DefinitionFile,
    Properties,
    bootstrap_of,
    properties_of,
)
from tidemill.contracts.definition import PlantDefinition
from tidemill.contracts.stream import StreamDefinition
from tidemill.contracts.topics import EVENTS, TOPICS
from tidemill.kernel.errors import ConfigError
from tidemill.local.connection import BOOTSTRAP_VARIABLE, DEFAULT_DIRECTORY
from tidemill.runtime.keys import find_signing_key
from tidemill.runtime.plant_files import Plant, read_definition, read_plant
from tidemill.runtime.reach import partition_counts, topic_problems
from tidemill.runtime.registry import REGISTRY_VARIABLE, Registry, registered, writers

EXIT_CONFIGURATION = 78


def check(
    *,
    definition: DefinitionFile = DEFAULT_DEFINITION,
    bootstrap: Bootstrap = None,
    properties: Properties = None,
    directory: DirectoryOption = DEFAULT_DIRECTORY,
    key_file: Annotated[
        Path | None, typer.Option("--signing-key", help="Key file; see `tidemill keygen`.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Check definition, records, models and signing key; with a broker, also its topics.

    A key or a broker that is not named anywhere is not looked at.
    """
    problems: list[str] = []
    plant = _plant(definition, problems)
    parsed = plant.definition if plant else _definition(definition)
    if parsed is not None:
        problems += model_problems(parsed) + _not_yet(parsed)
    brokers = _brokers(bootstrap, directory)
    if brokers is not None:
        problems += _reach_problems(brokers, properties, parsed)
    if plant is not None and not problems:
        problems += _registry_problems(plant)
    has_key = _has_key(key_file, directory, problems)
    if as_json:
        document = _document(parsed, brokers, problems)
        typer.echo(json.dumps({**document, "has_signing_key": has_key}))
        raise typer.Exit(EXIT_CONFIGURATION if problems else 0)
    if problems:
        raise ConfigError(problems)
    where = f"broker {brokers}" if brokers else "no broker asked: none is named"
    key = "signing key holds" if has_key else "no signing key asked: none is named, `run` needs one"
    typer.echo(f"{definition}: definition, records and models hold; {where}; {key}")


def model_problems(definition: PlantDefinition) -> list[str]:
    """Return every pipeline that the models' allow-list refuses, with its path."""
    problems = []
    for stream in definition.streams:
        path = f"streams.{stream.name}.model"
        problems += _pipeline_problems(stream, "champion", f"{path}.champion")
        for name in stream.challengers:
            problems += _pipeline_problems(stream, name, f"{path}.challengers.{name}")
    return problems


def _not_yet(definition: PlantDefinition) -> list[str]:
    from tidemill.fold.plans import unsupported  # noqa: PLC0415 - River takes a second to import

    return unsupported(definition)


def _pipeline_problems(stream: StreamDefinition, name: str, path: str) -> list[str]:
    from tidemill.models.pipelines import (  # noqa: PLC0415 - River takes a second to import
        check_steps,
        nominal_problems,
    )

    steps = stream.pipelines[f"{stream.name}/{name}"]
    found = check_steps(steps, stream.kind) + nominal_problems(steps, stream.features)
    return [f"{path}: {problem}" for problem in found]


def _plant(path: Path, problems: list[str]) -> Plant | None:
    try:
        return read_plant(path)
    except ConfigError as error:
        problems += error.problems
        return None


def _definition(path: Path) -> PlantDefinition | None:
    try:
        return read_definition(path)
    except ConfigError:
        return None  # its problems are among those of the plant


def _brokers(flag: str | None, directory: Path) -> str | None:
    try:
        return bootstrap_of(flag, directory)
    except ConfigError:
        if flag or os.environ.get(BOOTSTRAP_VARIABLE):
            raise
        return None


def _has_key(flag: Path | None, directory: Path, problems: list[str]) -> bool:
    """Return whether `run` would find a signing key; add what is wrong with it to the problems."""
    try:
        return find_signing_key(flag, os.environ, directory) is not None
    except ConfigError as error:
        problems += error.problems
        return False


def _reach_problems(
    brokers: str, properties: list[str] | None, definition: PlantDefinition | None
) -> list[str]:
    try:
        found = partition_counts(brokers, properties_of(properties))
    except ConfigError as error:
        return list(error.problems)
    if definition is None:
        return []
    return topic_problems({topic.name: definition.partitions for topic in TOPICS}, found)


def _registry_problems(plant: Plant) -> list[str]:
    url = os.environ.get(REGISTRY_VARIABLE)
    if not url:
        return []
    problems: list[str] = []
    for stream in plant.definition.streams:
        try:
            registered(Registry(url), EVENTS, plant.schemas[stream.event])
            writers(Registry(url), EVENTS, [stream.event])
        except ConfigError as error:
            problems += error.problems
    return problems


def _document(
    definition: PlantDefinition | None, brokers: str | None, problems: list[str]
) -> dict[str, object]:
    streams = definition.streams if definition else ()
    return {
        "ok": not problems,
        "problems": problems,
        "plant": definition.plant if definition else None,
        "partitions": definition.partitions if definition else None,
        "bootstrap": brokers,
        "streams": [
            {
                "name": stream.name,
                "event": stream.event,
                "kind": stream.kind,
                "features": [feature.name for feature in stream.features],
                "models": list(stream.pipelines),
            }
            for stream in streams
        ],
    }

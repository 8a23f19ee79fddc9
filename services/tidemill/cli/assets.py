"""`tidemill assets`: which assets have models, and letting one go, as an action in the ledger."""

import json
import os
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tidemill.cli import unwatching
from tidemill.cli.directory import DirectoryOption, JsonOption
from tidemill.cli.options import (
    DEFAULT_DEFINITION,
    Bootstrap,
    DefinitionFile,
    Execute,
    Properties,
    bootstrap_of,
    properties_of,
)
from tidemill.cli.skip import INPUTS, Actor, KeyFile, in_the_way
from tidemill.contracts.stream import ASSET_TYPE
from tidemill.contracts.topics import LEDGER, SNAPSHOTS, group_of
from tidemill.kernel.errors import ConfigError
from tidemill.local.connection import DEFAULT_DIRECTORY
from tidemill.runtime.clients import KafkaClients
from tidemill.runtime.kafka_log import KafkaLog
from tidemill.runtime.keys import signing_key
from tidemill.runtime.plant_files import read_definition
from tidemill.runtime.reach import partition_counts, topic_problems
from tidemill.runtime.sole_member import SoleMember, members

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tidemill.contracts.definition import PlantDefinition
    from tidemill.fold.retiring import Census, Farewell, Leaving
    from tidemill.fold.snapshots import SigningKey

NAME = "retire"

app = typer.Typer(help="The assets that have models; letting one go.", no_args_is_help=True)

Asset = Annotated[
    str, typer.Argument(help="As its events name it.", metavar="ASSET", show_default=False)
]
OfAsset = Annotated[
    str | None, typer.Option("--asset", help="Only this asset.", show_default=False)
]
Stream = Annotated[
    str | None, typer.Option(help="Only its models of this stream.", show_default=False)
]


@app.command("list")
def list_(
    *,
    bootstrap: Bootstrap = None,
    properties: Properties = None,
    directory: DirectoryOption = DEFAULT_DIRECTORY,
    asset: OfAsset = None,
    stream: Stream = None,
    as_json: JsonOption = False,
) -> None:
    """List assets and their models, by snapshots and ledger; nothing is verified.

    The time is when a snapshot or ledger entry of the model was last written. Where new models
    start from the stream, its asset type is listed too: one of each partition, without a name.
    """
    brokers, settings = bootstrap_of(bootstrap, directory), properties_of(properties)
    count = partition_counts(brokers, settings).get(LEDGER, 0)
    found = _censuses(KafkaClients(brokers, settings), range(count))
    rows = [
        {
            "partition": partition,
            "stream": key.stream,
            "asset": key.asset,
            "model": key.model,
            "is_type": key.asset == ASSET_TYPE,
            "version": held.version,
            "entry": held.entry,
            "written": datetime.fromtimestamp(held.at_ms / 1000, UTC).isoformat(),
        }
        for partition, census in found.items()
        for key, held in sorted(census.items())
        if asset in {None, key.asset} and stream in {None, key.stream}
    ]
    if as_json:
        typer.echo(json.dumps({"models": rows}))
        return
    for row in rows:
        who = f"(asset type, partition {row['partition']})" if row["is_type"] else row["asset"]
        said = "{stream} {who} {model} version {version}, {written}"
        typer.echo(said.format(**row, who=who))
    names = {(row["stream"], row["asset"]) for row in rows if not row["is_type"]}
    of_types = sum(bool(row["is_type"]) for row in rows)
    also = f", {of_types} of them of asset types" if of_types else ""
    typer.echo(f"{len(names)} assets, {len(rows)} models{also}")


@app.command()
def retire(  # noqa: PLR0913 - one parameter per option of the command
    asset: Asset,
    *,
    actor: Actor,
    stream: Stream = None,
    definition: DefinitionFile = DEFAULT_DEFINITION,
    bootstrap: Bootstrap = None,
    properties: Properties = None,
    directory: DirectoryOption = DEFAULT_DIRECTORY,
    key_file: KeyFile = None,
    execute: Execute = False,
    as_json: JsonOption = False,
) -> None:
    """Let the models of an asset go: one that was dismantled, or never was one.

    What the drift processor knows of it goes, too. A dry run until --execute, for which all
    learners and drift processors must be stopped; one that ended is a member of its group for 10 s
    more. Should events of the asset come again, it starts anew.
    """
    from tidemill.fold.retiring import Leaving  # noqa: PLC0415 - River takes a second to import
    from tidemill.fold.snapshots import SigningKey  # noqa: PLC0415 - as above

    plant = read_definition(definition)
    brokers, settings = bootstrap_of(bootstrap, directory), properties_of(properties)
    counts = partition_counts(brokers, settings)
    problems = topic_problems(dict.fromkeys((*INPUTS, LEDGER, SNAPSHOTS), plant.partitions), counts)
    if problems:
        raise ConfigError(problems)
    signing = SigningKey(signing_key(key_file, os.environ, directory))
    busy = _busy(brokers, settings, plant)
    workers = [name for found in busy.values() for name in found]
    in_ways = [in_the_way(*each) for each in busy.items()]
    if execute and in_ways:
        raise ConfigError(in_ways)
    clients = KafkaClients(brokers, settings)
    leaving = Leaving(asset, actor, stream)
    partitions = _partitions_of(leaving, _censuses(clients, range(plant.partitions)))
    # First what is watched: where it stops half way, the models are there to be named again.
    whom = (leaving, signing)
    watched = unwatching.unwatch(
        clients, plant, counts, whom=whom, partitions=partitions, name=NAME, is_done=execute
    )
    done = _retire_all(clients, plant, whom, partitions=partitions, is_done=execute)
    for each in done:
        each["watched"] = watched.get(each["partition"])
    document = {"executed": execute, "asset": asset, "workers": workers, "partitions": done}
    if as_json:
        typer.echo(json.dumps(document))
        return
    _say(document)
    if not execute:
        for said in in_ways:
            typer.echo(f"before --execute: {said}", err=True)


def _busy(
    brokers: str, settings: "Mapping[str, str]", plant: "PlantDefinition"
) -> dict[str, list[str]]:
    """Return the groups that have workers, and those."""
    groups = (group_of(plant.plant, "learner"), unwatching.group(plant))
    found = {
        group: [name for name in members(brokers, settings, group) if name != NAME]
        for group in groups
    }
    return {group: names for group, names in found.items() if names}


def _retire_all(
    clients: KafkaClients,
    plant: "PlantDefinition",
    whom: "tuple[Leaving, SigningKey]",
    *,
    partitions: "Sequence[int]",
    is_done: bool,
) -> list[dict[str, Any]]:  # Any: JSON
    """Retire the asset on all partitions that have it, or find out what that would do."""
    member = SoleMember(
        clients,
        INPUTS,
        group=group_of(plant.plant, "learner"),
        name=NAME,
        partitions=plant.partitions,
        clock=time.monotonic,
    )
    try:
        if is_done:
            member.join()
        return [
            _retire(clients, member, (partition, *whom), is_done=is_done)
            for partition in partitions
        ]
    finally:
        member.close()


def _censuses(clients: KafkaClients, partitions: "Sequence[int]") -> "dict[int, Census]":
    from tidemill.fold.audit.starting import drained  # noqa: PLC0415 - as above
    from tidemill.fold.retiring import census  # noqa: PLC0415 - as above

    log = KafkaLog(clients)
    try:
        return {partition: drained(census(log, partition)) for partition in partitions}
    finally:
        log.close()


def _partitions_of(leaving: "Leaving", found: "dict[int, Census]") -> list[int]:
    """Return the partitions with models of the asset.

    Raises:
        ConfigError: There are none.
    """
    partitions = [
        partition
        for partition, census in found.items()
        if any(
            key.asset == leaving.asset and leaving.stream in {None, key.stream} for key in census
        )
    ]
    if not partitions:
        where = "" if leaving.stream is None else f" of stream {leaving.stream}"
        msg = (
            f"ASSET: must have models{where}, {leaving.asset!r} has none; "
            "`tidemill assets list` shows which have"
        )
        raise ConfigError([msg])
    return partitions


def _retire(
    clients: KafkaClients,
    member: SoleMember,
    what: "tuple[int, Leaving, SigningKey]",
    *,
    is_done: bool,
) -> dict[str, Any]:  # Any: JSON
    """Retire the asset on one partition, or find out what that would do."""
    from tidemill.fold.retiring import prepare, retire  # noqa: PLC0415 - as above

    partition, leaving, signing = what
    committed = member.committed(partition)
    log = KafkaLog(clients)
    try:
        farewell = member.drive(
            lambda: prepare(log, partition, committed, leaving=leaving, signing=signing)
        )
    finally:
        log.close()
    document = _document(partition, farewell)
    if is_done:
        emits, positions = retire(farewell, signing)
        member.commit(emits, {(topic, partition): at for topic, at in positions.items()})
    return document


def _document(partition: int, farewell: "Farewell") -> dict[str, Any]:  # Any: JSON
    models = [
        {"model": tracked.key.encode().decode(), "version": tracked.state.version}
        for tracked in farewell.models
    ]
    return {"partition": partition, "entry": farewell.entry, "models": models}


def _say(document: dict[str, Any]) -> None:  # Any: a JSON document
    for each in document["partitions"]:
        for model in each["models"]:
            typer.echo(f"{model['model']}: version {model['version']}")
        watched = each["watched"]
        for stream in watched["streams"] if watched else ():
            typer.echo(f"{stream}|{document['asset']}: what is watched for drift")
        if document["executed"]:
            where = f"ledger entry {each['entry']} of partition {each['partition']}"
            typer.echo(f"{where} says that they are gone")
    if document["executed"]:
        typer.echo("start the workers again: they have their partitions when this command's own")
        typer.echo("session has timed out, within 10 s")
    else:
        typer.echo("nothing was done: --execute lets these models go", err=True)

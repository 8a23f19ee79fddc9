"""`tidemill produce`: a CSV as sensor events, and as labels where it has them."""

import os
import random
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from fastavro import parse_schema

from tidemill.cli.directory import DirectoryOption
from tidemill.cli.options import (
    DEFAULT_DEFINITION,
    Bootstrap,
    ColumnsOption,
    DefinitionFile,
    DelimiterOption,
    Properties,
    TransposeOption,
    bootstrap_of,
    names_of,
    pairs_of,
    properties_of,
)
from tidemill.contracts.codec import Codec, codec, our_lock, plain_times
from tidemill.contracts.definition import PlantDefinition
from tidemill.contracts.id_lock import locked_id
from tidemill.contracts.quantities import parse_distance, parse_duration_s
from tidemill.contracts.stream import StreamDefinition
from tidemill.contracts.topics import EVENTS, LABELS
from tidemill.kernel.errors import ConfigError
from tidemill.local.connection import DEFAULT_DIRECTORY
from tidemill.runtime.csv_events import CsvEvents, Filling
from tidemill.runtime.csv_labels import LabelPlan, Labels, Outgoing, interleaved
from tidemill.runtime.csv_table import Layout, open_table
from tidemill.runtime.plant_files import Plant, read_plant
from tidemill.runtime.reach import partition_counts, topic_problems
from tidemill.runtime.registry import REGISTRY_VARIABLE, Registry, registered
from tidemill.runtime.sending import Sender

T = TypeVar("T")
Csv = Annotated[Path, typer.Argument(help="The CSV.", metavar="FILE.csv", show_default=False)]
Stream = Annotated[str | None, typer.Option(help="Stream; needed where there are several.")]
Map = Annotated[list[str] | None, typer.Option("--map", help="column=field; repeatable.")]
Asset = Annotated[str | None, typer.Option(help="A column, or the asset's path itself.")]
Time = Annotated[str | None, typer.Option("--time", help="The column of event time.")]
Start = Annotated[str | None, typer.Option(help="First event time, where the file has none.")]
Step = Annotated[str, typer.Option(help="Time from one synthesised event to the next.")]
Rate = Annotated[float, typer.Option(min=0.0, help="Events per second; 0: as fast as possible.")]
Label = Annotated[str | None, typer.Option(help="Column to send to plant.labels.")]
LabelDelay = Annotated[str | None, typer.Option(help="Events of the asset (500) or time (2h).")]
LabelMissing = Annotated[float, typer.Option(help="Share of labels that never come.")]
Seed = Annotated[int, typer.Option(help="Seed of the missing labels.")]


def produce(  # noqa: PLR0913 - one parameter per option of the command
    file: Csv,
    *,
    definition: DefinitionFile = DEFAULT_DEFINITION,
    bootstrap: Bootstrap = None,
    properties: Properties = None,
    directory: DirectoryOption = DEFAULT_DIRECTORY,
    stream: Stream = None,
    mapping: Map = None,
    asset: Asset = None,
    time_column: Time = None,
    start: Start = None,
    step: Step = "1s",
    rate: Rate = 0.0,
    label: Label = None,
    label_delay: LabelDelay = None,
    label_missing: LabelMissing = 0.0,
    seed: Seed = 0,
    delimiter: DelimiterOption = None,
    columns: ColumnsOption = None,
    transpose: TransposeOption = False,
) -> None:
    """Write a CSV as sensor events, all acknowledged or exit 1. Every row is checked first."""
    plant = read_plant(definition)
    chosen = _stream(plant.definition, stream)
    table = open_table(
        file, Layout(delimiter=delimiter, columns=names_of(columns), transpose=transpose)
    )
    filling = Filling(
        renames=pairs_of("--map", mapping),
        asset=asset,
        time=time_column,
        start=start,
        step_s=_checked("--step", parse_duration_s, step),
    )
    events = CsvEvents(chosen, plant.schemas[chosen.event], table, filling)
    labels = None
    if label is not None:
        delay = (
            0.0 if label_delay is None else _checked("--label-delay", parse_distance, label_delay)
        )
        plan = LabelPlan(column=label, delay=delay, missing=label_missing)
        labels = Labels(plan, chosen, table, random.Random(seed))
    events.check(labels.check if labels else None)
    for note in events.notes:
        typer.echo(f"note: {note}", err=True)
    encoders = _encoders(plant, chosen.event)
    brokers, settings = bootstrap_of(bootstrap, directory), properties_of(properties)
    topics = dict.fromkeys((EVENTS, LABELS) if labels else (EVENTS,), plant.definition.partitions)
    problems = topic_problems(topics, partition_counts(brokers, settings))
    if problems:
        raise ConfigError(problems)
    _send(interleaved(events, labels), Sender(brokers, settings), encoders, rate)


def _send(
    records: Iterable[Outgoing], sender: Sender, encoders: Mapping[str, Codec], rate: float
) -> None:
    begun = time.monotonic()
    for topic, key, record in records:
        if topic == EVENTS and rate > 0:
            sender.wait_until(begun + sender.sent[EVENTS] / rate)
        if sender.failure is not None:
            break
        sender.send(topic, key=key, value=encoders[topic].encode(record))
    complete = sender.finish()
    if sender.failure is not None:
        typer.echo(f"not all was acknowledged: {sender.failure}", err=True)
    done = sender.acknowledged
    typer.echo(f"wrote {done[EVENTS]} events to {EVENTS}, {done[LABELS]} labels to {LABELS}")
    if not complete:
        raise typer.Exit(1)


def _encoders(plant: Plant, event: str) -> dict[str, Codec]:
    """Return the codecs of both topics, with the registry's ids where one is configured."""
    label = codec("Label")
    schema = plant.schemas[event]
    schema_id = locked_id(plant.writer_schemas, schema)
    url = os.environ.get(REGISTRY_VARIABLE)
    if url:
        registry = Registry(url)
        schema_id = registered(registry, EVENTS, schema)
        label = replace(label, schema_id=registered(registry, LABELS, our_lock()[label.schema_id]))
    if schema_id is None:
        raise ConfigError([f"{event}: must have an id; run `tidemill schemas lock`"])
    return {EVENTS: Codec(schema_id, parse_schema(plain_times(schema)), {}), LABELS: label}


def _stream(definition: PlantDefinition, name: str | None) -> StreamDefinition:
    streams = {stream.name: stream for stream in definition.streams}
    if name is None and len(streams) == 1:
        return definition.streams[0]
    if name not in streams:
        raise ConfigError([f"--stream: must be one of {', '.join(streams)}, was {name}"])
    return streams[name]


def _checked(option: str, parse: Callable[[object], T], given: str) -> T:
    try:
        return parse(float(given) if option == "--step" and given.isdecimal() else given)
    except ValueError as error:
        raise ConfigError([f"{option}: {error}"]) from error

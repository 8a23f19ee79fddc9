"""`tidemill tail`: a topic's records, decoded, as JSON lines."""

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Annotated

import typer

from tidemill.cli.directory import DirectoryOption
from tidemill.cli.options import (
    DEFAULT_DEFINITION,
    Bootstrap,
    DefinitionFile,
    Properties,
    bootstrap_of,
    properties_of,
)
from tidemill.contracts.codec import JsonSchema, our_lock
from tidemill.kernel.errors import ConfigError
from tidemill.kernel.records import Message
from tidemill.local.connection import DEFAULT_DIRECTORY
from tidemill.runtime.clients import KafkaClients
from tidemill.runtime.json_lines import JsonLines
from tidemill.runtime.plant_files import read_definition, read_records
from tidemill.runtime.reach import partition_counts
from tidemill.runtime.registry import REGISTRY_VARIABLE, Registry
from tidemill.runtime.tailing import BEGINNING, Place, follow

TopicName = Annotated[str, typer.Argument(help="The topic.", metavar="TOPIC", show_default=False)]
Offset = Annotated[
    str,
    typer.Option("-o", "--offset", help="Where to start: beginning, end, N, or -N from the end."),
]
Count = Annotated[
    int | None, typer.Option("-c", "--count", min=1, help="End after so many records.")
]
ExitAtEnd = Annotated[bool, typer.Option("-e", "--exit", help="End at the end of the topic.")]
Partition = Annotated[int | None, typer.Option("-p", "--partition", min=0, help="Only this one.")]


def tail(  # noqa: PLR0913 - one parameter per option of the command
    topic: TopicName,
    definition: DefinitionFile = DEFAULT_DEFINITION,
    bootstrap: Bootstrap = None,
    properties: Properties = None,
    *,
    directory: DirectoryOption = DEFAULT_DIRECTORY,
    offset: Offset = BEGINNING,
    count: Count = None,
    exit_at_end: ExitAtEnd = False,
    partition: Partition = None,
) -> None:
    """Print the committed records of a topic, one JSON document per line.

    Times are ISO 8601, bytes hex, NaN and the infinities strings; a dead letter or a value that
    cannot be decoded is hex. The plant's own records are read with the schemas that the
    definition names, or those of the registry.
    """
    place = Place(offset)
    lines = JsonLines(schema_lookup(definition))
    brokers, settings = bootstrap_of(bootstrap, directory), properties_of(properties)
    partitions = _partitions(topic, partition, partition_counts(brokers, settings))
    clients = KafkaClients(brokers, settings)
    batches = follow(
        clients.reader(),
        topic,
        partitions,
        place,
        is_endless=not exit_at_end,
        failures=clients.failures.take,
    )
    try:
        _print(batches, lines, count)
    except KeyboardInterrupt:
        raise typer.Exit(0) from None
    except BrokenPipeError:
        # Nobody reads on; Python would say so once more when it closes the stream.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(0) from None
    finally:
        batches.close()


def _print(batches: Iterable[list[Message]], lines: JsonLines, count: int | None) -> None:
    for message in islice(chain.from_iterable(_flushed(batches)), count):
        sys.stdout.write(lines.line(message) + "\n")
    sys.stdout.flush()


def _flushed(batches: Iterable[list[Message]]) -> Iterator[list[Message]]:
    """Pass batches on, each after the one before was shown."""
    for batch in batches:
        yield batch
        if batch:
            sys.stdout.flush()


def schema_lookup(definition: Path) -> Callable[[int], JsonSchema | None]:
    """Return what finds a schema by id: ours, the plant's where it has a file, the registry's."""
    known = dict(our_lock()) | _plant_lock(definition)
    url = os.environ.get(REGISTRY_VARIABLE)
    registry = Registry(url) if url else None

    def find(schema_id: int) -> JsonSchema | None:
        found = known.get(schema_id)
        return registry.schema(schema_id) if found is None and registry else found

    return find


def _plant_lock(definition: Path) -> dict[int, JsonSchema]:
    """Return the plant's schemas by id; the definition in this folder may be absent or broken."""
    is_named = definition != DEFAULT_DEFINITION
    if not is_named and not definition.exists():
        return {}
    try:
        return read_records(definition.parent / read_definition(definition).schemas).lock
    except ConfigError as error:
        if is_named:
            raise
        typer.echo(f"{definition}: left out: {'; '.join(error.problems)}", err=True)
        return {}


def _partitions(topic: str, chosen: int | None, counts: dict[str, int]) -> list[int]:
    if topic not in counts:
        have = ", ".join(sorted(name for name in counts if not name.startswith("__"))) or "none"
        raise ConfigError([f"TOPIC: must be a topic of the cluster, was {topic}; it has {have}"])
    if chosen is None:
        return list(range(counts[topic]))
    if chosen >= counts[topic]:
        raise ConfigError([f"-p: must be less than {counts[topic]}, was {chosen}"])
    return [chosen]

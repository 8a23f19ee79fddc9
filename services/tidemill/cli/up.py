"""`tidemill up`: the embedded Kafka, and where asked for a Schema Registry, in the background."""

import json
from typing import Annotated

import typer

from tidemill.cli.directory import DirectoryOption, JsonOption, describe
from tidemill.local.connection import DEFAULT_DIRECTORY, ensure_signing_key, signing_key_path
from tidemill.local.kafka import EmbeddedKafka
from tidemill.local.registry import EmbeddedRegistry


def up(
    directory: DirectoryOption = DEFAULT_DIRECTORY,
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Port for clients; by default a free one.")
    ] = None,
    *,
    registry: Annotated[
        bool, typer.Option("--registry", help="Start a Schema Registry too (109 MB, fetched once).")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Start the embedded Kafka of a directory in the background; harmless when it runs."""
    broker = EmbeddedKafka(directory, port=port)
    note = broker.start()
    if note:
        typer.echo(note, err=True)
    if registry:
        url = EmbeddedRegistry(directory).start()
        typer.echo(f"Schema Registry at {url}", err=True)
    ensure_signing_key(signing_key_path(directory))
    if as_json:
        typer.echo(json.dumps(describe(directory, broker)))
        return
    typer.echo(f"Kafka at {broker.bootstrap} (process {broker.pid}, directory {directory})")
    typer.echo(f'next: eval "$(tidemill env --dir {directory})"')

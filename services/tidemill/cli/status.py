"""`tidemill status`: whether the embedded Kafka of a directory runs."""

import json

import typer

from tidemill.cli.directory import DirectoryOption, JsonOption, describe
from tidemill.local.connection import DEFAULT_DIRECTORY
from tidemill.local.kafka import EmbeddedKafka


def status(directory: DirectoryOption = DEFAULT_DIRECTORY, *, as_json: JsonOption = False) -> None:
    """Say whether the embedded Kafka of a directory runs: exit 0 if so, 1 if not."""
    broker = EmbeddedKafka(directory)
    document = describe(directory, broker)
    note = broker.unexpected_end()
    if as_json:
        typer.echo(json.dumps(document | {"note": note}))
    elif document["running"]:
        typer.echo(f"Kafka at {document['bootstrap']} (process {document['pid']})")
    else:
        typer.echo(f"{note or 'no broker runs'}; start it: tidemill up --dir {directory}")
    if not document["running"]:
        raise typer.Exit(1)

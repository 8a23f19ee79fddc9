"""`tidemill down`: end the embedded Kafka of a directory."""

import typer

from tidemill.cli.directory import DirectoryOption
from tidemill.local.connection import DEFAULT_DIRECTORY
from tidemill.local.kafka import EmbeddedKafka


def down(directory: DirectoryOption = DEFAULT_DIRECTORY) -> None:
    """End the embedded Kafka of a directory, and nothing else; its data is kept."""
    broker = EmbeddedKafka(directory)
    note = broker.unexpected_end()
    if broker.stop():
        typer.echo(f"stopped; the data in {directory} is kept")
    else:
        typer.echo(note or f"no broker runs in {directory}")

"""`tidemill down`: end the embedded parts of a directory."""

import typer

from tidemill.cli.directory import DirectoryOption
from tidemill.local.connection import DEFAULT_DIRECTORY
from tidemill.local.kafka import EmbeddedKafka
from tidemill.local.redis import EmbeddedRedis
from tidemill.local.registry import EmbeddedRegistry


def down(directory: DirectoryOption = DEFAULT_DIRECTORY) -> None:
    """End the embedded Kafka of a directory, its Redis and its registry; their data is kept."""
    if EmbeddedRegistry(directory).stop():
        typer.echo("stopped the Schema Registry; its schemas and ids are kept")
    redis = EmbeddedRedis(directory)
    redis_note = redis.unexpected_end()
    if redis.stop():
        typer.echo("stopped Redis; its data is kept")
    elif redis_note:
        typer.echo(redis_note)
    broker = EmbeddedKafka(directory)
    note = broker.unexpected_end()
    if broker.stop():
        typer.echo(f"stopped; the data in {directory} is kept")
    else:
        typer.echo(note or f"no broker runs in {directory}")

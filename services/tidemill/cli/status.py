"""`tidemill status`: whether the embedded parts of a directory run."""

import json

import typer

from tidemill.cli.directory import DirectoryOption, JsonOption, describe
from tidemill.local.connection import DEFAULT_DIRECTORY
from tidemill.local.kafka import EmbeddedKafka
from tidemill.local.redis import EmbeddedRedis


def status(directory: DirectoryOption = DEFAULT_DIRECTORY, *, as_json: JsonOption = False) -> None:
    """Say whether the embedded Kafka and Redis of a directory run: exit 0 if so, 1 if not.

    A Redis that was never started, or was stopped, is not missed.
    """
    broker = EmbeddedKafka(directory)
    redis = EmbeddedRedis(directory)
    document = describe(directory, broker)
    note = broker.unexpected_end()
    redis_note = redis.unexpected_end()
    way_out = f"start it: tidemill up --dir {directory}"
    if as_json:
        typer.echo(json.dumps(document | {"note": note, "redis_note": redis_note}))
    else:
        if document["running"]:
            typer.echo(f"Kafka at {document['bootstrap']} (process {document['pid']})")
        else:
            typer.echo(f"{note or 'no broker runs'}; {way_out}")
        if redis.address:
            typer.echo(f"Redis at {redis.address} (process {redis.pid})")
        elif redis_note:
            typer.echo(f"{redis_note}; {way_out}")
    if not document["running"] or redis_note:
        raise typer.Exit(1)

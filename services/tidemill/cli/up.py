"""`tidemill up`: the embedded Kafka and Redis, and a Schema Registry where asked for."""

import json
from pathlib import Path
from typing import Annotated

import typer

from tidemill.cli.directory import DirectoryOption, JsonOption, describe
from tidemill.local.connection import DEFAULT_DIRECTORY, ensure_signing_key, signing_key_path
from tidemill.local.kafka import EmbeddedKafka
from tidemill.local.redis import EmbeddedRedis
from tidemill.local.redis_server import NoServerError
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
    """Start the embedded Kafka and Redis of a directory in the background; harmless when they run.

    Where no redis-server is to be had, Kafka runs alone, and one line says what to install.
    """
    broker = EmbeddedKafka(directory, port=port)
    note = broker.start()
    if note:
        typer.echo(note, err=True)
    redis = _start_redis(directory)
    if registry:
        url = EmbeddedRegistry(directory).start()
        typer.echo(f"Schema Registry at {url}", err=True)
    ensure_signing_key(signing_key_path(directory))
    if as_json:
        typer.echo(json.dumps(describe(directory, broker)))
        return
    typer.echo(f"Kafka at {broker.bootstrap} (process {broker.pid}, directory {directory})")
    if redis.address:
        typer.echo(f"Redis at {redis.address} (process {redis.pid})")
    typer.echo(f'next: eval "$(tidemill env --dir {directory})"')


def _start_redis(directory: Path) -> EmbeddedRedis:
    redis = EmbeddedRedis(directory)
    try:
        note = redis.start()
    except NoServerError as error:
        note = f"{error}; Kafka runs without it"
    if note:
        typer.echo(note, err=True)
    return redis

"""The directory of the embedded parts, as an option and as a document."""

from pathlib import Path
from typing import Annotated

import typer

from tidemill.local.connection import signing_key_path
from tidemill.local.kafka import EmbeddedKafka
from tidemill.local.redis import EmbeddedRedis
from tidemill.local.registry import EmbeddedRegistry

DirectoryOption = Annotated[
    Path, typer.Option("--dir", help="Directory of the embedded parts.", show_default=True)
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


def describe(directory: Path, broker: EmbeddedKafka) -> dict[str, str | int | bool | None]:
    """Return what `up` and `status` print as JSON."""
    pid = broker.pid
    redis = EmbeddedRedis(directory)
    key = signing_key_path(directory)
    return {
        "directory": str(directory.resolve()),
        "running": pid is not None,
        "bootstrap": broker.bootstrap if pid is not None else None,
        "redis_url": redis.url,
        "schema_registry_url": EmbeddedRegistry(directory).url,
        "pid": pid,
        "redis_pid": redis.pid,
        "signing_key_file": str(key) if key.exists() else None,
    }

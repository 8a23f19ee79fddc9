"""`tidemill env`: the connection of a directory's parts, for a shell."""

import shlex

import typer

from tidemill.cli.directory import DirectoryOption
from tidemill.local.connection import (
    BOOTSTRAP_VARIABLE,
    DEFAULT_DIRECTORY,
    REDIS_VARIABLE,
    SIGNING_KEY_VARIABLE,
    ensure_signing_key,
    resolve_bootstrap,
    signing_key_path,
)
from tidemill.local.redis import EmbeddedRedis
from tidemill.local.registry import EmbeddedRegistry
from tidemill.runtime.registry import REGISTRY_VARIABLE


def env(directory: DirectoryOption = DEFAULT_DIRECTORY) -> None:
    """Print `export` lines for the embedded parts: eval "$(tidemill env)"."""
    bootstrap = resolve_bootstrap(None, {}, directory)
    key = ensure_signing_key(signing_key_path(directory))
    parts = {BOOTSTRAP_VARIABLE: bootstrap, SIGNING_KEY_VARIABLE: str(key)}
    if redis := EmbeddedRedis(directory).url:
        parts[REDIS_VARIABLE] = redis
    if url := EmbeddedRegistry(directory).url:
        parts[REGISTRY_VARIABLE] = url
    for name, value in parts.items():
        typer.echo(f"export {name}={shlex.quote(value)}")

"""Which broker, and which signing key: flag, variable, or the instance of a directory."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from tidemill.kernel.errors import ConfigError
from tidemill.local.disk import disk_errors
from tidemill.local.instance import Home

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_DIRECTORY = Path(".tidemill")
BOOTSTRAP_VARIABLE = "TIDEMILL_BOOTSTRAP"
SIGNING_KEY_VARIABLE = "TIDEMILL_SIGNING_KEY_FILE"
SIGNING_KEY_NAME = "signing.key"
SIGNING_KEY_BYTES = 32


def resolve_bootstrap(
    flag: str | None, environ: Mapping[str, str], directory: Path = DEFAULT_DIRECTORY
) -> str:
    """Return where to connect: the flag, else the variable, else what runs in `directory`.

    Raises:
        ConfigError: None of them names a broker.
    """
    named = flag or environ.get(BOOTSTRAP_VARIABLE)
    if named:
        return named
    instance = Home.of(directory).load()
    if instance is not None and instance.running():
        return instance.bootstrap
    msg = (
        f"a broker must be named by -b or {BOOTSTRAP_VARIABLE}, or run in {directory}, found "
        f"none; start one: tidemill up --dir {directory}"
    )
    raise ConfigError([msg])


def signing_key_path(directory: Path) -> Path:
    """Return where the signing key made for a directory is kept."""
    return directory.resolve() / SIGNING_KEY_NAME


def ensure_signing_key(path: Path) -> Path:
    """Make a signing key, 32 random bytes as hex, for its owner only; keep one that is there.

    Returns:
        The absolute path.
    """
    path = path.absolute()
    if path.exists():
        return path
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        try:
            file = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(file, "w", encoding="ascii") as stream:
                stream.write(secrets.token_hex(SIGNING_KEY_BYTES) + "\n")
            os.link(scratch, path)
        except FileExistsError:  # another process was first: its key is the key
            return path
        finally:
            scratch.unlink(missing_ok=True)
    return path

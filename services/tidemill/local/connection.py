"""Which broker, Redis and signing key: flag, variable, or the instance of a directory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tidemill.kernel.errors import ConfigError
from tidemill.local.instance import Home
from tidemill.local.redis import EmbeddedRedis
from tidemill.local.secret_file import ensure_secret

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_DIRECTORY = Path(".tidemill")
BOOTSTRAP_VARIABLE = "TIDEMILL_BOOTSTRAP"
REDIS_VARIABLE = "TIDEMILL_REDIS_URL"
SIGNING_KEY_VARIABLE = "TIDEMILL_SIGNING_KEY_FILE"
SIGNING_KEY_NAME = "signing.key"


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


def resolve_redis(
    flag: str | None, environ: Mapping[str, str], directory: Path = DEFAULT_DIRECTORY
) -> str:
    """Return Redis's URL: the flag, else the variable, else that of what runs in `directory`.

    Raises:
        ConfigError: None of them names one.
    """
    named = flag or environ.get(REDIS_VARIABLE) or EmbeddedRedis(directory).url
    if named:
        return named
    msg = (
        f"Redis must be named by {REDIS_VARIABLE}, or run in {directory}, found none; start one: "
        f"tidemill up --dir {directory}"
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
    return ensure_secret(path)

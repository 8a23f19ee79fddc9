"""The signing key, read from a file; never a default."""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from tidemill.kernel.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

VARIABLE = "TIDEMILL_SIGNING_KEY_FILE"
KEY_BYTES = 32
KEY_IN_DIRECTORY = "signing.key"


def find_signing_key(
    flag: Path | None, environ: Mapping[str, str], directory: Path
) -> bytes | None:
    """Return the key named by flag or variable, else the one made for `directory`; None if none.

    Raises:
        ConfigError: The file named is no key, or others may read it.
    """
    named = flag or (Path(environ[VARIABLE]) if environ.get(VARIABLE) else None)
    if named is not None:
        return read_key_file(named)
    made = directory / KEY_IN_DIRECTORY
    return read_key_file(made) if made.exists() else None


def signing_key(flag: Path | None, environ: Mapping[str, str], directory: Path) -> bytes:
    """Return the signing key; see `find_signing_key`.

    Raises:
        ConfigError: There is none, or the file named is no key.
    """
    key = find_signing_key(flag, environ, directory)
    if key is None:
        msg = (
            f"a signing key must be named by --signing-key or {VARIABLE}, found none; "
            "make one: tidemill keygen FILE"
        )
        raise ConfigError([msg])
    return key


def write_key_file(path: Path) -> None:
    """Make a key, random and for its owner only.

    Raises:
        ConfigError: The file exists, or cannot be written.
    """
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        reason = "must not exist yet; what was signed with a key is lost with it: name another file"
        raise ConfigError([f"{path}: {reason}"]) from error
    except OSError as error:
        raise ConfigError([f"{path}: must be writable, found {error}"]) from error
    try:
        with os.fdopen(file, "w", encoding="ascii") as stream:
            stream.write(secrets.token_hex(KEY_BYTES) + "\n")
    except OSError as error:
        path.unlink(missing_ok=True)
        raise ConfigError([f"{path}: must be writable, found {error}"]) from error


def read_key_file(path: Path) -> bytes:
    """Return the key in a file.

    Raises:
        ConfigError: Not 32 bytes as hex, or readable by others.
    """
    try:
        mode = path.stat().st_mode
        text = path.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([f"{path}: must be a readable key file: {error}"]) from error
    if mode & (stat.S_IRWXG | stat.S_IRWXO) & ~stat.S_IRGRP:
        found = oct(stat.S_IMODE(mode))
        raise ConfigError([f"{path}: must be closed to others (mode 0600 or 0640), was {found}"])
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise ConfigError(
            [f"{path}: must hold {KEY_BYTES} bytes as hex, found {len(text)} characters"]
        )
    return key

"""Secrets in files: made once, readable by their owner only."""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING

from tidemill.local.disk import disk_errors

if TYPE_CHECKING:
    from pathlib import Path

SECRET_BYTES = 32


def ensure_secret(path: Path) -> Path:
    """Make a secret, 32 random bytes as hex, for its owner only; keep one that is there.

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
            _write_new(scratch, secrets.token_hex(SECRET_BYTES) + "\n")
            os.link(scratch, path)
        except FileExistsError:  # another process was first: its secret is the secret
            return path
        finally:
            scratch.unlink(missing_ok=True)
    return path


def write_secret(path: Path, text: str) -> None:
    """Write a file that only its owner may read, in one step, in place of the one there is."""
    scratch = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    with disk_errors(path):
        try:
            _write_new(scratch, text)
            scratch.replace(path)
        finally:
            scratch.unlink(missing_ok=True)


def _write_new(path: Path, text: str) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(file, "w", encoding="utf-8") as stream:
        stream.write(text)

"""Disks that are full or closed to us, told in one line."""

from __future__ import annotations

import errno
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tidemill.kernel.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FULL = (errno.ENOSPC, errno.EDQUOT)
CLOSED = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST)
# An empty broker writes about 1 MiB; below this it dies at its first batches.
MIN_FREE_MIB = 64


def disk_full(path: Path) -> ConfigError:
    """Return the error for a disk that has no room for `path`."""
    msg = (
        f"the disk of {path} must have room, it is full; free some space, or choose another "
        "directory (--dir for the broker, TIDEMILL_CACHE for what was fetched)"
    )
    return ConfigError([msg])


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Translate what a disk refuses while we write below `path`.

    Raises:
        ConfigError: The disk, or the user's share of it, is full, or may not be written.
    """
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise disk_full(path) from error
        if error.errno in CLOSED:
            msg = (
                f"{path} must be writable, found: {error.strerror} ({error.filename}); choose "
                "another directory (--dir for the broker, TIDEMILL_CACHE for what was fetched)"
            )
            raise ConfigError([msg]) from error
        raise


def free_mib(path: Path) -> int:
    """Return the free MiB on the disk of an existing path."""
    return shutil.disk_usage(path).free >> 20


def check_room(path: Path) -> None:
    """Refuse a disk too full for a broker to start on.

    Raises:
        ConfigError: Less than `MIN_FREE_MIB` is free.
    """
    if free_mib(path) < MIN_FREE_MIB:
        msg = (
            f"at least {MIN_FREE_MIB} MiB must be free on the disk of {path}, found "
            f"{free_mib(path)}; free some space, or choose another --dir"
        )
        raise ConfigError([msg])

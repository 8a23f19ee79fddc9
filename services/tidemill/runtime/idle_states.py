"""States of idle models in a file that has no name: nothing of it outlives the process."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import MutableMapping
from contextlib import contextmanager
from typing import TYPE_CHECKING
from weakref import finalize

from tidemill.kernel.errors import ConfigError, InvariantError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Nothing here has to survive a crash, and nobody else looks.
_PRAGMAS = ("journal_mode = OFF", "synchronous = OFF", "locking_mode = EXCLUSIVE")
IN_MEMORY = ":memory:"


class IdleStates(MutableMapping[bytes, bytes]):
    """Bytes by name, on disk.

    Args:
        folder: Where the file is; None is where temporary files go, or memory where none may.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._connection = _connect(folder)
        # With the models of a partition that went to another worker, the file goes.
        finalize(self, self._connection.close)
        with _translated():
            for pragma in _PRAGMAS:
                self._run(f"PRAGMA {pragma}").close()
            self._run(
                "CREATE TABLE states (name BLOB PRIMARY KEY, state BLOB NOT NULL) WITHOUT ROWID"
            )

    def _run(self, statement: str, *values: bytes) -> sqlite3.Cursor:
        return self._connection.execute(statement, values)

    def __getitem__(self, name: bytes) -> bytes:
        with _translated():
            row = self._run("SELECT state FROM states WHERE name = ?", name).fetchone()
        if row is None:
            raise KeyError(name)
        state: bytes = row[0]
        return state

    def __setitem__(self, name: bytes, state: bytes) -> None:
        with _translated():
            self._run("INSERT OR REPLACE INTO states VALUES (?, ?)", name, state)

    def __delitem__(self, name: bytes) -> None:
        with _translated():
            found = self._run("DELETE FROM states WHERE name = ?", name).rowcount
        if not found:
            raise KeyError(name)

    def __iter__(self) -> Iterator[bytes]:
        with _translated():
            rows = self._run("SELECT name FROM states").fetchall()
        return iter([name for (name,) in rows])

    def __len__(self) -> int:
        with _translated():
            count: int = self._run("SELECT count(*) FROM states").fetchone()[0]
        return count

    def close(self) -> None:
        """Give the file back; what it held is gone."""
        self._connection.close()


def check_folder(folder: Path | None) -> None:
    """Refuse a folder in which no file can be made.

    Raises:
        ConfigError: It is one.
    """
    if folder is not None:
        IdleStates(folder).close()


def _connect(folder: Path | None) -> sqlite3.Connection:
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix="tidemill-idle-") as file:
            connection = _opened(file.name)
            # Touches the file, so that it is open before it loses its name.
            connection.execute("PRAGMA user_version").close()
            return connection
    except (OSError, sqlite3.Error) as error:
        if folder is not None:
            msg = f"--idle-folder: must be a folder that can be written to, {folder}: {error}"
            raise ConfigError([msg]) from error
        return _opened(IN_MEMORY)


def _opened(name: str) -> sqlite3.Connection:
    return sqlite3.connect(name, isolation_level=None, check_same_thread=False)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        msg = (
            f"the store of idle models must work, it said: {error}; free disk space and start "
            "again, nothing is lost"
        )
        raise InvariantError(msg) from error

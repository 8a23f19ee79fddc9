"""What a directory remembers of a server: cluster, ports and process, across restarts."""

from __future__ import annotations

import fcntl
import json
import os
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from tidemill.kernel.errors import ConfigError
from tidemill.local.disk import disk_errors
from tidemill.local.ports import HOST
from tidemill.local.process import Process

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FOLDER = "kafka"


@dataclass(frozen=True, slots=True)
class Instance:
    """One broker; `process` is the one last started and not stopped, it may have died since."""

    cluster_id: str
    port: int
    controller_port: int
    process: Process | None = None

    @property
    def bootstrap(self) -> str:
        """Where clients connect."""
        return f"{HOST}:{self.port}"

    def running(self) -> Process | None:
        """Return the process, if it is alive."""
        return self.process if self.process is not None and self.process.is_alive() else None


@dataclass(frozen=True, slots=True)
class Home:
    """The files of one broker, all below one folder of its directory."""

    folder: Path

    @classmethod
    def of(cls, directory: Path) -> Home:
        """Return the home of the broker of a directory."""
        return cls(directory.resolve() / FOLDER)

    @property
    def state(self) -> Path:
        """What is remembered, as JSON."""
        return self.folder / "state.json"

    @property
    def properties(self) -> Path:
        """The broker's configuration, written at each start."""
        return self.folder / "server.properties"

    @property
    def data(self) -> Path:
        """The topics."""
        return self.folder / "data"

    @property
    def laid_out(self) -> Path:
        """What Kafka's format tool writes last; names the cluster."""
        return self.data / "meta.properties"

    def cluster_id(self) -> str | None:
        """Return the cluster whose data is here, None where there is none."""
        try:
            text = self.laid_out.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        lines = (line.partition("=") for line in text.splitlines())
        return next((value for key, _, value in lines if key == "cluster.id"), None)

    @property
    def log(self) -> Path:
        """What the broker logs, warnings and errors, begun anew at each start."""
        return self.folder / "broker.log"

    def begin_log(self) -> None:
        """Put the log of the run before aside."""
        if self.log.exists():
            self.log.replace(self.folder / "broker.previous.log")

    @property
    def console(self) -> Path:
        """What the program prints, begun anew at each start."""
        return self.folder / "console.log"

    def begin_console(self) -> None:
        """Put what was printed by the run before aside."""
        if self.console.exists():
            self.console.replace(self.folder / "console.previous.log")

    def create(self) -> None:
        """Make the folder; keep its directory, which also holds a secret, out of repositories."""
        self.folder.mkdir(parents=True, exist_ok=True)
        ignore = self.folder.parent / ".gitignore"
        if not ignore.exists():
            ignore.write_text("*\n", encoding="utf-8")

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the only right to start or stop this broker; wait for who else has it."""
        with disk_errors(self.folder):
            self.create()
            file = (self.folder / "lock").open("w", encoding="utf-8")
        with file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def load(self) -> Instance | None:
        """Return what is remembered, None where no broker was ever started.

        Raises:
            ConfigError: The file is not what `save` wrote.
        """
        try:
            document = json.loads(self.state.read_text(encoding="utf-8"))
            process = document.pop("process")
            return Instance(**document, process=Process(**process) if process else None)
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            msg = (
                f"{self.state} must be the JSON written by `tidemill up`, found: {error}; end "
                "what it started, if that runs, and remove that file; the data is kept"
            )
            raise ConfigError([msg]) from error

    def save(self, instance: Instance) -> None:
        """Remember an instance, in one step."""
        scratch = self.state.with_suffix(f".{os.getpid()}")
        with disk_errors(self.state):
            scratch.write_text(json.dumps(asdict(instance), indent=2) + "\n", encoding="utf-8")
            scratch.replace(self.state)

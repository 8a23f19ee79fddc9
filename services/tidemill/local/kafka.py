"""The embedded Kafka: Apache Kafka itself, one broker in one directory."""

from __future__ import annotations

import base64
import os
import random
import uuid
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from tidemill.kernel.errors import ConfigError
from tidemill.local.configuration import server_properties
from tidemill.local.diagnosis import explain_end, port_taken
from tidemill.local.disk import check_room, disk_errors
from tidemill.local.instance import Home, Instance
from tidemill.local.java import Java
from tidemill.local.ports import is_free, pick_port
from tidemill.local.process import spawn
from tidemill.local.readiness import await_broker

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from tidemill.local.process import Process

START_PATIENCE_S = 120.0
STOP_PATIENCE_S = 60.0
HEAP_MB = 512


class EmbeddedKafka:
    """One broker in one directory; who else names that directory means the same broker.

    It outlives the process that started it, until `stop`. Port, cluster and data stay the
    directory's, so clients find a restarted broker again.
    """

    def __init__(
        self,
        directory: Path,
        *,
        port: int | None = None,
        heap_mb: int = HEAP_MB,
        settings: Mapping[str, str | int] | None = None,
        java: Java | None = None,
    ) -> None:
        """Name a broker; nothing is started.

        Args:
            directory: Where everything of it is kept; made on start.
            port: The clients' port; by default the one remembered, or any free one.
            heap_mb: The largest Java heap, in MiB.
            settings: Broker settings that replace the built-in ones.
            java: The runtime; by default what the extra `local` brings.
        """
        self.home = Home.of(directory)
        self.start_patience_s = START_PATIENCE_S
        self._port = port
        self._heap_mb = heap_mb
        self._settings = dict(settings or {})
        self._java = java

    @property
    def instance(self) -> Instance | None:
        """What the directory remembers; None before the first start."""
        return self.home.load()

    @property
    def bootstrap(self) -> str:
        """Where clients connect, also while the broker is down.

        Raises:
            ConfigError: The broker was never started.
        """
        return self._started().bootstrap

    @property
    def pid(self) -> int | None:
        """The running broker's process; None while it is down."""
        instance = self.instance
        process = instance.running() if instance else None
        return process.pid if process else None

    def start(self) -> str | None:
        """Start the broker and wait until it answers; harmless when it runs.

        Returns:
            What was found amiss and put right, in one line.

        Raises:
            ConfigError: It cannot run; says what was found and what to do.
        """
        with self.home.locked():
            before = self.home.load()
            if before is not None and (process := before.running()):
                self._check_same_port(before)
                await_broker(before, process, self.home, self.start_patience_s)
                return None
            note = self.unexpected_end()
            self._launch(before)
            return f"{note}; started again, its data is kept" if note else None

    def stop(self) -> bool:
        """End the broker in good order (SIGTERM, SIGKILL after a while); say whether it ran."""
        if not self.home.state.exists():
            return False
        with self.home.locked():
            instance = self._started()
            process = instance.running()
            if process:
                process.end(STOP_PATIENCE_S)
            with suppress(ConfigError):  # a full disk must not keep anyone from stopping
                self.home.save(replace(instance, process=None))
            return process is not None

    def kill(self) -> None:
        """End the broker at once (SIGKILL), as a power cut would end it."""
        instance = self._started()
        if process := instance.running():
            process.kill()

    def restart(self) -> None:
        """Stop and start; the address stays."""
        self.stop()
        self.start()

    def unexpected_end(self) -> str | None:
        """Say what became of a broker that ended and that nobody stopped; None otherwise."""
        instance = self.instance
        if instance is None or instance.running():
            return None
        return explain_end(instance, self.home)

    def _started(self) -> Instance:
        instance = self.instance
        if instance is None:
            msg = f"a broker must have been started in {self.home.folder.parent}: tidemill up"
            raise ConfigError([msg])
        return instance

    def _check_same_port(self, instance: Instance) -> None:
        if self._port not in (None, instance.port):
            msg = (
                f"the broker of {self.home.folder.parent} must be down to move to port "
                f"{self._port}, it runs on {instance.port}: tidemill down"
            )
            raise ConfigError([msg])

    def _launch(self, before: Instance | None) -> None:
        java = self._java or Java.provide(os.environ)
        with disk_errors(self.home.folder):
            check_room(self.home.folder)
            instance = self._prepare(before)
            text = server_properties(self.home, instance, self._settings)
            self.home.properties.write_text(text, encoding="utf-8")
            java.format(self.home, instance.cluster_id)
            self.home.begin_log()
            process = spawn(
                java.broker(self.home, self._heap_mb),
                mark=str(self.home.properties),
                console=self.home.console,
            )
        with ExitStack() as on_failure:
            on_failure.callback(self._forget, process, before)
            self.home.save(replace(instance, process=process))
            await_broker(instance, process, self.home, self.start_patience_s)
            on_failure.pop_all()

    def _forget(self, process: Process, before: Instance | None) -> None:
        """Leave the directory as if the start had not been tried."""
        process.kill()
        if before is None:
            self.home.state.unlink(missing_ok=True)
        else:
            self.home.save(replace(before, process=None))

    def _prepare(self, before: Instance | None) -> Instance:
        """Return cluster and ports: those remembered, as far as they can be had."""
        rng = random.Random()
        new_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        port = self._port or (before.port if before else pick_port(rng))
        if not is_free(port):
            raise port_taken(port)
        controller_port = before.controller_port if before else 0
        while controller_port in (0, port) or not is_free(controller_port):
            controller_port = pick_port(rng)
        return Instance(self.home.cluster_id() or new_id, port, controller_port)


@contextmanager
def running(
    directory: Path, *, settings: Mapping[str, str | int] | None = None
) -> Iterator[EmbeddedKafka]:
    """Run a broker in a directory for the length of a block; see `EmbeddedKafka`."""
    broker = EmbeddedKafka(directory, settings=settings)
    try:
        broker.start()
        yield broker
    finally:
        broker.stop()

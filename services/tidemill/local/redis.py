"""The embedded Redis: `redis-server` itself, beside the broker of a directory."""

from __future__ import annotations

import os
import random
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from tidemill.kernel.errors import ConfigError
from tidemill.local.disk import check_room, disk_errors
from tidemill.local.instance import Home, Instance
from tidemill.local.ports import is_free, pick_port
from tidemill.local.process import spawn
from tidemill.local.redis_configuration import redis_conf, redis_url
from tidemill.local.redis_diagnosis import explain_redis_end, newer_data, redis_port_taken
from tidemill.local.redis_readiness import await_redis
from tidemill.local.redis_server import find_server
from tidemill.local.secret_file import ensure_secret, write_secret

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from tidemill.local.process import Process
    from tidemill.local.redis_server import RedisServer

FOLDER = "redis"
START_PATIENCE_S = 60.0
STOP_PATIENCE_S = 30.0
# Redis 7 keeps its log of writes as several files in this folder; 6.2 does not look there.
LOG_FOLDER = "appendonlydir"
LOG_FOLDER_SINCE = (7, 0)


class EmbeddedRedis:
    """One Redis in one directory; who else names that directory means the same one.

    It outlives the process that started it, until `stop`. Port, password and data stay the
    directory's, so clients find a restarted one again.
    """

    def __init__(
        self,
        directory: Path,
        *,
        settings: Mapping[str, str | int] | None = None,
        server: RedisServer | None = None,
    ) -> None:
        """Name a Redis; nothing is started.

        Args:
            directory: Where everything of it is kept; made on start.
            settings: Redis settings that replace the built-in ones.
            server: The program; by default the first that is found.
        """
        self.home = Home(directory.resolve() / FOLDER)
        self.start_patience_s = START_PATIENCE_S
        self._settings = dict(settings or {})
        self._server = server

    @property
    def instance(self) -> Instance | None:
        """What the directory remembers; None before the first start."""
        return self.home.load()

    @property
    def pid(self) -> int | None:
        """The running process; None while it is down."""
        instance = self.instance
        process = instance.running() if instance else None
        return process.pid if process else None

    @property
    def address(self) -> str | None:
        """Where it listens, as `host:port`; None while it is down."""
        instance = self.instance
        return instance.bootstrap if instance and instance.running() else None

    @property
    def url(self) -> str | None:
        """Where clients connect, user and password included; None while it is down."""
        instance = self.instance
        if instance is None or not instance.running():
            return None
        return redis_url(instance.port, self._password())

    @property
    def configuration(self) -> Path:
        """The server's configuration, written at each start."""
        return self.home.folder / "redis.conf"

    def start(self) -> str | None:
        """Start Redis and wait until its data is loaded; harmless when it runs.

        Returns:
            What was found amiss and put right, in one line.

        Raises:
            NoServerError: There is no program to start.
            ConfigError: It cannot run; says what was found and what to do.
        """
        with self.home.locked():
            before = self.home.load()
            if before is not None and before.running():
                await_redis(before, self._password(), self.home, self.start_patience_s)
                return None
            note = self.unexpected_end()
            self._launch(before)
            return f"{note}; started again, its data is kept" if note else None

    def stop(self) -> bool:
        """End Redis in good order (SIGTERM, SIGKILL after a while); say whether it ran."""
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
        """End Redis at once (SIGKILL)."""
        if process := self._started().running():
            process.kill()

    def restart(self) -> None:
        """Stop and start; address and password stay."""
        self.stop()
        self.start()

    def unexpected_end(self) -> str | None:
        """Say what became of a Redis that ended and that nobody stopped; None otherwise."""
        instance = self.instance
        if instance is None or instance.running():
            return None
        return explain_redis_end(instance, self.home)

    def _started(self) -> Instance:
        instance = self.instance
        if instance is None:
            msg = f"a Redis must have been started in {self.home.folder.parent}: tidemill up"
            raise ConfigError([msg])
        return instance

    def _password(self) -> str:
        path = self.home.folder / "password"
        with disk_errors(path):
            return ensure_secret(path).read_text(encoding="ascii").strip()

    def _launch(self, before: Instance | None) -> None:
        server = self._server or find_server(os.environ)
        if server.version < LOG_FOLDER_SINCE and (self.home.data / LOG_FOLDER).exists():
            raise newer_data(self.home, server.version)
        instance = self._prepare(before)
        with disk_errors(self.home.folder):
            check_room(self.home.folder)
            self.home.data.mkdir(exist_ok=True)
            password = self._password()
            text = redis_conf(self.home.data, instance.port, password, self._settings)
            write_secret(self.configuration, text)
            self.home.begin_console()
            process = spawn(
                [str(server.program), str(self.configuration)],
                mark=str(self.configuration),
                console=self.home.console,
            )
        instance = replace(instance, process=process)
        with ExitStack() as on_failure:
            on_failure.callback(self._forget, process, before)
            self.home.save(instance)
            await_redis(instance, password, self.home, self.start_patience_s)
            on_failure.pop_all()

    def _forget(self, process: Process, before: Instance | None) -> None:
        """Leave the directory as if the start had not been tried."""
        process.kill()
        if before is None:
            self.home.state.unlink(missing_ok=True)
        else:
            self.home.save(replace(before, process=None))

    def _prepare(self, before: Instance | None) -> Instance:
        """Return the port that is remembered, or any free one."""
        port = before.port if before else pick_port(random.Random())
        if not is_free(port):
            raise redis_port_taken(port, self.home)
        return Instance("", port, 0)


@contextmanager
def redis_running(
    directory: Path, *, settings: Mapping[str, str | int] | None = None
) -> Iterator[EmbeddedRedis]:
    """Run a Redis in a directory for the length of a block; see `EmbeddedRedis`."""
    redis = EmbeddedRedis(directory, settings=settings)
    try:
        redis.start()
        yield redis
    finally:
        redis.stop()

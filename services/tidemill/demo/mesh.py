"""The demo's mesh: an embedded Kafka and Redis and workers as processes, in their own directory."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

from confluent_kafka import ConsumerGroupState, KafkaException
from confluent_kafka.admin import AdminClient

from tidemill.contracts.topics import group_of
from tidemill.kernel.errors import ConfigError, InvariantError
from tidemill.local.connection import REDIS_VARIABLE, ensure_signing_key, signing_key_path
from tidemill.local.kafka import EmbeddedKafka
from tidemill.local.redis import EmbeddedRedis

if TYPE_CHECKING:
    from collections.abc import Collection
    from concurrent.futures import Future
    from pathlib import Path

    from tidemill.demo.scenario import Scenario

LEARNERS = ("demo-1", "demo-2")
EXPLAINER = "demo-explainer"
LABELLER = "demo-labeller"
FEEDBACK = "demo-feedback"
DRIFT = "demo-drift"
ALERTS = "demo-alerts"
PROCESSORS = {
    **dict.fromkeys(LEARNERS, "learner"),
    EXPLAINER: "explainer",
    LABELLER: "labeller",
    FEEDBACK: "feedback",
    DRIFT: "drift",
    ALERTS: "alerts",
}
END_WITHIN_S = 60.0
READY_WITHIN_S = 180.0
READY_POLL_S = 0.2
MARKER = "tidemill-demo"


class Mesh:
    """Everything the demo starts, and ends.

    Args:
        directory: Made anew; what an earlier demo left there is removed.
        scenario: Its definition and records are copied there.
        plant: The plant's name.
        awaited: Processors that have work from the beginning, beside the learners.
    """

    def __init__(
        self, directory: Path, scenario: Scenario, plant: str, awaited: Collection[str] = ()
    ) -> None:
        self.directory = directory
        self.definition = directory / "plant.yaml"
        self._folder = scenario.folder
        wanted = {"learner": len(LEARNERS), **dict.fromkeys(awaited, 1)}
        self._members = {group_of(plant, name): count for name, count in wanted.items()}
        self.broker = EmbeddedKafka(directory)
        # A labeller without work stands by and asks for none.
        self.redis = EmbeddedRedis(directory) if "labeller" in awaited else None
        self._workers: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        """Start broker, Redis, topics and workers.

        Raises:
            ConfigError: Another demo runs in the directory, or the broker or Redis cannot run.
        """
        self._prepare_directory()
        if self.redis is not None:
            self.redis.start()
        self.broker.start()
        ensure_signing_key(signing_key_path(self.directory))
        shutil.copytree(self._folder, self.directory, dirs_exist_ok=True)
        self._command("topics", "--execute", "--short-retention")
        for name in PROCESSORS:
            self.start_worker(name)

    def _prepare_directory(self) -> None:
        if self.directory.exists():
            if self.broker.home.state.exists() and self.broker.pid is not None:
                msg = f"{self.directory} must be free, a demo runs there; end it or give --dir"
                raise ConfigError([msg])
            if any(self.directory.iterdir()) and not (self.directory / MARKER).exists():
                msg = f"{self.directory} must be empty or an earlier demo's; give another --dir"
                raise ConfigError([msg])
            shutil.rmtree(self.directory)
        self.directory.mkdir(parents=True)
        (self.directory / MARKER).touch()

    def await_workers(self) -> None:
        """Wait until the learners share the partitions, and who else has work owns them.

        Raises:
            InvariantError: One has ended, or they never did.
        """
        admin = AdminClient({"bootstrap.servers": self.broker.bootstrap, "log_level": 0})
        deadline = time.monotonic() + READY_WITHIN_S
        while time.monotonic() < deadline:
            self.check_workers()
            found = admin.describe_consumer_groups(list(self._members))
            if all(_is_shared(found[group], count) for group, count in self._members.items()):
                return
            time.sleep(READY_POLL_S)
        msg = f"the workers must share the partitions within {READY_WITHIN_S:g} s, see their logs"
        raise InvariantError(msg)

    def start_worker(self, name: str) -> None:
        """Start one worker; its log goes to a file in the directory."""
        with (self.directory / f"{name}.log").open("ab") as log:
            self._workers[name] = subprocess.Popen(
                [*self._base("run"), PROCESSORS[name], *self._where(), "--instance", name],
                stdout=log,
                stderr=log,
                env=self._environment(),
            )

    def kill_worker(self, name: str) -> None:
        """End one worker as a power cut would."""
        process = self._workers.pop(name)
        process.kill()
        process.wait()

    def check_workers(self) -> None:
        """Hold that every worker runs.

        Raises:
            InvariantError: One has ended; its log says why.
        """
        for name, process in self._workers.items():
            code = process.poll()
            if code is not None:
                log = self.directory / f"{name}.log"
                tail = log.read_text("utf-8", errors="replace").splitlines()[-5:]
                msg = f"worker {name} must run, it ended with {code}: " + "\n".join(tail)
                raise InvariantError(msg)

    def replay(self, *flags: str) -> tuple[int, str]:
        """Replay all that was done from the topics; return the exit code and what was said.

        Args:
            flags: Of `tidemill audit replay`.
        """
        done = subprocess.run(
            [*self._base("audit"), "replay", *self._where(), *flags],
            capture_output=True,
            text=True,
            env=self._environment(),
            check=False,
        )
        return done.returncode, (done.stdout + done.stderr).strip()

    def stop(self) -> None:
        """End the workers in good order."""
        for process in self._workers.values():
            process.terminate()
        for process in self._workers.values():
            try:
                process.wait(END_WITHIN_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._workers.clear()

    def close(self) -> None:
        """End whatever still runs."""
        self.stop()
        if self.redis is not None:
            self.redis.stop()
        if self.broker.home.state.exists():
            self.broker.stop()

    def _command(self, name: str, *flags: str) -> None:
        done = subprocess.run(
            [*self._base(name), *self._where(), *flags],
            capture_output=True,
            text=True,
            env=self._environment(),
            check=False,
        )
        if done.returncode != 0:
            msg = f"tidemill {name} must succeed, it said: {done.stdout}{done.stderr}"
            raise InvariantError(msg)

    @staticmethod
    def _base(command: str) -> list[str]:
        return [sys.executable, "-m", "tidemill", command]

    def _where(self) -> list[str]:
        return ["-f", str(self.definition), "-b", self.broker.bootstrap]

    def _environment(self) -> dict[str, str]:
        key = str(signing_key_path(self.directory))
        redis = {} if self.redis is None else {REDIS_VARIABLE: self.redis.url or ""}
        return {**os.environ, "TIDEMILL_SIGNING_KEY_FILE": key, **redis}


def _is_shared(described: Future[Any], count: int) -> bool:  # Any: untyped client
    """Return whether the group is stable and so many members have partitions."""
    try:
        found = described.result(10)
    except (KafkaException, TimeoutError):
        return False  # the group is not there yet, or the broker busy
    members = [member for member in found.members if member.assignment.topic_partitions]
    return found.state == ConsumerGroupState.STABLE and len(members) == count

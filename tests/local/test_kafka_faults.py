"""A broker that cannot run: one line says what was found and what to do, nothing is left behind.

A script plays the Java runtime; the log lines are those a real broker wrote.
"""

from __future__ import annotations

import errno
import os
import random
import re
import shutil
import socket
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from local.clocks import StandsUntilSaid
from tidemill.kernel.errors import ConfigError
from tidemill.local import readiness
from tidemill.local.instance import Instance
from tidemill.local.java import Java
from tidemill.local.kafka import EmbeddedKafka
from tidemill.local.ports import HOST, pick_port
from tidemill.local.process import spawn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tidemill.local.process import Process

SCRIPT = """#!{python}
import os, pathlib, sys, time
home = pathlib.Path(sys.argv[-1]).parent
if "kafka.tools.StorageTool" in sys.argv:
    (home / "data").mkdir()
    (home / "data" / "meta.properties").write_text("cluster.id=abc")
    sys.exit({format_exit})
(home / "pid").write_text(str(os.getpid()))
(home / "broker.log").write_text({log!r})
time.sleep({seconds})
"""
STOPPED = Instance("abc", pick_port(random.Random()), pick_port(random.Random()))
NO_SPACE = """ERROR Error while appending records to t-0 in dir /d (kafka.log.LogDirFailureChannel)
java.io.IOException: No space left on device
ERROR Shutdown broker because all log dirs in /d have failed (kafka.log.LogManager)
"""
TAKEN = """2026-01-01T00:00:00,000 ERROR Exiting Kafka due to fatal exception (kafka.Kafka$)
org.apache.kafka.common.KafkaException: Socket server failed to bind: Address already in use.
"""
OTHER = """2026-01-01T00:00:00,000 WARN something small (kafka.server)
2026-01-01T00:00:00,001 ERROR Exiting Kafka: the flux is off (kafka.Kafka$)
\tat kafka.Kafka.main(Kafka.scala)
"""


def broker_that(
    tmp_path: Path, log: str = "", *, seconds: float = 0, format_exit: int = 0
) -> EmbeddedKafka:
    program = tmp_path / "java"
    text = SCRIPT.format(python=sys.executable, log=log, seconds=seconds, format_exit=format_exit)
    program.write_text(text, encoding="utf-8")
    program.chmod(0o755)
    kafka = EmbeddedKafka(tmp_path / "home", java=Java(program, "unused"))
    kafka.start_patience_s = 180.0
    return kafka


@pytest.mark.parametrize(
    ("log", "line"),
    [
        (NO_SPACE, "the disk of .* it is full; free some space"),
        (TAKEN, r"port \d+ must be free .* another process listens on it; end that process, or"),
        (OTHER, r"the last it said: .*ERROR Exiting Kafka: the flux is off.*broker\.log"),
        ("", "the broker must stay up, it ended while it started; the last it said: nothing"),
    ],
)
def test_a_broker_that_ends_while_it_starts_is_told_by_its_log(
    tmp_path: Path, log: str, line: str
) -> None:
    kafka = broker_that(tmp_path, log)

    with pytest.raises(ConfigError, match=line) as raised:
        kafka.start()

    assert len(raised.value.problems) == 1
    assert "\n" not in raised.value.problems[0]
    assert kafka.instance is None


def test_a_broker_that_does_not_answer_in_time_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kafka = broker_that(tmp_path, OTHER, seconds=3_600)
    kafka.start_patience_s = 1.0
    monkeypatch.setattr(readiness, "time", StandsUntilSaid(kafka.home.log, "the flux is off"))

    with pytest.raises(ConfigError, match=r"must answer within 1 s.*the flux is off.*broker\.log"):
        kafka.start()

    pid = int((kafka.home.folder / "pid").read_text(encoding="utf-8"))
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert kafka.instance is None


def test_a_failed_start_leaves_the_address_that_was_remembered(tmp_path: Path) -> None:
    kafka = broker_that(tmp_path, OTHER)
    kafka.home.create()
    kafka.home.save(STOPPED)

    with pytest.raises(ConfigError):
        kafka.start()

    assert kafka.instance == STOPPED


def test_a_data_directory_that_cannot_be_laid_out_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="must be laid out, the tool said"):
        broker_that(tmp_path, format_exit=1).start()


def test_a_port_in_use_is_named_before_anything_is_started(tmp_path: Path) -> None:
    with socket.create_server((HOST, 0)) as server:
        port = server.getsockname()[1]
        kafka = EmbeddedKafka(tmp_path, port=port)

        with pytest.raises(ConfigError, match=f"port {port} must be free .*tidemill up --port N"):
            kafka.start()

    assert not kafka.home.properties.exists()


@pytest.fixture
def abandoned(tmp_path: Path) -> Iterator[tuple[EmbeddedKafka, Process]]:
    """A directory whose broker died; a stranger has its process number now."""
    kafka = EmbeddedKafka(tmp_path)
    kafka.home.create()
    sleep = shutil.which("sleep") or "/bin/sleep"
    stranger = spawn([sleep, "3600"], mark="3600", console=kafka.home.console)
    ours = replace(stranger, mark=str(kafka.home.properties))
    kafka.home.save(replace(STOPPED, process=ours))
    yield kafka, stranger
    stranger.kill()


def test_a_stale_process_number_never_ends_a_stranger(
    abandoned: tuple[EmbeddedKafka, Process],
) -> None:
    kafka, stranger = abandoned

    kafka.kill()

    assert kafka.pid is None
    assert not kafka.stop()
    assert stranger.is_alive()


@pytest.mark.parametrize(
    ("log", "cause"),
    [
        ("", "killed, or the machine went down"),
        (NO_SPACE, "its disk was full"),
        (OTHER, "killed, or stopped by the last error in its log: .*the flux is off"),
    ],
)
def test_a_broker_that_ended_unasked_is_explained_until_it_is_stopped(
    abandoned: tuple[EmbeddedKafka, Process], log: str, cause: str
) -> None:
    kafka, stranger = abandoned
    kafka.home.log.write_text(log, encoding="utf-8")

    note = kafka.unexpected_end()
    kafka.stop()

    assert note is not None
    assert re.search(rf"process {stranger.pid}\) had ended: {cause}", note)
    assert kafka.unexpected_end() is None


def test_a_full_disk_does_not_keep_anyone_from_stopping(
    abandoned: tuple[EmbeddedKafka, Process], monkeypatch: pytest.MonkeyPatch
) -> None:
    kafka, stranger = abandoned
    kafka.home.save(replace(STOPPED, process=stranger))

    def refuse(*_: object, **__: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", refuse)

    assert kafka.stop()
    assert not stranger.is_alive()

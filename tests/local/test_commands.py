"""`tidemill up`, `down`, `status` and `env`, as a shell sees them."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest
import typer
from typer.testing import CliRunner

from tidemill.cli.down import down
from tidemill.cli.env import env
from tidemill.cli.status import status
from tidemill.cli.up import up
from tidemill.kernel.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

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
    assert exports == [
        f"export TIDEMILL_BOOTSTRAP={document['bootstrap']}",
        f"export TIDEMILL_SIGNING_KEY_FILE={document['signing_key_file']}",
    ]

    assert run("down", "--dir", directory).exit_code == 0
    after = run("status", "--dir", directory, "--json")
    assert after.exit_code == 1
    assert not json.loads(after.stdout)["running"]

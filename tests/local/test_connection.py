"""Which broker and which key."""

from __future__ import annotations

import shutil
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tidemill.kernel.errors import ConfigError
from tidemill.local.connection import ensure_signing_key, resolve_bootstrap
from tidemill.local.instance import Home, Instance
from tidemill.local.process import spawn

if TYPE_CHECKING:
    from collections.abc import Iterator

SLEEP = shutil.which("sleep") or "/bin/sleep"
NAMED = {"TIDEMILL_BOOTSTRAP": "variable:1"}


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Path]:
    """A directory that remembers a process which is alive."""
    home = Home.of(tmp_path)
    home.create()
    process = spawn([SLEEP, "300"], mark="300", console=home.console)
    home.save(Instance("id", 12_345, 12_346, process))
    yield tmp_path
    process.kill()


def test_the_flag_comes_before_the_variable(started: Path) -> None:
    assert resolve_bootstrap("flag:1", NAMED, started) == "flag:1"


def test_the_variable_comes_before_the_directory(started: Path) -> None:
    assert resolve_bootstrap(None, NAMED, started) == "variable:1"


def test_without_both_the_broker_of_the_directory_is_taken(started: Path) -> None:
    assert resolve_bootstrap(None, {}, started) == "127.0.0.1:12345"


def test_without_any_the_command_that_starts_one_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="found none; start one: tidemill up --dir"):
        resolve_bootstrap(None, {}, tmp_path)


def test_a_broker_that_ended_is_none(started: Path) -> None:
    instance = Home.of(started).load()
    assert instance is not None
    assert instance.process is not None
    instance.process.kill()

    with pytest.raises(ConfigError, match="tidemill up"):
        resolve_bootstrap(None, {}, started)


def test_a_signing_key_is_32_bytes_for_its_owner_only(tmp_path: Path) -> None:
    path = ensure_signing_key(tmp_path / "new" / "signing.key")

    assert len(bytes.fromhex(path.read_text(encoding="ascii"))) == 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in path.parent.iterdir()] == ["signing.key"]


def test_a_signing_key_that_is_there_is_kept(tmp_path: Path) -> None:
    path = ensure_signing_key(tmp_path / "signing.key")
    before = path.read_text(encoding="ascii")

    assert ensure_signing_key(path).read_text(encoding="ascii") == before


def test_many_at_once_agree_on_one_signing_key(tmp_path: Path) -> None:
    path = tmp_path / "signing.key"

    with ThreadPoolExecutor(8) as pool:
        texts = set(pool.map(lambda _: ensure_signing_key(path).read_text("ascii"), range(32)))

    assert len(texts) == 1


def test_a_signing_key_that_another_process_made_first_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = ensure_signing_key(tmp_path / "signing.key")
    before = path.read_text(encoding="ascii")
    monkeypatch.setattr(Path, "exists", lambda _: False)  # it was not there when we looked

    ensure_signing_key(path)

    assert path.read_text(encoding="ascii") == before
    assert [file.name for file in tmp_path.iterdir()] == ["signing.key"]

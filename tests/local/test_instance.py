"""What a directory remembers survives, or is refused in one line."""

from __future__ import annotations

import errno
import fcntl
import shutil
from pathlib import Path
from typing import NamedTuple

import pytest

from tidemill.kernel.errors import ConfigError
from tidemill.local.configuration import server_properties
from tidemill.local.disk import check_room
from tidemill.local.instance import Home, Instance
from tidemill.local.process import Process

INSTANCE = Instance("AAAAAAAAAAAAAAAAAAAAAA", 12_345, 12_346, Process(42, "1000", "the mark"))


class Usage(NamedTuple):
    total: int
    used: int
    free: int


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home.of(tmp_path)
    home.create()
    return home


def test_what_is_saved_is_loaded(home: Home) -> None:
    home.save(INSTANCE)

    assert home.load() == INSTANCE
    assert [path.name for path in home.folder.iterdir()] == ["state.json"]


def test_nothing_is_remembered_before_the_first_start(home: Home) -> None:
    assert home.load() is None


@pytest.mark.parametrize("damage", ["", "{", "[]", "{}", '{"process": null}', '{"process": 7}'])
def test_a_damaged_state_file_is_named_with_the_way_out(home: Home, damage: str) -> None:
    home.state.write_text(damage, encoding="utf-8")

    with pytest.raises(ConfigError, match=r"state\.json must be .* remove that file"):
        home.load()


def test_the_cluster_is_known_from_its_data(home: Home) -> None:
    assert home.cluster_id() is None

    home.data.mkdir()
    home.laid_out.write_text("#\nversion=1\ncluster.id=abc\nnode.id=1\n", encoding="utf-8")

    assert home.cluster_id() == "abc"


def test_only_one_at_a_time_may_start_or_stop_a_broker(home: Home) -> None:
    with (home.folder / "lock").open("w", encoding="utf-8") as second:
        with home.locked(), pytest.raises(BlockingIOError):
            fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)

        fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_the_directory_is_kept_out_of_repositories(home: Home) -> None:
    assert (home.folder.parent / ".gitignore").read_text(encoding="utf-8") == "*\n"


def test_a_full_disk_while_saving_is_one_clear_line(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, *_: object, **__: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(Path, "write_text", refuse)

    with pytest.raises(ConfigError, match=r"the disk of .* it is full; free some space"):
        home.save(INSTANCE)


def test_a_disk_with_too_little_room_is_refused_before_the_start(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(100 << 20, 93 << 20, 7 << 20))

    with pytest.raises(ConfigError, match=r"at least 64 MiB must be free .* found 7; free some"):
        check_room(home.folder)


def test_a_directory_that_cannot_be_made_is_one_clear_line(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()

    with pytest.raises(ConfigError, match=r"must be writable, found: .*choose another directory"):
        Home.of(file).locked().__enter__()


def test_a_broker_listens_on_the_loopback_interface_only(home: Home) -> None:
    text = server_properties(home, INSTANCE, {})

    addresses = [part for part in text.replace(",", "\n").splitlines() if "://" in part]
    assert len(addresses) == 3
    assert all("://127.0.0.1:" in address for address in addresses)


def test_settings_of_a_caller_have_the_last_word(home: Home) -> None:
    lines = server_properties(home, INSTANCE, {"num.io.threads": 1}).splitlines()

    assert [line for line in lines if line.startswith("num.io.threads")] == ["num.io.threads=1"]

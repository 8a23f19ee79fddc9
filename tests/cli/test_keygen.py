"""`tidemill keygen`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from tidemill.runtime.keys import read_key_file

from .command import MISCONFIGURED, run

if TYPE_CHECKING:
    from pathlib import Path


def test_a_key_is_32_bytes_for_its_owner_only_and_never_the_same(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        assert run("keygen", tmp_path / "a").code == run("keygen", tmp_path / "b").code == 0
    finally:
        os.umask(before)

    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o600
    assert len(read_key_file(tmp_path / "a")) == 32
    assert read_key_file(tmp_path / "a") != read_key_file(tmp_path / "b")


def test_a_file_that_exists_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("mine")

    ran = run("keygen", path)

    assert ran.code == MISCONFIGURED
    assert "must not exist yet" in ran.said
    assert path.read_text() == "mine"


def test_a_folder_that_is_missing_is_said(tmp_path: Path) -> None:
    assert "must be writable" in run("keygen", tmp_path / "none" / "key").said

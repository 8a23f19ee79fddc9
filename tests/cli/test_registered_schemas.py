"""A registered version that no reader should be given is named before anything starts."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from runtime.fake_registry import serving
from runtime.plants import PRESS, write_plant
from tidemill.contracts.topics import EVENTS
from tidemill.runtime.registry import REGISTRY_VARIABLE, Registry

from .command import MISCONFIGURED, run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOTHING = {"name": "l", "type": {"type": "array", "items": "null"}}
SWELLING = {**PRESS, "fields": [*PRESS["fields"], NOTHING]}
PROBLEM = "sensor.events-plant.Press, id 2: items of an array must take at least a byte"


@pytest.fixture
def url() -> Iterator[str]:
    """A registry in which the plant's record has a second version that swells."""
    with serving() as fake:
        for schema in (PRESS, SWELLING):
            Registry(fake.url).register(EVENTS, schema)
        yield fake.url


def test_check_names_it(tmp_path: Path, url: str) -> None:
    path = write_plant(tmp_path)
    ran = run("check", "-f", path, "--dir", tmp_path, env={REGISTRY_VARIABLE: url})
    assert ran.code == MISCONFIGURED
    assert PROBLEM in ran.said


def test_a_learner_does_not_start_with_it(tmp_path: Path, url: str) -> None:
    path, key = write_plant(tmp_path), tmp_path / "key"
    assert run("keygen", key).code == 0
    options = ["-f", str(path), "-b", "127.0.0.1:1", "--signing-key", str(key), "--instance", "0"]
    ended = subprocess.run(
        [sys.executable, "-m", "tidemill", "run", "learner", *options],
        env={**os.environ, REGISTRY_VARIABLE: url},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ended.returncode == MISCONFIGURED, ended
    assert PROBLEM in ended.stderr

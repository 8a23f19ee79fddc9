"""Schemas that come up while a worker runs: looked up once, and nobody stops it from elsewhere."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING

import pytest

from tidemill.contracts.id_lock import LOCK_FILE, PLANT_IDS_START
from tidemill.contracts.topics import EVENTS
from tidemill.kernel.errors import DependencyUnavailableError
from tidemill.runtime.locking import lock_records
from tidemill.runtime.registry import Registry
from tidemill.runtime.schema_source import ASK_AGAIN_S, MOST_REMEMBERED, PlantSchemas

from .fake_registry import serving
from .plants import PRESS, write_plant

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .fake_registry import FakeRegistry

NAME = "plant.Press"
NEWER = {**PRESS, "fields": [*PRESS["fields"], {"name": "more", "type": "int", "default": 0}]}
FIRST, SECOND = PLANT_IDS_START, PLANT_IDS_START + 1


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def avro(tmp_path: Path) -> Path:
    """A folder with one locked record."""
    write_plant(tmp_path)
    return tmp_path / "avro"


@pytest.fixture
def fake() -> Iterator[FakeRegistry]:
    with serving() as registry:
        yield registry


def source(
    avro: Path, registry: Registry | None = None, clock: Clock | None = None
) -> PlantSchemas:
    return PlantSchemas(avro / LOCK_FILE, registry, [NAME], clock=clock or Clock())


def grow(avro: Path) -> None:
    (avro / "Press.avsc").write_text(json.dumps(NEWER), "utf-8")
    lock_records(avro)


def test_an_id_locked_meanwhile_is_found(avro: Path) -> None:
    schemas = source(avro)
    assert schemas({FIRST, 7}) == {FIRST: PRESS}
    grow(avro)
    assert schemas({SECOND}) == {SECOND: NEWER}
    assert schemas({FIRST, SECOND, 7}) == {FIRST: PRESS, SECOND: NEWER}


def test_an_id_registered_meanwhile_is_found_on_its_own_topic_only(
    avro: Path, fake: FakeRegistry
) -> None:
    registry = Registry(fake.url)
    schemas = source(avro, registry)
    assert schemas({1}) == {}
    foreign = registry.register("plant.labels", {**PRESS, "name": "Other"})
    found = registry.register(EVENTS, PRESS)
    assert schemas({foreign, found}) == {found: PRESS}


def test_an_id_that_nobody_knew_is_asked_for_again_after_a_while_only(avro: Path) -> None:
    clock = Clock()
    schemas = source(avro, clock=clock)
    assert schemas({SECOND}) == {}
    grow(avro)
    clock.now += ASK_AGAIN_S / 2
    assert schemas({SECOND}) == {}
    clock.now += ASK_AGAIN_S / 2
    assert schemas({SECOND}) == {SECOND: NEWER}


def test_one_new_id_has_all_of_them_asked_for(avro: Path) -> None:
    schemas = source(avro)
    assert schemas({SECOND}) == {}
    grow(avro)
    assert schemas({SECOND, 7}) == {SECOND: NEWER}


def test_ids_that_anyone_can_write_are_not_remembered_without_end(avro: Path) -> None:
    schemas = source(avro)
    for start in range(0, 5 * MOST_REMEMBERED, 5_000):
        schemas(range(start, start + 5_000))
    assert len(schemas._asked) <= MOST_REMEMBERED + 5_000


@pytest.mark.parametrize("text", ["", "{", '{"ids": 1}', '{"ids": {"x": {}}}'])
def test_a_lock_that_cannot_be_read_gives_nothing_and_stops_nobody(avro: Path, text: str) -> None:
    (avro / LOCK_FILE).write_text(text, "utf-8")
    assert source(avro)({FIRST}) == {}
    (avro / LOCK_FILE).unlink()
    assert source(avro)({FIRST}) == {}


def test_what_must_not_be_read_by_is_passed_over(avro: Path, fake: FakeRegistry) -> None:
    swelling = {"name": "l", "type": {"type": "array", "items": "null"}}
    bad = {**PRESS, "fields": [*PRESS["fields"], swelling]}
    fake.texts += [json.dumps(PRESS), json.dumps(bad), 'syntax = "proto3";', '"int"']
    fake.subjects[f"{EVENTS}-{NAME}"] = [1, 2, 3, 4]
    lock = {"ids": {str(SECOND): bad, str(FIRST): PRESS, "5": {"type": "record"}}}
    (avro / LOCK_FILE).write_text(json.dumps(lock), "utf-8")

    found = source(avro, Registry(fake.url))({1, 2, 3, 4, 5, FIRST, SECOND})

    assert found == {1: PRESS, FIRST: PRESS}


def test_a_registry_that_is_away_leaves_it_open(avro: Path) -> None:
    with socket.socket() as taken:  # bound and not listening: connections are refused
        taken.bind(("127.0.0.1", 0))
        schemas = source(avro, Registry(f"http://127.0.0.1:{taken.getsockname()[1]}"))

        for _ in range(2):
            with pytest.raises(DependencyUnavailableError, match="must answer"):
                schemas({7})

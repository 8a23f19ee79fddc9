"""Locked ids: given once, never taken back."""

from __future__ import annotations

import json
from importlib import resources

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemill.contracts.id_lock import (
    OUR_IDS_START,
    PLANT_IDS_START,
    lock_ids,
    lock_text,
    locked_id,
    read_lock,
)

from .records import MICROS, record

A = record(asset="string", time=MICROS, x="double")
B = record(asset="string", time=MICROS, x=(["null", "double"], None))
OTHER = {**A, "name": "Other"}


def test_the_first_ids_of_a_plant_start_apart_from_ours() -> None:
    lock = lock_ids({}, [OTHER, A], PLANT_IDS_START)

    assert lock == {1_500_001_000: OTHER, 1_500_001_001: A}
    assert PLANT_IDS_START - OUR_IDS_START == 1000


def test_a_changed_record_gets_the_next_id_and_the_old_one_stays() -> None:
    lock = lock_ids(lock_ids({}, [A], PLANT_IDS_START), [B], PLANT_IDS_START)

    assert lock == {1_500_001_000: A, 1_500_001_001: B}
    assert lock_ids(lock, [A, B], PLANT_IDS_START) == lock


def test_commentary_and_spelling_do_not_change_an_id() -> None:
    commented = {**A, "doc": "what it says", "namespace": None, "name": "plant.Reading"}
    del commented["namespace"]
    spelled = record(asset={"type": "string"}, time=MICROS, x="double")
    lock = lock_ids({}, [A], PLANT_IDS_START)

    assert lock_ids(lock, [commented, spelled], PLANT_IDS_START) == lock


@pytest.mark.parametrize(
    "changed",
    [
        record(
            asset="string", time={"type": "long", "logicalType": "timestamp-millis"}, x="double"
        ),
        record(asset="string", time=MICROS, x=("double", 0.0)),
        record(asset="string", x="double", time=MICROS),
        {**A, "aliases": ["plant.Old"]},
    ],
    ids=["unit of time", "default", "order", "alias"],
)
def test_whatever_changes_reading_gets_an_id_of_its_own(changed: dict[str, object]) -> None:
    lock = lock_ids(lock_ids({}, [A], PLANT_IDS_START), [changed], PLANT_IDS_START)

    assert locked_id(lock, changed) == 1_500_001_001


@given(st.lists(st.lists(st.sampled_from([A, B, OTHER]), max_size=3), max_size=5))
def test_a_lock_only_ever_grows(rounds: list[list[dict[str, object]]]) -> None:
    lock: dict[int, object] = {}
    for schemas in rounds:
        grown = lock_ids(lock, schemas, PLANT_IDS_START)
        assert list(grown.items())[: len(lock)] == list(lock.items())
        assert all(locked_id(grown, schema) is not None for schema in schemas)
        lock = grown
    assert read_lock(lock_text(lock)) == lock


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"ids": []}', '{"ids": {"x": {}}}', '{"ids":{"1":2}}']
)
def test_a_file_that_is_no_lock_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        read_lock(text)


def test_our_own_lock_holds_every_schema_that_is_shipped() -> None:
    folder = resources.files("tidemill") / "schemas"
    lock = read_lock((folder / "ids.lock.json").read_text("utf-8"))
    shipped = [f for f in folder.iterdir() if f.name.endswith(".avsc")]

    assert shipped
    for file in shipped:
        found = locked_id(lock, json.loads(file.read_text("utf-8")))
        assert found is not None, file.name
        assert OUR_IDS_START <= found < PLANT_IDS_START

"""The plant's files are read together, and everything wrong in any of them is said at once."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING

import pytest
from fastavro import parse_schema, schemaless_writer

from tidemill.kernel.errors import ConfigError
from tidemill.runtime.locking import lock_records
from tidemill.runtime.plant_files import read_plant, read_records, read_unlocked_plant

from .plants import FIELDS, PRESS, TEXT, write_plant

if TYPE_CHECKING:
    from pathlib import Path


def problems(path: Path) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        read_plant(path)
    return caught.value.problems


def test_a_plant_has_its_definition_and_every_writer_schema_by_id(tmp_path: Path) -> None:
    plant = read_plant(write_plant(tmp_path))

    assert plant.definition.plant == "works"
    assert plant.writer_schemas == {1_500_001_000: PRESS}
    assert plant.schemas == {"plant.Press": PRESS}


def test_earlier_versions_stay_readable_after_a_change(tmp_path: Path) -> None:
    path = write_plant(tmp_path)
    later = {**PRESS, "fields": [*FIELDS, {"name": "new", "type": "double", "default": 0.0}]}
    write_plant(tmp_path, TEXT, later)

    assert read_plant(path).writer_schemas == {1_500_001_000: PRESS, 1_500_001_001: later}


def test_records_may_name_types_of_other_files(tmp_path: Path) -> None:
    recipe = {"type": "enum", "name": "Recipe", "namespace": "shared", "symbols": ["A", "B"]}
    inner = {"type": "record", "name": "Site", "namespace": "plant", "fields": [
        {"name": "main", "type": "shared.Recipe"}]}  # fmt: skip
    fields = [
        *[field for field in FIELDS if field["name"] != "recipe"],
        {"name": "site", "type": "Site"},
        {"name": "recipe", "type": {"type": "shared.Recipe", "doc": "what is made"}},
    ]
    press = {**PRESS, "fields": fields}
    plant = read_plant(write_plant(tmp_path, TEXT, press, recipe, inner))

    whole = parse_schema(plant.schemas["plant.Press"])
    site = {"main": "A"}
    value = {"asset": "a", "time": 0, "event_id": "1", "recipe": "B", "site": site}
    schemaless_writer(io.BytesIO(), whole, value)
    assert sorted(plant.schemas) == ["plant.Press", "plant.Site"]


def test_an_unlocked_record_stops_the_plant_but_not_the_lock(tmp_path: Path) -> None:
    path = write_plant(tmp_path, lock=False)

    (problem,) = problems(path)
    assert "plant.Press: must have a locked id; run `tidemill schemas lock" in problem
    _, records = read_unlocked_plant(path)
    assert records.unlocked == ["plant.Press"]


def test_problems_of_definition_records_and_lock_come_together(tmp_path: Path) -> None:
    path = write_plant(tmp_path, TEXT.replace("[0, 100]", "[100, 0]"), lock=False)
    (tmp_path / "avro" / "Broken.avsc").write_text("{", "utf-8")
    (tmp_path / "avro" / "Named.avsc").write_text('{"type": "int"}', "utf-8")
    wrong = {"type": "record", "name": "W", "fields": [{"name": "x", "type": "nothing"}]}
    (tmp_path / "avro" / "Wrong.avsc").write_text(json.dumps(wrong), "utf-8")
    (tmp_path / "avro" / "ids.lock.json").write_text("[]", "utf-8")

    text = "\n".join(problems(path))
    assert "features.force.range" in text
    assert "Broken.avsc: must be JSON" in text
    assert "Named.avsc: must hold a named Avro type" in text
    assert "Wrong.avsc: must be an Avro schema" in text
    assert "ids.lock.json: must be a lock" in text


def test_a_missing_definition_names_the_command_that_writes_one(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path / "plant.yaml")
    assert "`tidemill init` writes one" in problem


def test_a_missing_folder_of_records_is_named(tmp_path: Path) -> None:
    path = tmp_path / "plant.yaml"
    path.write_text(TEXT, "utf-8")

    (problem,) = problems(path)
    assert problem.startswith("schemas: must be a folder of .avsc files")


def test_a_record_in_two_files_is_refused(tmp_path: Path) -> None:
    write_plant(tmp_path)
    (tmp_path / "avro" / "Again.avsc").write_text(json.dumps(PRESS), "utf-8")

    with pytest.raises(ConfigError, match=r"plant\.Press must be defined once"):
        read_records(tmp_path / "avro")


def test_a_change_that_cannot_read_what_was_written_gets_no_id(tmp_path: Path) -> None:
    write_plant(tmp_path)
    before = (tmp_path / "avro" / "ids.lock.json").read_bytes()
    required = {**PRESS, "fields": [*FIELDS, {"name": "new", "type": "double"}]}
    write_plant(tmp_path, TEXT, required, lock=False)

    with pytest.raises(ConfigError, match=r"Press\.new: must have a default.*1500001000"):
        lock_records(tmp_path / "avro")
    assert (tmp_path / "avro" / "ids.lock.json").read_bytes() == before


def test_what_was_released_is_not_read_with_the_records(tmp_path: Path) -> None:
    write_plant(tmp_path)
    history = tmp_path / "avro" / "history" / "1"
    history.mkdir(parents=True)
    (history / "Press.avsc").write_text(json.dumps(PRESS), "utf-8")

    assert list(read_records(tmp_path / "avro").schemas) == ["plant.Press"]


def test_a_mounted_folders_own_copies_are_not_read_twice(tmp_path: Path) -> None:
    """As a ConfigMap is mounted: links beside a folder `..<date>` that holds the files."""
    folder = tmp_path / "avro"
    kept = folder / "..2026_11_21"
    kept.mkdir(parents=True)
    record = {"type": "record", "name": "Reading", "namespace": "plant", "fields": []}
    (kept / "Reading.avsc").write_text(json.dumps(record), encoding="utf-8")
    (folder / "Reading.avsc").symlink_to("..2026_11_21/Reading.avsc")

    assert list(read_records(folder).schemas) == ["plant.Reading"]

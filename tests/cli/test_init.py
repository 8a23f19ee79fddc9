"""`tidemill init` writes a definition that holds."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tidemill.contracts.targets import FieldTarget
from tidemill.runtime.plant_files import read_plant

from .command import MISCONFIGURED, run
from .plant_data import DATA_SETS, DataSet

if TYPE_CHECKING:
    from pathlib import Path

    from tidemill.contracts.stream import StreamDefinition


def made(folder: Path, csv: str, *options: str) -> StreamDefinition:
    source = folder / "day one.csv"
    source.write_text(csv, "utf-8")
    path = folder / "plant.yaml"
    ran = run("init", source, "-f", path, *options)
    assert ran.code == 0, ran
    assert run("check", "-f", path, "--dir", folder).code == 0
    return read_plant(path).definition.streams[0]


@pytest.mark.parametrize("data", DATA_SETS, ids=lambda data: data.file)
def test_what_it_makes_of_public_data_passes_check(data: DataSet, tmp_path: Path) -> None:
    path = tmp_path / "works" / "plant.yaml"

    assert run("init", data.path(tmp_path), "-f", path, *data.options).code == 0
    ran = run("check", "-f", path, "--dir", tmp_path)
    assert ran.code == 0, ran
    assert "# " in path.read_text("utf-8")


def test_asset_time_id_types_and_ranges_are_guessed(tmp_path: Path) -> None:
    stream = made(
        tmp_path,
        "machine,timestamp,event_id,temp,count,recipe,note,label\n"
        + "".join(
            f"m{n % 2},2024-01-01T00:00:{n:02d}Z,e{n},{20 + n / 10},{n},{'ab'[n % 2]},n{n},"
            f"{n % 2}\n"
            for n in range(60)
        ),
    )

    assert (stream.asset, stream.time.field, stream.id) == ("machine", "timestamp", "event_id")
    features = {feature.name: feature for feature in stream.features}
    assert {name: feature.kind for name, feature in features.items()} == {
        "temp": "numeric",
        "count": "numeric",
        "recipe": "nominal",
    }
    low, high = features["temp"].low, features["temp"].high
    assert low is not None
    assert high is not None
    assert low <= 20
    assert high >= 25.9
    assert stream.target == FieldTarget(name="label", kind="binary", classes=("0", "1"))
    assert stream.event == "plant.DayOne"


@pytest.mark.parametrize(("tick", "unit"), [(1, "s"), (1_000, None), (1_000_000_000, "ns")])
def test_epoch_numbers_are_read_in_the_unit_their_size_tells(
    tmp_path: Path, tick: int, unit: str | None
) -> None:
    rows = "".join(f"{(1_700_000_000 + n) * tick},{n / 3},{n}\n" for n in range(5))
    stream = made(tmp_path, "event_time,temp,flow\n" + rows)

    assert (stream.time.field, stream.time.unit) == ("event_time", unit)


def test_without_an_answer_in_the_file_the_last_number_is_a_guess(tmp_path: Path) -> None:
    stream = made(tmp_path, "a,b,c\nx,1,2\ny,2,3\n")

    assert stream.target == FieldTarget(name="c", kind="regression")
    assert (stream.asset, stream.time.field) == ("asset", "event_time")


def test_an_avro_record_is_read_as_it_is(tmp_path: Path) -> None:
    micros = {"type": "long", "logicalType": "timestamp-micros"}
    record = {
        "type": "record",
        "name": "Press",
        "namespace": "works",
        "fields": [
            {"name": "machine_id", "type": "string"},
            {"name": "at", "type": micros},
            {"name": "force", "type": ["null", "float"], "default": None},
            {"name": "mode", "type": {"type": "enum", "name": "M", "symbols": ["A", "B"]}},
            {"name": "photo", "type": "bytes"},
        ],
    }
    avro = tmp_path / "records"
    avro.mkdir()
    (avro / "press.avsc").write_text(json.dumps(record), "utf-8")
    path = tmp_path / "plant.yaml"

    assert run("init", avro / "press.avsc", "-f", path).code == 0
    plant = read_plant(path)
    (stream,) = plant.definition.streams
    assert plant.definition.schemas == "./records"
    assert (stream.event, stream.asset, stream.time.field) == ("works.Press", "machine_id", "at")
    assert [(f.name, f.kind) for f in stream.features] == [
        ("mode", "nominal"),
    ]
    assert stream.target == FieldTarget(name="force", kind="regression")
    assert "a guess" in path.read_text("utf-8")
    assert "photo: left out" in path.read_text("utf-8")
    assert run("check", "-f", path, "--dir", tmp_path).code == 0


def test_files_that_are_there_are_kept_unless_forced(tmp_path: Path) -> None:
    made(tmp_path, "a,b,c\nx,1,2\ny,2,3\n")
    before = (tmp_path / "plant.yaml").read_bytes()

    again = run("init", tmp_path / "day one.csv", "-f", tmp_path / "plant.yaml")
    assert again.code == MISCONFIGURED
    assert "must not exist yet; --force replaces it" in again.said
    assert (tmp_path / "plant.yaml").read_bytes() == before
    forced = run("init", tmp_path / "day one.csv", "-f", tmp_path / "plant.yaml", "--force")
    assert forced.code == 0


def test_a_file_with_nothing_to_learn_from_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "texts.csv"
    source.write_text("a,b\nx,y\nz,w\n", "utf-8")

    ran = run("init", source, "-f", tmp_path / "plant.yaml")
    assert ran.code == MISCONFIGURED
    assert "one field must be a number to learn from" in ran.said

"""Rows become events of the definition's stream."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest

from tidemill.kernel.errors import ConfigError
from tidemill.runtime.csv_events import CsvEvent, CsvEvents, Filling
from tidemill.runtime.csv_table import Layout, open_table
from tidemill.runtime.plant_files import read_plant

from .plants import FIELDS, PRESS, TEXT, write_plant

if TYPE_CHECKING:
    from pathlib import Path

HEAD = "asset,time,event_id,force,count,recipe"
SECOND = 1_000_000


class Reader:
    """Makes events from a CSV's text in a plant's folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def plan(
        self,
        csv: str,
        record: dict[str, Any] = PRESS,  # Any: an Avro schema
        text: str = TEXT,
        renames: dict[str, str] | None = None,
        **filling: Any,  # Any: the fields of Filling
    ) -> CsvEvents:
        plant = read_plant(write_plant(self._folder, text, record))
        path = self._folder / "day-1.csv"
        path.write_text(csv, "utf-8")
        (stream,) = plant.definition.streams
        return CsvEvents(
            stream,
            plant.schemas[stream.event],
            open_table(path, Layout(delimiter=",")),
            Filling(renames=renames or {}, **filling),
        )

    def read(self, csv: str, **options: Any) -> list[CsvEvent]:  # Any: those of `plan`
        plan = self.plan(csv, **options)
        plan.check()
        return list(plan)


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    return Reader(tmp_path)


def refused(reader: Reader, csv: str, **options: Any) -> str:  # Any: those of `plan`
    with pytest.raises(ConfigError) as caught:
        reader.read(csv, **options)
    return "\n".join(caught.value.problems)


def test_columns_fill_the_fields_of_their_names(reader: Reader) -> None:
    (event,) = reader.read(f"note,{HEAD}\nx,a/b,1970-01-01T00:00:02Z,e1,1.5,7,mild\n")

    assert (event.asset, event.time_us, event.event_id) == ("a/b", 2 * SECOND, "e1")
    assert event.values == {
        "asset": "a/b",
        "time": 2 * SECOND,
        "event_id": "e1",
        "force": 1.5,
        "count": 7,
        "recipe": "mild",
    }


def test_empty_is_null_and_nan_is_nan(reader: Reader) -> None:
    (event,) = reader.read(f"{HEAD}\na,0,e,nan,,\n")

    assert math.isnan(float(str(event.values["force"])))
    assert (event.values["count"], event.values["recipe"]) == (None, None)


def test_a_field_without_a_column_takes_its_default(reader: Reader) -> None:
    (event,) = reader.read("asset,time,event_id,force\na,0,e,1\n")

    assert "count" not in event.values


def test_a_column_may_be_mapped_to_a_field(reader: Reader) -> None:
    (event,) = reader.read("asset,time,event_id,force,F\na,0,e,1,2\n", renames={"F": "force"})

    assert event.values["force"] == 2.0


def test_a_column_whose_name_avro_cannot_bear_still_finds_its_field(reader: Reader) -> None:
    fields = [*FIELDS, {"name": "Torque_Nm", "type": ["null", "double"], "default": None}]
    (event,) = reader.read(
        f"{HEAD},Torque [Nm]\na,0,e,1,1,m,42.5\n", record={**PRESS, "fields": fields}
    )

    assert event.values["Torque_Nm"] == 42.5


def test_an_alias_of_a_field_names_its_column(reader: Reader) -> None:
    fields = [{**f, "aliases": ["old_force"]} if f["name"] == "force" else f for f in FIELDS]
    (event,) = reader.read(
        "asset,time,event_id,old_force\na,0,e,3\n", record={**PRESS, "fields": fields}
    )

    assert event.values["force"] == 3.0


def test_the_asset_may_be_a_constant_or_another_column(reader: Reader) -> None:
    csv = f"machine,{HEAD}\nm1,a,0,e,1,1,x\n"

    assert reader.read(csv, asset="east/press")[0].asset == "east/press"
    assert reader.read(csv, asset="machine")[0].asset == "m1"
    assert reader.read(csv)[0].asset == "a"


def test_the_time_may_be_another_column(reader: Reader) -> None:
    csv = f"when,{HEAD}\n1970-01-01 00:00:05,a,0,e,1,1,x\n"

    assert reader.read(csv, time="when")[0].time_us == 5 * SECOND


def test_times_may_be_made_from_a_start_and_a_step(reader: Reader) -> None:
    csv = "asset,event_id,force\n" + "a,e,1\n" * 3

    events = reader.read(csv, start="1970-01-01T00:00:10Z", step_s=0.25)
    assert [e.time_us for e in events] == [10_000_000, 10_250_000, 10_500_000]
    assert [e.values["time"] for e in events] == [10_000_000, 10_250_000, 10_500_000]


@pytest.mark.parametrize(
    ("unit", "cell", "time_us"),
    [("s", "2", 2 * SECOND), ("ms", "2000", 2 * SECOND), ("ns", "2000000000", 2 * SECOND)],
)
def test_a_number_is_a_time_in_the_fields_unit(
    reader: Reader, unit: str, cell: str, time_us: int
) -> None:
    fields = [{**f, "type": "long"} if f["name"] == "time" else f for f in FIELDS]
    (event,) = reader.read(
        f"{HEAD}\na,{cell},e,1,1,x\n",
        record={**PRESS, "fields": fields},
        text=TEXT.replace("time: time", f"time: {{field: time, unit: {unit}}}"),
    )

    assert (event.time_us, event.values["time"]) == (time_us, int(cell))


def test_ids_are_made_from_file_and_row_where_no_column_has_them(reader: Reader) -> None:
    plan = reader.plan("asset,time,force\na,0,1\na,1,2\n")

    assert [event.event_id for event in plan] == ["day-1-1", "day-1-2"]
    assert any("event_id: no such column" in note for note in plan.notes)
    assert any("count, recipe" in note for note in plan.notes)


@pytest.mark.parametrize(
    ("csv", "options", "problem"),
    [
        ("time,event_id,force\n", {}, "--asset: must be given, no column is asset"),
        ("asset,event_id,force\n", {}, "--time: or --start must be given, no column is time"),
        ("asset,time,event_id\n", {}, "features: at least one must have a column"),
        (f"{HEAD}\n", {"renames": {"x": "force"}}, "x: must be a column of"),
        (f"x,{HEAD}\n", {"renames": {"x": "forc"}}, "--map x=forc: must be a field of the record"),
        (f"x,{HEAD}\n", {"renames": {"x": "forc"}}, "did you mean force?"),
        (f"{HEAD}\n", {"time": "when"}, "when: must be a column of"),
        (f"{HEAD}\n", {"start": "soon"}, "--start: must be ISO 8601"),
        (f"{HEAD}\n", {"start": "0", "time": "time"}, "--start: excludes --time"),
        (f"{HEAD}\na,0,e,x,1,m\n", {}, "day-1.csv line 2: force must be a number, was 'x'"),
        (f"{HEAD}\na,0,e,1,1.5,m\n", {}, "line 2: count must be a whole number"),
        (f"{HEAD}\n,0,e,1,1,m\n", {}, "line 2: asset must name the asset, was empty"),
        (f"{HEAD}\na,,e,1,1,m\n", {}, "line 2: time must be ISO 8601"),
        (f"{HEAD}\na,0,,1,1,m\n", {}, "line 2: event_id must be the event's id, was empty"),
    ],
)
def test_what_cannot_be_sent_is_named(
    reader: Reader, csv: str, options: dict[str, Any], problem: str
) -> None:
    assert problem in refused(reader, csv, **options)


def test_every_wrong_row_is_named_until_they_are_too_many(reader: Reader) -> None:
    text = refused(reader, f"{HEAD}\n" + "a,0,e,x,1,m\n" * 30)

    assert "line 2:" in text
    assert "line 21:" in text
    assert "line 22:" not in text
    assert "nothing was sent" in text


def test_a_required_field_must_have_a_column_and_a_value(reader: Reader) -> None:
    fields = [*FIELDS, {"name": "site", "type": "double"}]
    record = {**PRESS, "fields": fields}

    assert "site: must have a column" in refused(reader, f"{HEAD}\n", record=record)
    text = refused(reader, f"{HEAD},site\na,0,e,1,1,m,\n", record=record)
    assert "site must have a value, was empty and may not be null" in text

"""New assets that start as their type is, on a real broker, through `kill -9`."""

from __future__ import annotations

import json
from itertools import islice
from typing import TYPE_CHECKING

import pytest

from chaos.data import power_rows
from chaos.feeding import Feed
from chaos.inputs import clean_events
from chaos.mesh import Mesh
from chaos.plant import LOCK, MODELS, PlantText
from chaos.waiting import await_value, is_less
from cli.command import run
from tidemill.contracts.codec import codec
from tidemill.contracts.definition import parse_definition
from tidemill.contracts.topics import EVENTS, PREDICTIONS
from tidemill.fold.applying import Fold
from tidemill.fold.terms import Terms
from tidemill.kernel.records import Message

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from chaos.data import Row
    from chaos.reading import Record

PARTITIONS = 2
ROWS = 2_000
KILLS = 4
NEW_EVERY = 150  # rows from one new asset to the next
NEVER_SAVED = 1 << 40
DRAIN_S = 600.0
FLAGS = ("--batch", "50", "--snapshot-every", "200", "--live-models", "10")
PLANT = PlantText(
    partitions=PARTITIONS,
    models={stream: {**model, "start_from": "stream"} for stream, model in MODELS.items()},
)


def rows_of_ever_more_assets() -> Iterator[Row]:
    for number, row in enumerate(islice(power_rows(), ROWS)):
        yield row._replace(asset=f"feeder/{number * number % (1 + number // NEW_EVERY)}")


def folded(events: list[Record], partition: int) -> list[bytes | None]:
    """Return what one calm fold, which nobody kills, predicts of a partition's events."""
    fold = Fold(Terms(parse_definition(PLANT.definition()), LOCK), partition)
    messages = [
        Message(EVENTS, partition, event.offset, event.key, event.value) for event in events
    ]
    return [emit.value for emit in fold.apply(messages, NEVER_SAVED)]


@pytest.mark.broker
@pytest.mark.timeout(1800)
def test_assets_that_start_as_their_type_answer_equal_bytes_through_kills_and_replay(
    tmp_path: Path,
) -> None:
    events = list(clean_events(rows_of_ever_more_assets(), PARTITIONS))
    each = len(events) // (KILLS + 1)
    with Mesh(tmp_path, PLANT, FLAGS) as mesh:
        (worker,) = mesh.start("w0")
        mesh.await_owners(1)
        feed = Feed(mesh.bootstrap)
        for number in range(KILLS):
            feed.write(events[number * each : (number + 1) * each])
            feed.finish()
            await_value(lambda: is_less(mesh.lag(), each), lambda: "work goes on", DRAIN_S)
            worker.kill()
            worker.start()
            feed = Feed(mesh.bootstrap)
        feed.write(events[KILLS * each :])
        feed.finish()
        mesh.drain(DRAIN_S)
        mesh.end()

        written, predicted = mesh.read(EVENTS), mesh.read(PREDICTIONS)
        for partition in range(PARTITIONS):
            found = [record.value for record in predicted[partition]]
            assert found == folded(written[partition], partition)
        assert first_versions_grow(predicted[0])
        for audit in ("verify", "replay"):
            code, document = mesh.audit(audit)
            assert (code, document["differences"]) == (0, 0), document
        check_listed(mesh)


def first_versions_grow(predicted: list[Record]) -> bool:
    first: dict[str, int] = {}
    for record in predicted:
        prediction = codec("Prediction").decode(record.value)
        first.setdefault(prediction["asset"], prediction["version"])
    versions = list(first.values())
    return len(versions) > 5 and versions == sorted(versions) and versions[-1] > ROWS / 4


def check_listed(mesh: Mesh) -> None:
    """Hold that the asset type is shown beside the assets, as what it is."""
    models = json.loads(run("assets", "list", "-b", mesh.bootstrap, "--json").out)["models"]
    of_types = [each for each in models if each["is_type"]]
    assert {(each["stream"], each["asset"], each["partition"]) for each in of_types} == {
        ("power", "", partition) for partition in range(PARTITIONS)
    }
    assert sum(each["version"] for each in of_types if each["model"] == "power/champion") == ROWS
    said = run("assets", "list", "-b", mesh.bootstrap).out
    assert "power (asset type, partition 0) power/champion version " in said
    assert said.rstrip().endswith(f"{len(models)} models, {len(of_types)} of them of asset types")

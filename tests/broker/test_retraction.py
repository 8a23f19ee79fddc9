"""Wrong examples taken back on a real broker while workers are killed: no trace is left."""

from __future__ import annotations

import json
import random
from functools import partial
from typing import TYPE_CHECKING

import pytest

from chaos.feeding import Feed, Outgoing
from chaos.mesh import Mesh
from chaos.plant import NAME, write_plant
from chaos.waiting import await_value
from fold.plain_order import Plain
from tidemill.contracts.codec import codec
from tidemill.contracts.definition import parse_definition
from tidemill.contracts.topics import EVENTS, FEEDBACK, LEDGER, PREDICTIONS, RECEIPTS, UPDATES
from tidemill.fold.ledger import Entry
from tidemill.fold.terms import Terms
from tidemill.kernel.records import Message
from tidemill.testing.plants import (
    LINEAR,
    RECORD,
    RECORD_ID,
    event_value,
    sample_definition,
    update_value,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.broker

PARTITIONS = 2
ASSETS = ("north/press", "north/saw")
TREE = {"tree.HoeffdingTreeRegressor": {"leaf_prediction": "mean"}}
FLAGS = ("--batch", "50", "--snapshot-every", "300", "--anchor-every", "200")
EVENTS_OF_A_PART = 400
KILLS = 4
WITHIN_S = 600.0


class SamplePlant:
    """The sample plant, as a mesh is told of it."""

    partitions = PARTITIONS

    def __init__(self) -> None:
        text = sample_definition(LINEAR, challengers={"tree": [TREE]}, partitions=PARTITIONS)
        self.text = json.dumps({**json.loads(text), "plant": NAME})
        self.terms = Terms(parse_definition(self.text), {RECORD_ID: RECORD})

    def write(self, folder: Path) -> tuple[Path, Path]:
        """Write all that a learner reads; return definition and key file."""
        return write_plant(folder, self.text, {RECORD_ID: RECORD})


class Source:
    """Events, wrong examples by feedback, and their retractions, numbered."""

    def __init__(self) -> None:
        self.rng = random.Random(5)
        self.number = 0
        self.said: list[tuple[int, str]] = []
        self.retracted: set[str] = set()

    def events(self, count: int) -> Iterator[Outgoing]:
        for _ in range(count):
            asset = ASSETS[self.number % PARTITIONS]
            self.number += 1
            x: dict[str, float | None] = {
                "vibration": self.rng.random(),
                "temperature": self.rng.gauss(20, 5),
                "flow": self.rng.random(),
            }
            value = event_value(asset, self.number, x, self.rng.gauss(3, 1))
            yield Outgoing(EVENTS, ASSETS.index(asset), asset.encode(), value)

    def wrong(self, partition: int) -> Outgoing:
        self.number += 1
        name = f"f{self.number}"
        self.said.append((partition, name))
        return self._update(partition, name, 500.0, event_id=name)

    def retract(self, number: int) -> Outgoing:
        partition, name = self.said[number]
        self.number += 1
        self.retracted.add(name)
        return self._update(partition, f"r-{name}", None, kind="RETRACT", target_id=name)

    def _update(
        self, partition: int, feedback: str, label: float | None, **fields: object
    ) -> Outgoing:
        asset, x = ASSETS[partition], {"vibration": 0.5, "temperature": 20.0, "flow": 1.0}
        value = update_value(asset, self.number, x, label, origin=feedback, **fields)
        update = codec("Update").decode(value)
        update["cause"] |= {"topic": FEEDBACK, "partition": partition}
        return Outgoing(UPDATES, partition, asset.encode(), codec("Update").encode(update))


def write(mesh: Mesh, records: Iterator[Outgoing] | list[Outgoing]) -> None:
    feed = Feed(mesh.bootstrap)
    feed.write(records)
    feed.finish()


def told(mesh: Mesh) -> list[str]:
    """Return the feedback of every receipt."""
    return [
        codec("Receipt").decode(record.value)["feedback_id"]
        for part in mesh.read(RECEIPTS)
        for record in part
    ]


def is_told(mesh: Mesh, names: set[str]) -> bool:
    mesh.check()
    return names <= set(told(mesh))


class PartitionView:
    """What the plain loop reads: the topics of one partition."""

    def __init__(self, mesh: Mesh, partition: int) -> None:
        self.topics = {
            topic: [
                Message(topic, partition, record.offset, record.key, record.value)
                for record in mesh.read(topic)[partition]
            ]
            for topic in (EVENTS, UPDATES, LEDGER)
        }

    def left_out(self, names: set[str]) -> dict[int, bytes | None]:
        """Return the updates that these feedbacks caused."""
        return {
            message.offset: None
            for message in self.topics[UPDATES]
            if codec("Update").decode(message.value)["origin"] in names
        }

    def lineage(self, model: str) -> bytes:
        """Return the last lineage that the ledger has of a model."""
        entries = [Entry.decode(message.value) for message in self.topics[LEDGER]]
        return [m.lineage for e in entries for m in e.models if m.model == model][-1]


def test_retractions_survive_kills_and_leave_no_trace(tmp_path: Path) -> None:
    plant, source = SamplePlant(), Source()
    with Mesh(tmp_path, plant, FLAGS) as mesh:
        write(mesh, [source.wrong(0), source.wrong(1)])
        write(mesh, source.events(EVENTS_OF_A_PART))
        mesh.start("w0", "w1")
        mesh.await_owners(2)
        for kill in range(KILLS):
            write(mesh, [source.wrong(kill % 2), source.wrong((kill + 1) % 2)])
            write(mesh, source.events(EVENTS_OF_A_PART))
            write(mesh, [source.retract(kill), *source.events(20)])
            worker = source.rng.choice(mesh.up())
            worker.kill()
            worker.start()
        expected = {f"r-{name}" for name in source.retracted} | {n for _, n in source.said}
        await_value(
            partial(is_told, mesh, expected),
            lambda: f"receipts of {expected}, found {told(mesh)}: {[w.said() for w in mesh.up()]}",
            WITHIN_S,
        )
        write(mesh, source.events(50))
        mesh.drain(WITHIN_S)
        mesh.end()

        assert sorted(told(mesh)) == sorted(expected), "one receipt for each"
        code, document = mesh.audit("replay")
        assert (code, document["differences"]) == (0, 0), document
        assert sum(part["counts"]["swaps"] for part in document["partitions"]) > 0
        assert len({r.offset for p in mesh.read(PREDICTIONS) for r in p}) > 0
        for partition, asset in enumerate(ASSETS):
            view = PartitionView(mesh, partition)
            edits = view.left_out(source.retracted)
            for model in ("pump/champion", "pump/tree"):
                plain = Plain(plant.terms, edits=edits, model=model, asset=asset)
                plain.follow(view)  # type: ignore[arg-type]  # it has what is read
                assert view.lineage(model) == plain.lineage

"""Wrong examples and their retractions, and what a plain loop reads of what came of them."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING

from chaos.feeding import Outgoing
from chaos.plant import NAME, write_plant
from tidemill.contracts.codec import codec
from tidemill.contracts.definition import parse_definition
from tidemill.contracts.topics import EVENTS, FEEDBACK, LEDGER, UPDATES
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

    from chaos.mesh import Mesh

PARTITIONS = 2
ASSETS = ("north/press", "north/saw")
TREE = {"tree.HoeffdingTreeRegressor": {"leaf_prediction": "mean"}}
CHAMPION, CHALLENGER = "pump/champion", "pump/tree"


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

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.number = 0
        self.said: list[tuple[int, str]] = []
        self.retracted: set[str] = set()

    def events(self, count: int) -> Iterator[Outgoing]:
        """Yield events of all assets in turn."""
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
        """Return an example that is far off."""
        self.number += 1
        name = f"f{self.number}"
        self.said.append((partition, name))
        return self._update(partition, name, 500.0, event_id=name)

    def retract(self, number: int) -> Outgoing:
        """Return the retraction of the so manyth example."""
        partition, name = self.said[number]
        self.number += 1
        self.retracted.add(name)
        return self._update(partition, f"r-{name}", None, kind="RETRACT", target_id=name)

    def told_of(self) -> set[str]:
        """Return every feedback that must have a receipt."""
        return {f"r-{name}" for name in self.retracted} | {name for _, name in self.said}

    def _update(
        self, partition: int, feedback: str, label: float | None, **fields: object
    ) -> Outgoing:
        asset, x = ASSETS[partition], {"vibration": 0.5, "temperature": 20.0, "flow": 1.0}
        value = update_value(asset, self.number, x, label, origin=feedback, **fields)
        update = codec("Update").decode(value)
        update["cause"] |= {"topic": FEEDBACK, "partition": partition}
        return Outgoing(UPDATES, partition, asset.encode(), codec("Update").encode(update))


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

    def entries(self) -> list[Entry]:
        """Return the ledger."""
        return [Entry.decode(message.value) for message in self.topics[LEDGER]]

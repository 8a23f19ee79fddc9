"""Bits flipped on the broker's disk: the audit names each record."""

from __future__ import annotations

import json
import random
from itertools import islice
from typing import TYPE_CHECKING, Any

import pytest

from broker.segments import flip_bit
from chaos.data import power_rows
from chaos.feeding import Feed
from chaos.inputs import rough_records
from chaos.mesh import Mesh
from chaos.plant import PlantText
from chaos.reading import read_topic
from tidemill.contracts.topics import EVENTS, LEDGER, PREDICTIONS, SNAPSHOTS

if TYPE_CHECKING:
    from pathlib import Path

PARTITIONS = 4
ROWS = 800
FLAGS = ("--batch", "100", "--snapshot-every", "200", "--anchor-every", "300")
DRAIN_S = 600.0
# One record of each of these topics, each in a partition of its own.
ALTERED = (EVENTS, PREDICTIONS, SNAPSHOTS, LEDGER)


def audit(mesh: Mesh, *arguments: str) -> tuple[int, dict[str, Any]]:  # Any: JSON
    done = mesh.call("audit", *arguments, "--json", *mesh.signed)
    assert done.stdout.strip(), done.stderr
    return done.returncode, json.loads(done.stdout)


def differences(document: dict[str, Any]) -> set[tuple[str, int, int]]:  # Any: JSON
    return {
        (finding["topic"], finding["partition"], finding["offset"])
        for partition in document["partitions"]
        for finding in partition["findings"]
    }


@pytest.mark.broker
def test_bits_flipped_on_disk_are_located_by_verify_and_by_replay(tmp_path: Path) -> None:
    rng = random.Random(17)
    with Mesh(tmp_path, PlantText(partitions=PARTITIONS), FLAGS) as mesh:
        mesh.start("w0")
        feed = Feed(mesh.bootstrap)
        feed.write(rough_records(islice(power_rows(), ROWS), PARTITIONS, seed=5))
        feed.finish()
        mesh.drain(DRAIN_S)
        mesh.end()
        for name in ("verify", "replay"):
            code, document = audit(mesh, name)
            assert (code, document["differences"]) == (0, 0), document
            counted = sum(part["counts"]["inputs"] for part in document["partitions"])
            assert counted == sum(feed.acknowledged.values())

        flipped = {
            topic: rng.choice(read_topic(mesh.bootstrap, topic, PARTITIONS)[number])
            for number, topic in enumerate(ALTERED)
        }
        mesh.kafka.stop()
        for topic, record in flipped.items():
            bit = rng.randrange(8 * len(record.value or b""))
            data = mesh.kafka.home.data
            flip_bit(data, topic, record.partition, offset=record.offset, bit=bit)
        mesh.kafka.start()

        expected = {(topic, r.partition, r.offset) for topic, r in flipped.items()}
        for name in ("verify", "replay"):
            code, document = audit(mesh, name)
            assert code == 1
            assert differences(document) == expected

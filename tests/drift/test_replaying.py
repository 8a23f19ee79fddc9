"""The drift ledger folded again leads to the same records, and says where it does not."""

from __future__ import annotations

import random
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING

import pytest

from drift.test_crashes_in_memory import Plant, disturbed, factory
from drift.watched_plant import REFERENCE, answer, terms
from tidemill.contracts.codec import codec
from tidemill.contracts.topics import DRIFT, DRIFT_LEDGER, EVENTS
from tidemill.processors.drift.audit import Asked, replay
from tidemill.testing.driver import Driver
from tidemill.testing.memory_log import MemoryLog

if TYPE_CHECKING:
    from tidemill.fold.audit.findings import Findings


@pytest.fixture(scope="module")
def plant() -> Plant:
    """Return a plant whose workers crashed, and whose definition was changed at the end."""
    plant = Plant(terms(question_timeout="30s"))
    disturbed(plant, random.Random(3))
    asked = [r for r in plant.records() if r["status"] == "OPEN"]
    plant.write([answer(0, str(asked[-1]["drift_id"]), "FAULT", str(asked[-1]["asset"]))], 0)
    plant.driver.drain()
    for worker in plant.driver.instances:
        plant.driver.leave(worker)
    again = Driver(plant.cluster, partial(factory, terms(run_length=500)), batch=23)
    again.send(EVENTS, 0, b"nobody's")
    again.drain()
    return plant


def found(plant: Plant, partition: int, reference: int = REFERENCE) -> Findings:
    return replay(MemoryLog(plant.cluster), partition, asked=Asked(reference=reference))


def test_everything_comes_out_again(plant: Plant) -> None:
    for partition in range(2):
        report = found(plant, partition)
        assert report.findings == []
        entries = [m for m in plant.cluster.read(DRIFT_LEDGER) if m.partition == partition]
        assert report.counts["entries"] == len(entries)
        assert report.counts["compared"] > 2


def test_another_way_to_watch_is_told_at_the_first_entry_it_changes(plant: Plant) -> None:
    (finding,) = found(plant, 0, reference=REFERENCE + 30).findings
    assert finding.kind == "fold-differs"
    assert finding.sequence is not None


@pytest.mark.parametrize(
    ("digest", "kind"), [("arithmetic_digest", "other-arithmetic"), ("code_digest", "other-code")]
)
def test_what_other_machines_or_releases_computed_is_called_that_and_not_tampering(
    plant: Plant, monkeypatch: pytest.MonkeyPatch, digest: str, kind: str
) -> None:
    module = import_module("tidemill.processors.drift.audit.replay")
    monkeypatch.setattr(module, digest, lambda *_: bytes(32))
    assert found(plant, 0).findings == []
    (finding,) = found(plant, 0, reference=REFERENCE + 30).findings
    assert finding.kind == kind
    assert kind.replace("-", " ") in finding.must


def test_a_record_of_a_drift_that_nobody_wrote_is_named() -> None:
    plant = Plant(terms())
    disturbed(plant, random.Random(1))
    assert found(plant, 0).findings == []
    real = next(m for m in plant.cluster.read(DRIFT) if m.partition == 0)
    record = {**codec("Drift").decode(real.value), "status": "FAULT"}
    offset = plant.cluster.append(DRIFT, 0, codec("Drift").encode(record), key=real.key)

    (finding,) = found(plant, 0).findings
    assert finding.kind == "output-foreign"
    assert finding.place.first == offset


def test_a_partition_without_a_ledger_has_nothing_to_say() -> None:
    report = found(Plant(terms()), 1)
    assert report.findings == []
    assert report.notes == ["nothing was ever watched here"]

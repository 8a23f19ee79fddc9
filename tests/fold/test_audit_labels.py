"""Examples of labels are held against the predictions and labels that they are said to be of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from fold.corrected import TREE, Corrected
from fold.instructed import late_terms
from labeller.cases import Bench
from tidemill.contracts.codec import codec
from tidemill.contracts.topics import EVENTS, LABELS, PREDICTIONS, UPDATES
from tidemill.fold.audit import replay
from tidemill.fold.audit.findings import Kind
from tidemill.fold.audit.labelled import LabelAudit
from tidemill.testing.memory_log import MemoryLog
from tidemill.testing.plants import update_value

if TYPE_CHECKING:
    from tidemill.fold.audit.findings import Finding
    from tidemill.kernel.records import Message

Record = dict[str, Any]  # Any: the values of an Avro record


@pytest.fixture(scope="module")
def bench() -> Bench:
    """Return a plant whose labels came before, behind and beside their predictions, corrected."""
    bench = Bench()
    bench.label(0, 4.0, partition=1)
    for number in range(6):
        bench.predict(number, at_s=number)
    bench.run()
    for number in range(1, 6):
        bench.label(number, float(number), partition=number % 2, at_s=number + 1)
        bench.run()
    bench.label(3, 9.0, partition=1, revision=1, at_s=8)
    bench.run()
    assert len(bench.updates()) == 7
    return bench


def audited(bench: Bench, *changed: Record) -> tuple[list[Finding], LabelAudit]:
    """Hold what the labeller wrote, or what stands in its place, against its inputs."""
    audit = LabelAudit(MemoryLog(bench.cluster), 0)
    messages: list[Message] = bench.cluster.read(UPDATES, [0])
    if changed:
        messages = [
            message._replace(value=codec("Update").encode(update))
            for message, update in zip(messages, changed, strict=False)
        ]
    audit.note(7, messages)
    return audit.settle(2), audit


def test_what_a_labeller_wrote_agrees_with_what_it_read(bench: Bench) -> None:
    findings, audit = audited(bench)
    assert findings == []
    assert (audit.compared, audit.lost, audit.notes) == (7, 0, [])


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"label": 5.5}, "no label says so"),
        ({"label": True}, "no label says so"),
        ({"revision": 3}, "no label says so"),
        ({"label_time": 5}, "no label says so"),
        ({"features": {"vibration": 1.0, "flow": None}}, "features of model.predictions@"),
        ({"asset": "north/2"}, "asset of"),
        ({"event_id": "e5"}, "event_id of"),
        ({"time": 5}, "time of"),
        ({"event": {"topic": EVENTS, "partition": 0, "offset": 99}}, "was not predicted"),
        ({"event": {"topic": EVENTS, "partition": 1, "offset": 2}}, "of another partition"),
        ({"stored": {"value": 99.0}}, "value of model.predictions@"),
        ({"stored": {"lineage": b"1" * 32}}, "lineage of model.predictions@"),
    ],
)
def test_an_example_of_something_else_is_found(bench: Bench, changed: Record, says: str) -> None:
    updates = bench.updates()
    for number in (0, 2):
        forged = {**updates[number], **changed}
        if "stored" in changed:
            forged["stored"] = {**updates[number]["stored"], **changed["stored"]}
        findings, _ = audited(bench, *updates[:number], forged)
        (found,) = findings
        assert found.kind is Kind.EXAMPLE_DIFFERS
        where = bench.cluster.read(UPDATES, [0])[number].offset
        assert (found.place.topic, found.place.first, found.sequence) == (UPDATES, where, 7)
        assert says in found.found


@pytest.mark.parametrize("topic", [PREDICTIONS, LABELS])
def test_the_cause_is_held_too(bench: Bench, topic: str) -> None:
    updates = bench.updates()
    (number, update) = next(
        (n, each) for n, each in enumerate(updates) if each["cause"]["topic"] == topic
    )
    update["cause"]["offset"] += 1
    findings, _ = audited(bench, *updates[:number], update)
    assert len(findings) == 1


def test_what_is_no_answer_to_a_prediction_is_passed_over(bench: Bench) -> None:
    update = {**bench.updates()[0], "label": 77.0}
    for other in ({"stored": None}, {"event": None}, {"origin": "a-feedback"}, {"kind": "VETO"}):
        findings, audit = audited(bench, {**update, **other})
        assert (findings, audit.compared) == ([], 0)


def test_what_is_not_retained_is_noted() -> None:
    bench = Bench()
    for number in range(4):
        bench.predict(number)
        bench.label(number, partition=1)
    bench.run()
    bench.cluster.log(LABELS, 1).delete_before(2)
    findings, audit = audited(bench)
    assert findings == []
    assert (audit.compared, audit.lost) == (2, 2)
    bench.cluster.log(PREDICTIONS, 0).delete_before(3)
    findings, audit = audited(bench)
    assert (findings, audit.compared, audit.lost) == ([], 1, 3)
    assert audit.notes[0].startswith("3 examples of labels could not be held against")


def test_a_replay_holds_the_examples_that_it_folds() -> None:
    plant = Corrected(late_terms(TREE, partitions=1))
    plant.log.topics[LABELS], plant.log.ends[LABELS] = [], 0
    plant.apply(plant.events(8, labelled=False))
    said = plant.predictions()[3]
    names = ("model", "version", "lineage", "value", "probabilities", "quality")
    known = {name: said[name] for name in ("event_id", "asset", "time")}
    known |= {"stored": {name: said[name] for name in names}, "event": said["source"]}
    update = codec("Update").decode(update_value(said["asset"], 0, {}, 5.0))
    update |= {**known, "features": said["features"], "label_time": said["time"] + 99}
    plant.apply([plant.update(codec("Update").encode(update))])
    plant.apply(plant.events(2, labelled=False))
    report = replay(plant.log, 0)
    assert [finding.kind for finding in report.findings] == [Kind.EXAMPLE_DIFFERS]
    label = {name: said[name] for name in ("event_id", "asset")}
    label |= {"value": 5.0, "revision": 0, "time": said["time"] + 99}
    plant.log.append(LABELS, codec("Label").encode(label))
    report = replay(plant.log, 0)
    assert report.findings == []
    assert report.counts["labels"] == 1

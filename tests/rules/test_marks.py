"""What stands at the offsets of a transaction comes back, and a successor waits for it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from confluent_kafka import KafkaError, TopicPartition

from rules.counting import Counting, CountingFactory
from rules.harness import ANSWER_S
from rules.wrapped import WrappedClients, raising

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from rules.harness import Bench
    from tidemill.kernel.processor import Log, Opened

pytestmark = pytest.mark.broker


class Marking(Counting):
    """A sum that is its own mark, as the learner's is its ledger sequence."""

    @property
    def mark(self) -> str:
        return str(self.total)


class MarkingFactory(CountingFactory):
    """Finds nothing at first, as if the outputs' markers came later than the offsets'.

    Args:
        name: Prefix of its topics.
        blind: How many restores find nothing.
    """

    def __init__(self, name: str, *, blind: int = 0) -> None:
        super().__init__(name)
        self.blind = blind

    def open(
        self, partition: int, committed: Mapping[str, int | None], log: Log
    ) -> Generator[None, None, Opened]:
        opened = yield from super().open(partition, committed, log)
        assert isinstance(opened.task, Counting)
        is_blind, self.blind = self.blind > 0, self.blind - 1
        task = Marking(self.outputs[0], partition, 0 if is_blind else opened.task.total)
        return replace(opened, task=task, mark=task.mark)


def marks(bench: Bench, partition: int) -> dict[str, tuple[int, str | None]]:
    """Return what the broker says is committed: offset and metadata, by input."""
    member = WrappedClients(bench.bootstrap).member(bench.group, "looker")
    asked = [TopicPartition(bench.topic(name), partition) for name in ("updates", "events")]
    found = member.committed(asked, ANSWER_S)
    member.close()
    return {p.topic.removeprefix(f"{bench.name}."): (p.offset, p.metadata) for p in found}


def test_a_mark_comes_back_from_the_broker_as_it_was_committed(bench: Bench) -> None:
    worker = bench.worker(factory=MarkingFactory(bench.name), idle_commit_s=0.0)
    bench.send([1, 2])
    bench.send([1_000_000_007], partition=1)
    bench.commit_marks(worker)
    assert marks(bench, 0) == {"updates": (0, "3"), "events": (2, "3")}
    assert marks(bench, 1) == {"updates": (0, "1000000007"), "events": (1, "1000000007")}

    bench.send([4])
    bench.commit_marks(worker)
    assert marks(bench, 0) == {"updates": (0, "7"), "events": (3, "7")}


def test_a_commit_that_only_passes_control_markers_keeps_the_mark(bench: Bench) -> None:
    worker = bench.worker(factory=MarkingFactory(bench.name), idle_commit_s=0.0)
    bench.send([5])
    bench.commit_marks(worker)
    bench.send_in_transaction([9], is_aborted=True)
    bench.commit_marks(worker)
    assert marks(bench, 0) == {"updates": (0, "5"), "events": (3, "5")}


def test_a_mark_of_an_aborted_transaction_is_never_seen(bench: Bench) -> None:
    clients = WrappedClients(bench.bootstrap)
    factory = MarkingFactory(bench.name)
    worker = bench.worker(clients=clients, factory=factory, idle_commit_s=0.0)
    bench.send([5])
    bench.commit_marks(worker)
    broken = raising(KafkaError.INVALID_TXN_STATE, txn_requires_abort=True)
    clients.hooks.before["commit_transaction"].append(broken)
    before = len(clients.hooks.arguments["send_offsets_to_transaction"])
    aborted = clients.hooks.calls.count("abort_transaction")
    bench.send([4])
    bench.step_until(lambda: clients.hooks.calls.count("abort_transaction") > aborted, worker)
    sent = [offsets for offsets, *_ in clients.hooks.arguments["send_offsets_to_transaction"]]
    assert {part.metadata for part in sent[before]} == {"9"}
    assert marks(bench, 0)["events"] == (1, "5")

    bench.commit_marks(worker)
    assert marks(bench, 0)["events"][1] == "9"


def test_a_successor_tries_again_until_it_stands_at_the_mark(bench: Bench) -> None:
    first = bench.worker(factory=MarkingFactory(bench.name), idle_commit_s=0.0)
    bench.send([1, 2])
    bench.commit_marks(first)
    first.close()
    bench.workers.clear()

    factory = MarkingFactory(bench.name, blind=3)
    successor = bench.worker(factory=factory)
    bench.send([4])
    bench.settle(successor)
    assert bench.sums() == [1, 3, 7]
    assert factory.blind < 0
    assert factory.opened.count(0) > 1

"""What a calm, plain fold of the recorded order gives, to hold a troubled run against."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tidemill.contracts.topics import EVENTS, LEDGER, PREDICTIONS, UPDATES
from tidemill.fold.applying import Fold
from tidemill.fold.ledger import Entry
from tidemill.kernel.deadletters import SUFFIX

if TYPE_CHECKING:
    from tidemill.fold.terms import Terms
    from tidemill.kernel.records import Message
    from tidemill.testing.cluster import MemoryCluster

INPUTS = (UPDATES, EVENTS)
OUTPUTS = (PREDICTIONS, EVENTS + SUFFIX, UPDATES + SUFFIX)
NEVER_SAVED = 1 << 40

Written = tuple[bytes | None, bytes | None]
Lineages = dict[tuple[str, str, str], tuple[int, bytes]]


@dataclass(frozen=True)
class Refolded:
    """One partition: its outputs by topic, in order, and where its models ended."""

    outputs: dict[str, list[Written]]
    lineages: Lineages


def ledger_of(cluster: MemoryCluster, partition: int) -> list[Entry]:
    """Return the entries of a partition, having walked their chain from genesis."""
    entries: list[Entry] = []
    for message in cluster.read(LEDGER, [partition]):
        entry = Entry.decode(message.value)
        entry.check_follows(entries[-1] if entries else None, where=str(message.position))
        entries.append(entry)
    assert entries[0].kind == "GENESIS"
    assert entries[0].sequence == 0
    return entries


def applied(cluster: MemoryCluster, partition: int) -> list[Message]:
    """Return the inputs in recorded order: what the runs name, all of it once, nothing else."""
    inputs = {topic: cluster.read(topic, [partition]) for topic in INPUTS}
    order: list[Message] = []
    for entry in ledger_of(cluster, partition):
        for run in entry.runs:
            named = [m for m in inputs[run.topic] if run.first <= m.offset <= run.last]
            assert (named[0].offset, named[-1].offset) == (run.first, run.last)
            order += named
    for topic, messages in inputs.items():
        assert [m for m in order if m.topic == topic] == messages, f"{topic} in order, once"
    return order


def refold(cluster: MemoryCluster, terms: Terms, partition: int) -> Refolded:
    """Fold the recorded order once more, record by record, without any runtime."""
    fold = Fold(terms, partition)
    outputs: dict[str, list[Written]] = {topic: [] for topic in OUTPUTS}
    for message in applied(cluster, partition):
        for emit in fold.apply([message], NEVER_SAVED):
            outputs[emit.topic].append((emit.key, emit.value))
    return Refolded(
        outputs,
        {
            tuple(tracked.key): (tracked.state.version, tracked.state.lineage)  # type: ignore[misc]  # a key of three
            for tracked in fold.fleet
            if tracked.state.version or tracked.state.recent.count
        },
    )


def recorded(cluster: MemoryCluster, partition: int) -> Refolded:
    """Return what the topics hold: committed outputs, and the lineages the ledger ends with."""
    lineages: Lineages = {}
    for entry in ledger_of(cluster, partition):
        for changed in entry.models:
            key = (changed.stream, changed.asset, changed.model)
            lineages[key] = (changed.version, changed.lineage)
    outputs = {
        topic: [(message.key, message.value) for message in cluster.read(topic, [partition])]
        for topic in OUTPUTS
    }
    return Refolded(outputs, lineages)

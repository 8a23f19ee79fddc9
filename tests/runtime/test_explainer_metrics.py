"""What an explainer's metrics say is what stands in its topics."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.parser import text_string_to_metric_families

from runtime.learners import PARTITIONS, plant_cluster, run_until_idle, send_events, start_learner
from tidemill.contracts.topics import EXPLAINER_SNAPSHOTS, EXPLANATIONS, LEDGER
from tidemill.fold.books import Policy
from tidemill.fold.snapshots import SigningKey
from tidemill.processors.explainer.processor import ExplainerFactory
from tidemill.runtime.metrics import WorkerMetrics
from tidemill.runtime.observer import Silent
from tidemill.runtime.worker import Worker, WorkerSettings
from tidemill.testing.plants import sample_terms

if TYPE_CHECKING:
    from tidemill.testing.cluster import MemoryCluster


def explain_all(cluster: MemoryCluster) -> dict[tuple[str, frozenset[str]], float]:
    """Run an explainer until nothing comes; return its samples by name and label values."""
    metrics = WorkerMetrics("explainer", clock=cluster.now)
    factory = ExplainerFactory(
        sample_terms(partitions=PARTITIONS), SigningKey(b"k" * 32), Policy(snapshot_every=100)
    )
    settings = WorkerSettings("tidemill.sample.explainer", "0", PARTITIONS, batch=2)
    worker = Worker(
        factory,
        cluster.process(),
        settings,
        clock=cluster.now,
        observer=metrics,
        wall=lambda: cluster.now_ms() / 1000,
    )
    run_until_idle(worker)
    worker.close()
    families = text_string_to_metric_families(metrics.exposition().decode())
    return {
        (sample.name, frozenset(sample.labels.values())): sample.value
        for family in families
        for sample in family.samples
    }


def learn_all(cluster: MemoryCluster) -> None:
    worker = start_learner(cluster, Silent())
    run_until_idle(worker)
    worker.close()


def test_a_restarted_explainer_counts_what_it_writes_and_not_what_it_folds_again() -> None:
    cluster = plant_cluster()
    send_events(cluster, 150)
    learn_all(cluster)
    first = explain_all(cluster)
    written = len(cluster.read(EXPLANATIONS))
    entries = len(cluster.read(LEDGER))
    send_events(cluster, 30, start=150)
    learn_all(cluster)
    second = explain_all(cluster)

    exact = ("tidemill_explanations_total", frozenset({"true"}))
    assert (written, first[exact], second[exact]) == (150, 150.0, 30.0)
    assert first["tidemill_records_total", frozenset({LEDGER})] == entries
    assert (
        first["tidemill_snapshot_bytes_total", frozenset({EXPLAINER_SNAPSHOTS})]
        == sum(len(message.value or b"") for message in cluster.read(EXPLAINER_SNAPSHOTS))
        - second["tidemill_snapshot_bytes_total", frozenset({EXPLAINER_SNAPSHOTS})]
    )
    assert second["tidemill_lag_records", frozenset({LEDGER, "0"})] == 0.0
    assert second["tidemill_refolded_records_total", frozenset()] > 0

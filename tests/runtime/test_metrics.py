"""Metrics: every number once, only what was committed, nothing that names an asset."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

import pytest
from confluent_kafka import KafkaError
from prometheus_client.parser import text_string_to_metric_families

from runtime.learners import (
    ASSETS,
    BAD,
    ReportingTask,
    plant_cluster,
    run_until,
    run_until_idle,
    send_events,
    start_learner,
)
from tidemill.contracts.metric import Kind
from tidemill.contracts.metrics import ABORT_REASONS, METRICS, OTHER
from tidemill.contracts.topics import ANCHORS, EVENTS, LEDGER, PREDICTIONS, SNAPSHOTS, UPDATES
from tidemill.kernel.deadletters import dead_letter
from tidemill.kernel.errors import DeadLetterReason, InvalidRecordError, SnapshotRefusal
from tidemill.kernel.records import Emit, Message
from tidemill.kernel.reports import Refused, Report
from tidemill.runtime.metrics import WorkerMetrics
from tidemill.runtime.observer import Committed
from tidemill.testing.faults import Operation, abortable
from tidemill.testing.plants import sample_terms, update_value

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tidemill.contracts.metric import Metric
    from tidemill.kernel.processor import Task

OURS = {"ASSIGNMENT_CHANGED", "DEADLINE", "DEPENDENCY", OTHER}


class Clock:
    """Stands until it is moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def samples(metrics: WorkerMetrics) -> dict[tuple[str, frozenset[str]], float]:
    """Return every sample by name and label values; those of one metric's labels all differ."""
    families = text_string_to_metric_families(metrics.exposition().decode())
    return {
        (sample.name, frozenset(sample.labels.values())): sample.value
        for family in families
        for sample in family.samples
    }


def value(metrics: WorkerMetrics, name: str, *labels: str) -> float:
    return samples(metrics)[f"tidemill_{name}", frozenset(labels)]


def events(count: int) -> list[Message]:
    return [Message(EVENTS, 0, n, b"a", b"v") for n in range(count)]


def predictions(count: int) -> list[Emit]:
    return [Emit(PREDICTIONS, 0, b"a", b"p")] * count


def transaction(
    records: Sequence[Message] = (),
    emits: Sequence[Emit] = (),
    tasks: dict[int, Task] | None = None,
    *,
    finished: float = 101.0,
) -> Committed:
    return Committed(records, emits, tasks or {}, seconds=0.02, finished=finished)


def test_what_is_exposed_is_what_the_table_says() -> None:
    metrics = WorkerMetrics("learner")
    metrics.assigned([0])
    metrics.restored(0, ReportingTask(Report()), 0.1)
    metrics.lagging(EVENTS, 0, records=1, position_age_s=1.0)

    families = list(text_string_to_metric_families(metrics.exposition().decode()))

    exposed = {(family.name, family.type, family.documentation) for family in families}
    told = {
        (metric.name.removesuffix("_total"), str(metric.kind), metric.about)
        for metric in METRICS
        if not metric.name.startswith("tidemill_process_")
    }
    assert {row for row in exposed if not row[0].startswith("tidemill_process_")} == told
    assert {family.name for family in families} == {m.name.removesuffix("_total") for m in METRICS}


def test_every_label_set_is_the_tables_and_stands_at_zero_from_the_start() -> None:
    found = samples(WorkerMetrics("learner"))

    for metric in METRICS:
        if metric.kind is Kind.COUNTER and metric.labels:
            for values in itertools.product(*(label.values for label in metric.labels)):
                assert found[metric.name, frozenset(values)] == 0.0


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_names_start_with_the_project_and_counters_end_in_total(metric: Metric) -> None:
    assert metric.name.startswith("tidemill_")
    assert metric.name.endswith("_total") == (metric.kind is Kind.COUNTER)


def test_abort_reasons_are_ours_or_names_that_kafka_has() -> None:
    kafkas = {
        KafkaError(code).name()
        for code in (getattr(KafkaError, name) for name in dir(KafkaError) if name.isupper())
        if isinstance(code, int)
    }

    assert set(ABORT_REASONS) <= kafkas | OURS


def test_an_abort_for_an_unknown_reason_counts_as_other() -> None:
    metrics = WorkerMetrics("learner")

    metrics.aborted("REBALANCE_IN_PROGRESS")
    metrics.aborted("A_NAME_OF_TOMORROW")

    assert value(metrics, "aborts_total", "REBALANCE_IN_PROGRESS") == 1.0
    assert value(metrics, "aborts_total", OTHER) == 1.0


def test_a_transaction_counts_its_records_predictions_and_bytes_of_state() -> None:
    metrics = WorkerMetrics("learner")
    update = Message(UPDATES, 0, 0, b"a", b"u")
    saved = [
        Emit(SNAPSHOTS, 0, b"k", b"12345"),
        Emit(SNAPSHOTS, 0, b"k", None),
        Emit(ANCHORS, 0, b"k", b"12"),
        Emit(LEDGER, 0, b"k", b"entry"),
    ]

    metrics.committed(transaction([*events(3), update], [*predictions(3), *saved]))

    assert value(metrics, "records_total", EVENTS) == 3.0
    assert value(metrics, "records_total", UPDATES) == 1.0
    assert value(metrics, "predictions_total") == 3.0
    assert value(metrics, "snapshot_bytes_total", SNAPSHOTS) == 5.0
    assert value(metrics, "snapshot_bytes_total", ANCHORS) == 2.0
    assert value(metrics, "transactions_total") == 1.0
    assert value(metrics, "transaction_seconds_sum") == 0.02


def test_dead_letters_count_by_the_topic_they_came_from_and_their_reason() -> None:
    metrics = WorkerMetrics("learner")
    late = InvalidRecordError(DeadLetterReason.LATE, "too late")
    unknown = InvalidRecordError(DeadLetterReason.UNKNOWN_SCHEMA, "no such id")
    first, second = events(2)
    update = Message(UPDATES, 0, 0, b"a", b"u")
    dead = [
        dead_letter(first, unknown, "learner"),
        dead_letter(second, unknown, "learner"),
        dead_letter(update, late, "learner"),
    ]

    metrics.committed(transaction([first, second, update], dead))

    assert value(metrics, "dead_letters_total", EVENTS, "unknown-schema") == 2.0
    assert value(metrics, "dead_letters_total", UPDATES, "late") == 1.0
    assert value(metrics, "balance_records") == 0.0


def test_the_balance_shows_an_event_that_nothing_came_of() -> None:
    metrics = WorkerMetrics("learner")

    metrics.committed(transaction(events(3), predictions(2)))
    assert value(metrics, "balance_records") == 1.0

    metrics.committed(transaction(events(3), predictions(3)))
    assert value(metrics, "balance_records") == 1.0


def test_what_a_restore_folded_again_does_not_count_as_learned() -> None:
    metrics = WorkerMetrics("learner")
    flags = {"MISSING": 5}
    task = ReportingTask(Report(learned=40, examples=2, flags=flags, refolded=42))
    metrics.restored(0, task, 0.3)
    task.current = Report(learned=43, examples=3, repeated=1, flags={"MISSING": 6, "LATE": 1})

    metrics.committed(transaction(events(3), predictions(3), {0: task}))

    assert value(metrics, "refolded_records_total") == 42.0
    assert value(metrics, "learned_steps_total") == 3.0
    assert value(metrics, "examples_applied_total") == 1.0
    assert value(metrics, "examples_repeated_total") == 1.0
    assert value(metrics, "quality_flags_total", "MISSING") == 1.0
    assert value(metrics, "quality_flags_total", "LATE") == 1.0
    assert value(metrics, "restore_seconds_sum") == 0.3


def test_explanations_count_by_whether_they_are_exact_but_for_those_folded_again() -> None:
    metrics = WorkerMetrics("explainer")
    task = ReportingTask(Report(explained={True: 40}))
    metrics.restored(0, task, 0.3)
    task.current = Report(explained={True: 43, False: 2})

    metrics.committed(transaction([Message(LEDGER, 0, 0, b"0", b"v")], tasks={0: task}))
    metrics.committed(transaction(tasks={0: task}))

    assert value(metrics, "records_total", LEDGER) == 1.0
    assert value(metrics, "explanations_total", "true") == 3.0
    assert value(metrics, "explanations_total", "false") == 2.0
    assert value(metrics, "balance_records") == 0.0


def test_refused_snapshots_count_by_kind() -> None:
    metrics = WorkerMetrics("learner")
    altered = Refused("learner.snapshots-0@7", "it was altered", SnapshotRefusal.ALTERED)

    metrics.restored(0, ReportingTask(Report(refused=(altered, altered))), 0.1)

    assert value(metrics, "snapshots_refused_total", "altered") == 2.0


def test_models_are_those_of_the_partitions_held() -> None:
    metrics = WorkerMetrics("learner")
    metrics.assigned([0, 1])
    metrics.restored(0, ReportingTask(Report(models=3, at_budget=1)), 0.1)
    metrics.restored(1, ReportingTask(Report(models=4)), 0.1)
    assert value(metrics, "models") == 7.0
    assert value(metrics, "models_at_budget") == 1.0

    metrics.assigned([])

    assert value(metrics, "models") == 0.0
    assert value(metrics, "partitions_restored") == 0.0


def test_ready_means_assigned_and_restored_again_after_an_abort() -> None:
    metrics = WorkerMetrics("learner")
    assert metrics.not_ready() == "no partition is assigned"

    metrics.assigned([1, 0])
    metrics.restored(0, ReportingTask(Report()), 0.1)
    assert metrics.not_ready() == "partitions [1] are being restored"

    metrics.restored(1, ReportingTask(Report()), 0.1)
    assert metrics.not_ready() == ""

    metrics.aborted("DEADLINE")
    assert metrics.not_ready() == "partitions [0, 1] are being restored"


def test_ages_are_told_at_the_moment_they_are_asked_for() -> None:
    clock = Clock()
    metrics = WorkerMetrics("learner", clock=clock)
    clock.now = 110.0
    metrics.turned(110.0)
    metrics.committed(transaction(events(1), predictions(1), finished=105.0))

    clock.now = 112.5

    assert metrics.loop_age_s() == 2.5
    assert value(metrics, "loop_age_seconds") == 2.5
    assert value(metrics, "stable_offset_age_seconds") == 7.5


def test_the_lag_of_partitions_given_up_is_forgotten() -> None:
    metrics = WorkerMetrics("learner")
    metrics.lagging(EVENTS, 3, records=12, position_age_s=math.nan)
    metrics.lagging(UPDATES, 3, records=0, position_age_s=0.0)
    found = samples(metrics)
    assert found["tidemill_lag_records", frozenset({EVENTS, "3"})] == 12.0
    assert ("tidemill_lag_seconds", frozenset({EVENTS, "3"})) not in found

    metrics.assigned([1])

    assert not [key for key in samples(metrics) if key[0].startswith("tidemill_lag")]


def test_a_worker_counts_what_it_did_and_never_names_an_asset() -> None:
    cluster, metrics = plant_cluster(), WorkerMetrics("learner")
    send_events(cluster, 300)
    cluster.append(EVENTS, 0, BAD, key=b"x")
    cluster.append(UPDATES, 0, update_value(ASSETS[0], 1, {"vibration": 0.5}, 1.0))
    cluster.append(UPDATES, 0, update_value(ASSETS[0], 1, {"vibration": 0.5}, 1.0))

    run_until_idle(start_learner(cluster, metrics))

    assert value(metrics, "records_total", EVENTS) == 301.0
    assert value(metrics, "predictions_total") == 300.0 == len(cluster.read(PREDICTIONS))
    assert value(metrics, "dead_letters_total", EVENTS, "undecodable") == 1.0
    assert value(metrics, "balance_records") == 0.0
    assert value(metrics, "learned_steps_total") == 300.0
    assert value(metrics, "examples_applied_total") == 1.0
    assert value(metrics, "examples_repeated_total") == 1.0
    assert value(metrics, "quality_flags_total", "MISSING") == 0.0
    assert value(metrics, "foreign_keys_total") == 0.0
    assert value(metrics, "models") == 2.0
    assert value(metrics, "snapshot_bytes_total", SNAPSHOTS) == sum(
        len(message.value or b"") for message in cluster.read(SNAPSHOTS)
    )
    assert value(metrics, "lag_records", EVENTS, "0") == 0.0
    assert value(metrics, "lag_seconds", EVENTS, "1") == 0.0
    assert b"press" not in metrics.exposition()


def test_aborted_transactions_leave_no_count() -> None:
    cluster, metrics = plant_cluster(), WorkerMetrics("learner")
    send_events(cluster, 300)
    cluster.fail_next(Operation.COMMIT, abortable(), after=3, times=2)

    run_until_idle(start_learner(cluster, metrics))

    assert value(metrics, "aborts_total", "UNKNOWN_PRODUCER_ID") == 2.0
    assert value(metrics, "records_total", EVENTS) == 300.0
    assert value(metrics, "predictions_total") == 300.0
    assert value(metrics, "learned_steps_total") == 300.0
    assert value(metrics, "refolded_records_total") > 0.0
    assert value(metrics, "balance_records") == 0.0


def test_lag_is_told_while_there_is_some() -> None:
    cluster, metrics = plant_cluster(), WorkerMetrics("learner")
    send_events(cluster, 2000)
    cluster.advance(30.0)
    worker = start_learner(cluster, metrics, batch=20)
    run_until(worker, lambda: value(metrics, "predictions_total") > 0)

    cluster.advance(1.0)
    worker.step()

    lag = value(metrics, "lag_records", EVENTS, "0") + value(metrics, "lag_records", EVENTS, "1")
    assert lag == pytest.approx(2000 - value(metrics, "predictions_total"))
    assert 31.0 <= value(metrics, "lag_seconds", EVENTS, "0") < 40.0


def test_models_at_budget_are_still_counted_after_a_restart() -> None:
    cluster, first, second = plant_cluster(), WorkerMetrics("learner"), WorkerMetrics("learner")
    tiny = sample_terms(partitions=2, memory="1kB")
    send_events(cluster, 300)

    worker = start_learner(cluster, first, terms=tiny, snapshot_every=20)
    run_until_idle(worker)
    worker.close()
    run_until_idle(start_learner(cluster, second, terms=tiny, snapshot_every=20))

    assert value(first, "models_at_budget") == 2.0
    assert value(second, "models_at_budget") == 2.0


def test_a_snapshot_that_was_altered_is_refused_and_counted() -> None:
    cluster, first, second = plant_cluster(), WorkerMetrics("learner"), WorkerMetrics("learner")
    send_events(cluster, 300)
    worker = start_learner(cluster, first)
    run_until_idle(worker)
    worker.close()
    newest = [m for m in cluster.read(SNAPSHOTS, [0]) if m.value][-1]
    assert newest.value is not None
    cluster.append(SNAPSHOTS, 0, newest.value[:-60] + b"!" + newest.value[-59:], key=newest.key)

    run_until_idle(start_learner(cluster, second))

    assert value(second, "snapshots_refused_total", "altered") == 1.0

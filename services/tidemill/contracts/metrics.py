"""The metrics of the mesh."""

from __future__ import annotations

from tidemill.contracts.alert_metrics import ALERT_METRICS, READ
from tidemill.contracts.correction_metrics import CORRECTION_METRICS
from tidemill.contracts.drift_metrics import DRIFT_METRICS
from tidemill.contracts.feedback_metrics import FEEDBACK_METRICS
from tidemill.contracts.metric import Kind, Label, Metric
from tidemill.contracts.pending import Verdict
from tidemill.contracts.prediction import Quality
from tidemill.contracts.topics import (
    ANCHORS,
    DRIFT_SNAPSHOTS,
    EVENTS,
    EXPLAINER_SNAPSHOTS,
    FEEDBACK,
    LABELS,
    LEDGER,
    SNAPSHOTS,
    UPDATES,
)
from tidemill.contracts.topics import EXPLANATIONS as EXPLAINED
from tidemill.contracts.topics import OUTCOMES as JUDGED
from tidemill.contracts.topics import PREDICTIONS as PREDICTED
from tidemill.kernel.errors import DeadLetterReason, SnapshotRefusal

OTHER = "other"

# Every name an abort is reported under: ours, then Kafka's; what is not here counts as `other`.
ABORT_REASONS = (
    "ASSIGNMENT_CHANGED",
    "DEADLINE",
    "DEPENDENCY",
    "MSG_SIZE_TOO_LARGE",
    "CONCURRENT_TRANSACTIONS",
    "COORDINATOR_NOT_AVAILABLE",
    "FENCED_INSTANCE_ID",
    "ILLEGAL_GENERATION",
    "INVALID_PRODUCER_EPOCH",
    "INVALID_TXN_STATE",
    "NOT_COORDINATOR",
    "NOT_ENOUGH_REPLICAS",
    "OUT_OF_ORDER_SEQUENCE_NUMBER",
    "REBALANCE_IN_PROGRESS",
    "TRANSACTION_ABORTABLE",
    "UNKNOWN_MEMBER_ID",
    "UNKNOWN_PRODUCER_ID",
    "_FENCED",
    "_GAPLESS_GUARANTEE",
    "_MSG_TIMED_OUT",
    "_STATE",
    "_TIMED_OUT",
    "_TRANSPORT",
    OTHER,
)

TRANSACTION_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
RESTORE_BUCKETS_S = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0)

SOURCE = Label("topic", (EVENTS, UPDATES, LABELS, FEEDBACK))
INPUT = Label(
    "topic", (EVENTS, UPDATES, LEDGER, PREDICTED, LABELS, FEEDBACK, JUDGED, EXPLAINED, *READ)
)
PARTITION = Label("partition", about="partition number, assigned ones only")

BUILD = Metric(
    "tidemill_build_info",
    Kind.GAUGE,
    "1; what runs: release, digests of code and arithmetic as the ledger names them",
    (
        Label("processor", ("learner", "labeller", "explainer", "feedback", "drift", "alerts")),
        Label("version", about="the release"),
        Label("code", about="first 16 hex digits of the digest"),
        Label("arithmetic", about="first 16 hex digits of the digest"),
    ),
)
RECORDS = Metric(
    "tidemill_records_total",
    Kind.COUNTER,
    "records applied, by input topic; of model.ledger entries followed",
    (INPUT,),
)
PREDICTIONS = Metric("tidemill_predictions_total", Kind.COUNTER, "predictions written")
DEAD_LETTERS = Metric(
    "tidemill_dead_letters_total",
    Kind.COUNTER,
    "records set aside, by the topic they came from and why",
    (SOURCE, Label("reason", tuple(reason.value for reason in DeadLetterReason))),
)
BALANCE = Metric(
    "tidemill_balance_records",
    Kind.GAUGE,
    "sensor events applied, less those predicted, less those dead-lettered; must be 0",
)
LEARNED = Metric(
    "tidemill_learned_steps_total", Kind.COUNTER, "labels in events learned, once per model"
)
EXAMPLES = Metric(
    "tidemill_examples_applied_total", Kind.COUNTER, "EXAMPLE updates learned, once per model"
)
REPEATED = Metric(
    "tidemill_examples_repeated_total",
    Kind.COUNTER,
    "EXAMPLE updates passed over, once per model, because their cause was applied before",
)
FLAGS = Metric(
    "tidemill_quality_flags_total",
    Kind.COUNTER,
    "quality flags on predictions",
    (Label("flag", tuple(flag.name for flag in Quality)),),
)
FOREIGN_KEYS = Metric(
    "tidemill_foreign_keys_total", Kind.COUNTER, "sensor events whose key is not their asset"
)
STREAM = Label("stream", about="streams of the definition")
SCORED = Metric(
    "tidemill_scored_labels_total",
    Kind.COUNTER,
    "labels held against what champions had said of them; of these those of which the naive model "
    "had said something too, those predicted with an interval or class set, those that lay in it",
    (STREAM, Label("which", ("all", "compared", "with_region", "covered"))),
)
ERRORS = Metric(
    "tidemill_prediction_errors_total",
    Kind.COUNTER,
    "sum of absolute errors, or of log losses of classes in nats; compared: of the labels of which "
    "both champion and naive model had said something",
    (STREAM, Label("model", ("champion", "champion_compared", "naive"))),
)
LABELLED = Metric(
    "tidemill_labels_total",
    Kind.COUNTER,
    "labels, by what came of them: an example (first, or in the place of another), a wait for the "
    "prediction, or nothing: the same value again, a revision that was there, one older than it; "
    "those set aside are dead letters",
    (
        Label(
            "result",
            (
                Verdict.JOINED.value,
                "revised",
                Verdict.WAITING.value,
                Verdict.SAME.value,
                Verdict.DUPLICATE.value,
                Verdict.SUPERSEDED.value,
            ),
        ),
    ),
)
KEPT = Metric(
    "tidemill_predictions_kept_total",
    Kind.COUNTER,
    "predictions of streams with a target label: kept until the label comes, of an event that had "
    "been predicted before, made by a release whose predictions cannot be learned from, or dropped "
    "for want of room while a label in time may still come",
    (Label("result", ("kept", Verdict.REPEATED.value, "without_features", "dropped")),),
)
WAITING = Metric(
    "tidemill_waiting",
    Kind.GAUGE,
    "predictions kept for a label that may come, and labels that came before their prediction; "
    "counted every second, told with the next transaction",
    (Label("topic", (PREDICTED, LABELS)),),
)
EXPLANATIONS = Metric(
    "tidemill_explanations_total",
    Kind.COUNTER,
    "explanations written, by whether their attributions are exact",
    (Label("exact", ("true", "false")),),
)
TRANSACTIONS = Metric("tidemill_transactions_total", Kind.COUNTER, "transactions committed")
ABORTS = Metric(
    "tidemill_aborts_total",
    Kind.COUNTER,
    "transactions aborted and their state rebuilt, by what Kafka said",
    (Label("reason", ABORT_REASONS),),
)
TRANSACTION_SECONDS = Metric(
    "tidemill_transaction_seconds",
    Kind.HISTOGRAM,
    "from the first record applied to the commit acknowledged",
    buckets=TRANSACTION_BUCKETS_S,
)
RESTORE_SECONDS = Metric(
    "tidemill_restore_seconds",
    Kind.HISTOGRAM,
    "from a partition assigned to its state standing",
    buckets=RESTORE_BUCKETS_S,
)
REFOLDED = Metric(
    "tidemill_refolded_records_total", Kind.COUNTER, "records folded again by restores"
)
REFUSED = Metric(
    "tidemill_snapshots_refused_total",
    Kind.COUNTER,
    "snapshot records that restores did not accept",
    (Label("reason", tuple(reason.value for reason in SnapshotRefusal)),),
)
SNAPSHOT_BYTES = Metric(
    "tidemill_snapshot_bytes_total",
    Kind.COUNTER,
    "bytes of model state written",
    (Label("topic", (SNAPSHOTS, ANCHORS, EXPLAINER_SNAPSHOTS, DRIFT_SNAPSHOTS)),),
)
MODELS = Metric("tidemill_models", Kind.GAUGE, "models held")
MODELS_AT_BUDGET = Metric(
    "tidemill_models_at_budget", Kind.GAUGE, "models that met their memory budget and learn no more"
)
LAG_RECORDS = Metric(
    "tidemill_lag_records",
    Kind.GAUGE,
    "offsets between the next record to apply and the end; 0 once read to the end",
    (INPUT, PARTITION),
)
LAG_SECONDS = Metric(
    "tidemill_lag_seconds",
    Kind.GAUGE,
    "age of the last record applied, by its Kafka timestamp; 0 once read to the end",
    (INPUT, PARTITION),
)
STABLE_OFFSET_AGE = Metric(
    "tidemill_stable_offset_age_seconds",
    Kind.GAUGE,
    "since a commit last moved an offset; grows where nothing comes",
)
LOOP_AGE = Metric("tidemill_loop_age_seconds", Kind.GAUGE, "since the loop last turned")
ASSIGNED = Metric("tidemill_partitions_assigned", Kind.GAUGE, "partition numbers owned")
RESTORED = Metric(
    "tidemill_partitions_restored", Kind.GAUGE, "partition numbers owned whose state stands"
)

METRICS: tuple[Metric, ...] = (
    BUILD,
    RECORDS,
    PREDICTIONS,
    DEAD_LETTERS,
    BALANCE,
    LEARNED,
    EXAMPLES,
    REPEATED,
    FLAGS,
    FOREIGN_KEYS,
    SCORED,
    ERRORS,
    LABELLED,
    KEPT,
    WAITING,
    EXPLANATIONS,
    TRANSACTIONS,
    ABORTS,
    TRANSACTION_SECONDS,
    RESTORE_SECONDS,
    REFOLDED,
    *CORRECTION_METRICS,
    REFUSED,
    SNAPSHOT_BYTES,
    MODELS,
    MODELS_AT_BUDGET,
    *FEEDBACK_METRICS,
    *DRIFT_METRICS,
    *ALERT_METRICS,
    LAG_RECORDS,
    LAG_SECONDS,
    STABLE_OFFSET_AGE,
    LOOP_AGE,
    ASSIGNED,
    RESTORED,
    Metric("tidemill_process_resident_memory_bytes", Kind.GAUGE, "resident memory"),
    Metric("tidemill_process_virtual_memory_bytes", Kind.GAUGE, "virtual memory"),
    Metric("tidemill_process_cpu_seconds_total", Kind.COUNTER, "processor time, user and system"),
    Metric("tidemill_process_start_time_seconds", Kind.GAUGE, "start, in seconds since 1970"),
    Metric("tidemill_process_open_fds", Kind.GAUGE, "open file descriptors"),
    Metric("tidemill_process_max_fds", Kind.GAUGE, "most file descriptors that may be open"),
)

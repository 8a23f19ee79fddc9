"""The metrics of the alerts processor alone."""

from __future__ import annotations

from tidemill.contracts.feedback_metrics import FEEDBACK_METRICS
from tidemill.contracts.metric import Kind, Label, Metric
from tidemill.contracts.topics import ALERTS_CLOCK, DRIFT, RECEIPTS, TOPICS
from tidemill.kernel.deadletters import SUFFIX

ALARMS = Metric(
    "tidemill_alerts_alarms_total",
    Kind.COUNTER,
    "changes of alarms that were told; heartbeats are CLEARED",
    (
        Label("kind", ("DRIFT", "SILENCE", "DEAD_LETTERS", "REFUSED", "HEARTBEAT")),
        Label("state", ("UNACKNOWLEDGED", "ACKNOWLEDGED", "SHELVED", "CLEARED")),
    ),
)
POSTS = Metric(
    "tidemill_alerts_posts_total",
    Kind.COUNTER,
    "requests to the webhook, by what became of them; away and failed ones are repeated",
    (Label("answer", ("taken", "refused", "away", "failed", "passed_over")),),
)
CONDITIONS = Metric(
    "tidemill_alerts_conditions",
    Kind.GAUGE,
    "conditions whose state is remembered, assets that are watched among them",
)

ALERT_METRICS: tuple[Metric, ...] = (ALARMS, POSTS, CONDITIONS)
CONTROL_METRICS: tuple[Metric, ...] = (*FEEDBACK_METRICS, *ALERT_METRICS)
READ = (DRIFT, RECEIPTS, ALERTS_CLOCK, *(t.name for t in TOPICS if t.name.endswith(SUFFIX)))

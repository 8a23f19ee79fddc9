"""The metrics of the feedback processor alone."""

from __future__ import annotations

from tidemill.contracts.metric import Kind, Label, Metric

RECEIPTS = Metric(
    "tidemill_feedback_receipts_total",
    Kind.COUNTER,
    "receipts written by the feedback processor; those of what was repeated count once",
    (
        Label(
            "status",
            ("ACCEPTED", "REFUSED", "COUNTED", "HELD_FOR_EXPERT", "APPLIED", "RETRACTED"),
        ),
    ),
)
UPDATES = Metric(
    "tidemill_feedback_updates_total",
    Kind.COUNTER,
    "instructions to models that feedback led to",
    (
        Label(
            "kind",
            (
                "EXAMPLE",
                "COUNTEREXAMPLE",
                "VETO",
                "HOLD",
                "RELEASE",
                "FREEZE",
                "RESUME",
                "RETRACT",
            ),
        ),
    ),
)
REPEATED = Metric(
    "tidemill_feedback_repeated_total",
    Kind.COUNTER,
    "feedback that came again, after a crash or from its sender, and took effect once",
)
QUARANTINES = Metric(
    "tidemill_feedback_quarantines_total",
    Kind.COUNTER,
    "answers from which on all that somebody says is held for a domain expert, for half of that "
    "person's last answers contradict those of others",
)
DECISIONS_KEPT = Metric(
    "tidemill_feedback_decisions", Kind.GAUGE, "decisions on feedback that are remembered"
)

FEEDBACK_METRICS: tuple[Metric, ...] = (
    RECEIPTS,
    UPDATES,
    REPEATED,
    QUARANTINES,
    DECISIONS_KEPT,
)

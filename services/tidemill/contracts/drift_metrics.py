"""The metrics of the drift processor alone."""

from __future__ import annotations

from tidemill.contracts.metric import Kind, Label, Metric

KIND = Label("kind", ("FEATURE", "PREDICTION", "ERROR", "EXPLANATION", "MULTIVARIATE"))

TOLD = Metric(
    "tidemill_drift_records_total",
    Kind.COUNTER,
    "episodes of drift opened, and changes of their status",
    (
        KIND,
        Label(
            "status", ("OPEN", "FAULT", "PROCESS_CHANGE", "TIMED_OUT", "CLOSED", "NOT_STATIONARY")
        ),
    ),
)
EPISODES = Metric(
    "tidemill_drift_episodes",
    Kind.GAUGE,
    "episodes that are not over, those of signals of which nothing is promised among them",
    (KIND,),
)
UNWATCHED = Metric(
    "tidemill_drift_unwatched_signals",
    Kind.GAUGE,
    "signals of which no change of level or spread would be told by now: still learned, too few "
    "values, wandering, or of a model that says the same so far",
    (KIND,),
)
QUESTIONS = Metric("tidemill_drift_questions", Kind.GAUGE, "questions that are not settled")
HELD = Metric(
    "tidemill_drift_held_events_total",
    Kind.COUNTER,
    "events held for a question, those of the span before it was asked among them",
)
HELD_SHARE = Metric(
    "tidemill_drift_held_share_ratio",
    Kind.GAUGE,
    "events held, of all of the asset of which most were; at most hold_at_most",
)
UNMET = Metric(
    "tidemill_drift_unmet_answers_total",
    Kind.COUNTER,
    "FAULT and PROCESS_CHANGE of episodes that were over, or answered so already",
)

DRIFT_METRICS = (TOLD, EPISODES, UNWATCHED, QUESTIONS, HELD, HELD_SHARE, UNMET)

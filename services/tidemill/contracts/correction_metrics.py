"""The metrics of what is corrected by re-folds."""

from __future__ import annotations

from tidemill.contracts.metric import Kind, Label, Metric
from tidemill.kernel.reports import WhyCompensated

CORRECTIONS = Metric(
    "tidemill_corrections_total",
    Kind.COUNTER,
    "revised labels, vetoes and retractions that took effect, once per model: by a re-fold, or "
    "compensated where there could be none",
    (Label("how", ("refolded", "compensated")),),
)
COMPENSATED = Metric(
    "tidemill_corrections_compensated_total",
    Kind.COUNTER,
    "those compensated, by why there was no re-fold: beyond the allowance, no state to start from, "
    "another model in its place, too many of one model; `error` is what no re-fold may raise",
    (Label("reason", tuple(why.value for why in WhyCompensated)),),
)
CORRECTIONS_FAILED = Metric(
    "tidemill_corrections_failed_total",
    Kind.COUNTER,
    "attempts at corrections that raised what nobody expected; the log says what",
)
CORRECTIONS_WAITING = Metric(
    "tidemill_corrections_waiting", Kind.GAUGE, "assets whose corrections wait for their re-fold"
)
CORRECTIONS_HELD = Metric(
    "tidemill_corrections_held",
    Kind.GAUGE,
    "corrections waiting or in force, of the model that has most; 256 are all there is room for",
)
CORRECTION_SECONDS = Metric(
    "tidemill_correction_seconds_total", Kind.COUNTER, "seconds of work for re-folds"
)

CORRECTION_METRICS = (
    CORRECTIONS,
    COMPENSATED,
    CORRECTIONS_FAILED,
    CORRECTIONS_WAITING,
    CORRECTIONS_HELD,
    CORRECTION_SECONDS,
)

"""FAULT and PROCESS_CHANGE: what people answer when the drift processor asks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tidemill.processors.feedback.cases import RefusalError
from tidemill.processors.feedback.context import check_free, stream_of
from tidemill.processors.feedback.writing import COUNTED, Ruling, update_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tidemill.processors.feedback.context import Context
    from tidemill.processors.feedback.saying import Said

CATEGORY = "drift"
# What became of an episode for good; a FAULT may turn out to be none.
SETTLED = frozenset({"PROCESS_CHANGE", "TIMED_OUT"})
# The kind of episodes that ask: an answer is waited for, whether they last or not.
ASKS = "MULTIVARIATE"
TOLD = "the drift processor is told; what becomes of the episode, model.drift says"


def on_drift(context: Context, said: Said) -> Ruling:
    """Return what becomes of an answer: the drift processor alone says whether it settles anything.

    Raises:
        RefusalError: It names no episode of the asset, or its actor may not answer.
    """
    if not said.drift_id:
        raise RefusalError(f"{said.kind} must name an episode by drift_id, found none")
    drifts = context.cases.drift(said.position.partition, said.asset, said.drift_id)
    if not drifts:
        raise RefusalError(
            f"drift_id must be an episode of {said.asset} on partition "
            f"{said.position.partition}, {said.drift_id!r} is none of the last ones"
        )
    _check_is_open(said.kind, drifts)
    stream = stream_of(context, said, str(drifts[0]["stream"]))
    if CATEGORY not in stream.feedback.kinds:
        taken = ", ".join(stream.feedback.kinds) or "none"
        raise RefusalError(
            f"stream {stream.name} takes feedback on {taken}; {said.kind} is on {CATEGORY}"
        )
    check_free(context, said)
    update = update_of(said, said.kind, stream.name, target_id=said.drift_id)
    return Ruling(COUNTED, TOLD, updates=(update,), known={"stream": stream.name})


def _check_is_open(kind: str, drifts: Sequence[Mapping[str, Any]]) -> None:  # Any: Avro records
    """Refuse an answer that can settle nothing any more.

    Of the sensors together one that is CLOSED may still be asked about: models are held until it is
    answered, or timed out.
    """
    status, were = str(drifts[0]["status"]), {str(each["status"]) for each in drifts}
    if status in SETTLED:
        raise RefusalError(
            f"the episode must not be settled, it is {status}: its span is learned already"
        )
    if {"FAULT", "CLOSED"} <= were:
        raise RefusalError("the episode must not be settled, it was a FAULT and is over")
    if status == kind:
        raise RefusalError(f"the episode must not be answered so already, it is {status}")
    if status == "CLOSED" and drifts[0]["kind"] != ASKS:
        raise RefusalError(
            f"the episode must last, it is CLOSED: an episode of {drifts[0]['kind']} asks nothing"
        )
    if status == "NOT_STATIONARY" and kind == "FAULT":
        raise RefusalError(
            "a FAULT must be of an episode of change; of this signal nothing is promised for now"
        )

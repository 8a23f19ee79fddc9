"""FAULT and PROCESS_CHANGE: what people answer when the drift processor asks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tidemill.processors.feedback.cases import RefusalError
from tidemill.processors.feedback.context import check_free, stream_of
from tidemill.processors.feedback.writing import COUNTED, Ruling, update_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tidemill.processors.feedback.context import Context
    from tidemill.processors.feedback.saying import Said

CATEGORY = "drift"
# What became of an episode for good; a FAULT may turn out to be none.
SETTLED = frozenset({"PROCESS_CHANGE", "TIMED_OUT"})
TOLD = "the drift processor is told; what becomes of the episode, model.drift says"


def on_drift(context: Context, said: Said) -> Ruling:
    """Return what becomes of an answer: the drift processor alone says whether it settles anything.

    Raises:
        RefusalError: It names no episode of the asset, or its actor may not answer.
    """
    if not said.drift_id:
        raise RefusalError(f"{said.kind} must name an episode by drift_id, found none")
    drift = context.cases.drift(said.position.partition, said.asset, said.drift_id)
    if drift is None:
        raise RefusalError(
            f"drift_id must be an episode of {said.asset} on partition "
            f"{said.position.partition}, {said.drift_id!r} is none of the last ones"
        )
    _check_is_open(said.kind, drift)
    stream = stream_of(context, said, str(drift["stream"]))
    if CATEGORY not in stream.feedback.kinds:
        taken = ", ".join(stream.feedback.kinds) or "none"
        raise RefusalError(
            f"stream {stream.name} takes feedback on {taken}; {said.kind} is on {CATEGORY}"
        )
    check_free(context, said)
    update = update_of(said, said.kind, stream.name, target_id=said.drift_id)
    return Ruling(COUNTED, TOLD, updates=(update,), known={"stream": stream.name})


def _check_is_open(kind: str, drift: Mapping[str, Any]) -> None:  # Any: an Avro record
    """Refuse an answer that can settle nothing any more.

    One that is CLOSED may still be asked about: models are held until it is answered, or timed out.
    """
    status = str(drift["status"])
    if status in SETTLED:
        raise RefusalError(
            f"the episode must not be settled, it is {status}: its span is learned already"
        )
    if status == "NOT_STATIONARY" and kind == "FAULT":
        raise RefusalError(
            "a FAULT must be of an episode of change; of this signal nothing is promised for now"
        )

"""What can be proved of alarms."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chaos.alarms import Size, prove_alarms
from prove.proof import Proof

if TYPE_CHECKING:
    from chaos.figures import Figures
    from prove.proof import Context


def _alerts(context: Context) -> Figures:
    kills, predictions = (3, 100_000) if context.is_quick else (30, 1_000_000)
    return prove_alarms(context.folder, Size(kills, predictions, context.seed), context.say)


ALARM_PROOFS = (
    Proof(
        "alerts",
        "Each alarm is told once, through kill -9, and posted; and predictions pass quickly",
        "While drift episodes open and close, feedback is refused, records are set aside in "
        "bursts, assets fall silent and come back, alone and together, and people acknowledge and "
        "shelve, two alerts processors are killed by kill -9 at random instants, and the webhook "
        "refuses some requests. Then all alarms are read as a subscriber does: drift and refusals "
        "are held against a processor that nothing disturbed, silence against the times of the "
        "predictions, states against ISA-18.2, posts against alarms. In the end one worker reads "
        "a backlog of predictions.",
        _alerts,
    ),
)

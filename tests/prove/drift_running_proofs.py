"""What can be proved of the drift processor at work."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chaos.drift_question import Size as QuestionSize
from chaos.drift_question import prove_question
from prove.proof import Proof

if TYPE_CHECKING:
    from chaos.tables import Found
    from prove.proof import Context


def _question(context: Context) -> Found:
    if context.is_quick:
        size = QuestionSize(5_200, 50, 300, "3000s", context.seed)
    else:
        size = QuestionSize(8_000, 300, 4_000, "6000s", context.seed)
    return prove_question(context.folder, size, context.say)


DRIFT_RUNNING_PROOFS = (
    Proof(
        "drift-question",
        "Sensor fault or process change: what people answer decides what the models have learned",
        "A sensor goes wrong, processes change, and the models are held until somebody answers or "
        "event time runs out. Every answer of every model before, in and after the span, and the "
        "lineages at the end, are held against plain River over the recorded order: without the "
        "span of the fault, with those of the changes, in their order. Answers that come twice, "
        "late, or to no episode have receipts and no effect.",
        _question,
    ),
)

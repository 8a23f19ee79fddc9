"""What can be proved of the drift processor at work."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chaos.drift_cost import Size as CostSize
from chaos.drift_cost import prove_cost
from chaos.drift_kills import Size as KillsSize
from chaos.drift_kills import prove_kills
from chaos.drift_question import Size as QuestionSize
from chaos.drift_question import prove_question
from prove.proof import Proof

if TYPE_CHECKING:
    from chaos.tables import Found
    from prove.proof import Context

# Of one core, for 500 sensors at 100 events a second.
MOST_SHARE = 0.5


def _question(context: Context) -> Found:
    if context.is_quick:
        size = QuestionSize(5_200, 50, 300, "3000s", context.seed)
    else:
        size = QuestionSize(8_000, 300, 4_000, "6000s", context.seed, goes_back=True)
    return prove_question(context.folder, size, context.say)


def _kills(context: Context) -> Found:
    if context.is_quick:
        size = KillsSize(assets=4, calm=5_100, troubled=500, kills=8, seed=context.seed)
    else:
        size = KillsSize(assets=8, calm=5_300, troubled=3_700, kills=300, seed=context.seed)
    return prove_kills(context.folder, size, context.say)


def _cost(context: Context) -> Found:
    if context.is_quick:
        size = CostSize(20, (1, 20), 2_000, 100.0, 5.0, None, context.seed)
    else:
        size = CostSize(500, (1, 50, 500), 20_000, 100.0, 600.0, MOST_SHARE, context.seed)
    return prove_cost(context.folder, size, context.say)


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
    Proof(
        "drift-kills",
        "Drifts are told once, and the same, through kills of everything that makes them",
        "Sensors fail and processes change while events flow; people answer every question, some "
        "of them twice. Drift processors, learners and feedback are killed by kill -9 all along. "
        "What was told of drifts and asked of models is held against a run in memory over the "
        "recorded order that nothing disturbed; every answer must have a final receipt, and models "
        "must have learned what plain River learns of that order.",
        _kills,
    ),
    Proof(
        "drift-cost",
        "What it costs to watch a signal, and an asset of five hundred sensors at its rate",
        "Detectors are measured in memory, by themselves; then one drift processor watches an "
        "asset on a broker whose events come at a fixed rate. Its processor time is what the "
        "kernel accounts to the process, whatever else runs on the machine.",
        _cost,
    ),
)

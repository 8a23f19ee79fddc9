"""What can be proved of labels and feedback."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chaos.feedback_loop import Size as LoopSize
from chaos.feedback_loop import prove_loop
from chaos.label_schedule import Habits
from chaos.late_labels import Size as LabelsSize
from chaos.late_labels import prove_late_labels
from chaos.noisy_feedback import prove_noise
from chaos.pending import Size as PendingSize
from chaos.pending import prove_pending
from chaos.retractions import Size as RetractionsSize
from chaos.retractions import prove_retractions
from chaos.shortcut import MODELS, Lengths, prove_shortcut
from prove.proof import Proof

if TYPE_CHECKING:
    from chaos.figures import Figures
    from chaos.tables import Found
    from prove.proof import Context


def _pending(context: Context) -> Figures:
    size = PendingSize(cases=2_000 if context.is_quick else 100_000)
    return prove_pending(context.folder, size, context.say)


def _late_labels(context: Context) -> Figures:
    rows = 600 if context.is_quick else 12_000
    return prove_late_labels(context.folder, LabelsSize(rows, Habits(), context.seed))


def _shortcut(context: Context) -> Found:
    return prove_shortcut(context.folder, Lengths(), context.seed, context.say)


def _noisy_feedback(context: Context) -> Found:
    if context.is_quick:
        return prove_noise(Lengths(), range(2), ["logistic"], context.say)
    return prove_noise(Lengths(), range(20), list(MODELS), context.say)


def _feedback_loop(context: Context) -> Figures:
    rows, kills = (600, 9) if context.is_quick else (20_000, 300)
    return prove_loop(context.folder, LoopSize(rows, kills, context.seed), context.say)


def _retractions(context: Context) -> Figures:
    if context.is_quick:
        size = RetractionsSize(1_000, 200.0, said=10, retracted=4, kills=2, seed=context.seed)
    else:
        size = RetractionsSize(20_000, 200.0, said=200, retracted=60, kills=20, seed=context.seed)
    return prove_retractions(context.folder, size)


FEEDBACK_PROOFS = (
    Proof(
        "late-labels",
        "Labels late, shuffled, doubled, corrected: equal to plain River in the recorded order",
        "Two learners predict; three labellers join labels of any partition to the predictions "
        "that were stored. Every prediction is held, as 64 bits, against plain River that learns "
        "in the order the ledger recorded, corrections where the first labels stood; metrics "
        "against the stored predictions. Metrics of answers asked for again fail the same check.",
        _late_labels,
    ),
    Proof(
        "retractions",
        "What is taken back leaves no trace, and predictions go on while it is",
        "Wrong examples are learned from feedback; some of them are taken back while events flow "
        "and, later, workers are killed. Lineages and predictions are held against a plain loop "
        "over the recorded order without what was taken back; the time between two predictions "
        "while models are folded again stands beside that before.",
        _retractions,
    ),
    Proof(
        "shortcut",
        "A shortcut that operators name before it breaks does not break the model",
        "Three kinds of models learn from labels; one sensor all but gives the answer away, until "
        "it breaks and no label comes any more. Of one asset operators have said that the sensor "
        "is irrelevant, of another nobody has.",
        _shortcut,
    ),
    Proof(
        "noisy-feedback",
        "Three feedbacks in ten are noise: it costs next to nothing, and vetoes no other sensor",
        "The stream with a shortcut, learned and corrected in memory by learner and feedback "
        "processor, with two hundred feedbacks free of noise and with three in ten at random, seed "
        "by seed.",
        _noisy_feedback,
    ),
    Proof(
        "feedback-loop",
        "Labels and feedback count once through kills of everything that carries them",
        "While events, labels and feedback flow, learners, labellers and feedback processors are "
        "killed by kill -9, and Redis is restarted, set back by some writes, and wiped. Then every "
        "label must have led to one update and every feedback to a final receipt, and an audit "
        "replays all of it.",
        _feedback_loop,
    ),
    Proof(
        "pending",
        "A hundred thousand cases wait for their labels: room, rate, and a wiped Redis",
        "Predictions wait in Redis for their labels, then labels for their predictions; Redis "
        "is wiped while they wait, and the labeller reads its past again before it goes on. "
        "In the end each label has led to one example, whatever was forgotten. One labeller, "
        "beside broker and Redis on the same machine; processor time is the labeller's own.",
        _pending,
    ),
)

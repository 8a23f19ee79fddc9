"""Outcomes: what became of a prediction of a champion once its label was known."""

from __future__ import annotations

from math import nan
from typing import TYPE_CHECKING, Any, NamedTuple

from tidemill.contracts.codec import codec
from tidemill.contracts.prediction import Late
from tidemill.contracts.topics import OUTCOMES
from tidemill.fold.labelled import next_revision
from tidemill.kernel.records import Emit
from tidemill.models.running_metrics import ClassMetrics, NumberMetrics, log_loss

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tidemill.fold.instructions import Instruction
    from tidemill.fold.seen import Seen
    from tidemill.fold.senses import Case
    from tidemill.fold.tracked import Tracked
    from tidemill.models.outputs import Answer
    from tidemill.models.refining import Stored
    from tidemill.models.state import ModelState

MICROS = 1_000_000


class Judged(NamedTuple):
    """A prediction as it was stored, and its label.

    Attributes:
        version: Of the model when it predicted.
        key: The label as predictions name it.
        labelled_us: Time of the label; None where it has none.
    """

    event_id: str
    time_us: int
    version: int
    stored: Stored
    key: float | str
    labelled_us: int | None
    revision: int = 0


def late(x: dict[str, Any], naive: Answer) -> Late:  # Any: numbers and strings
    """Return what a prediction carries for its label; the class that is named comes first."""
    if naive.probabilities and naive.outcome is not None:
        first = {naive.outcome: naive.probabilities[naive.outcome]}
        return Late(x, {**first, **naive.probabilities})
    return Late(x, naive.value)


def count(state: ModelState, judged: Judged) -> None:
    """Add a prediction and its label to the running metrics of the model that predicted."""
    (answer, _, naive), key = judged.stored, judged.key
    metrics = state.metrics
    if isinstance(key, str):
        if metrics is None:
            metrics = state.metrics = ClassMetrics()
        assert isinstance(metrics, ClassMetrics)
        metrics.observe(key, answer, naive=naive, covered=_covered(judged))
        return
    if metrics is None:
        metrics = state.metrics = NumberMetrics()
    assert isinstance(metrics, NumberMetrics)
    if answer.value is not None:
        metrics.observe(key, answer.value, naive=naive.value, covered=_covered(judged))


def outcome(
    state: ModelState, judged: Judged, *, about: tuple[str, str, str], partition: int
) -> Emit:
    """Return the outcome of a prediction, with the metrics of now.

    Args:
        state: Of the champion.
        judged: What was predicted, and the label.
        about: Stream, asset and model.
        partition: Of the event.
    """
    stream, asset, model = about
    answer = judged.stored.answer
    record = {
        "event_id": judged.event_id,
        "asset": asset,
        "stream": stream,
        "time": judged.time_us,
        "model": model,
        "version": judged.version,
        "predicted": answer.outcome if answer.value is None else answer.value,
        "label": judged.key,
        "error": _error(answer, judged.key),
        "covered": _covered(judged),
        "delay_s": _delay_s(judged),
        "revision": judged.revision,
        "metrics": {} if state.metrics is None else state.metrics.metrics(),
    }
    return Emit(OUTCOMES, partition, asset.encode(), codec("Outcome").encode(record))


def judge(
    seen: Seen, champion: Tracked, cases: Sequence[Case], *, now: tuple[Stored, str, int]
) -> list[Emit]:
    """Return what became of a champion's predictions whose labels an event brought; count them.

    Args:
        seen: The event.
        champion: Who predicted.
        cases: What it learned of them, or would have.
        now: What was said of this very event, what that is called, and the model's version.
    """
    plan, event, state = seen.plan, seen.event, champion.state
    emits = []
    for case in cases:
        (stored, name, version), time_us = now, event.time_us
        if case.waited is not None:
            if case.stored is None:
                continue
            waited, stored = case.waited, case.stored
            name, version, time_us = waited.event_id, waited.version, waited.time_us
        key = plan.task.key(case.y)
        judged = Judged(name, time_us, version, stored, key, event.time_us)
        count(state, judged)
        partition = seen.message.partition
        emits.append(outcome(state, judged, about=champion.key, partition=partition))
    return emits


def is_judged(instruction: Instruction, tracked: Tracked) -> bool:
    """Return whether an example tells what became of a prediction that this champion made."""
    model = tracked.key.model
    is_its_own = model == instruction.stored_model == instruction.plan.champion
    return is_its_own and instruction.update["event_id"] is not None


def judged_of(instruction: Instruction, revision: int = 0) -> Judged:
    """Return the stored prediction of an example and its label."""
    update, case, stored = instruction.update, instruction.case, instruction.stored
    assert case is not None
    assert stored is not None
    return Judged(
        update["event_id"] or "",
        update["time"],
        update["stored"]["version"],
        stored,
        instruction.plan.task.key(case.y),
        update["label_time"],
        revision,
    )


def outcomes_of(
    instruction: Instruction, tracked: Tracked, *, partition: int, least: int = 0
) -> list[Emit]:
    """Return the outcome of the prediction that an example is about, if the model made it.

    Args:
        partition: Of the asset.
        least: The lowest revision that it may be.
    """
    if not is_judged(instruction, tracked):
        return []
    revision = next_revision(instruction, tracked.state, least=least)
    about = (instruction.plan.name, instruction.asset, tracked.key.model)
    judged = judged_of(instruction, revision)
    return [outcome(tracked.state, judged, about=about, partition=partition)]


def _delay_s(judged: Judged) -> float:
    at_us = judged.labelled_us
    return 0.0 if at_us is None else (at_us - judged.time_us) / MICROS


def _error(answer: Answer, key: float | str) -> float:
    """Return absolute error or log loss; NaN where a model had no answer to be judged by."""
    if isinstance(key, str):
        said = answer.probabilities
        return log_loss(said.get(key, 0.0)) if said else nan
    return nan if answer.value is None else abs(key - answer.value)


def _covered(judged: Judged) -> bool | None:
    key, (interval, class_set) = judged.key, judged.stored.region
    if isinstance(key, str):
        return None if class_set is None else key in class_set
    return None if interval is None else interval[0] <= key <= interval[1]

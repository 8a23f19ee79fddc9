"""Which answer is right by what a person says, as predictions name it, and how exactly."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from tidemill.kernel.errors import InvalidRecordError
from tidemill.models.outputs import Binary
from tidemill.processors.feedback.cases import RefusalError
from tidemill.processors.feedback.saying import RIGHT

if TYPE_CHECKING:
    from tidemill.contracts.stream import StreamDefinition
    from tidemill.processors.feedback.cases import Case
    from tidemill.processors.feedback.context import Context
    from tidemill.processors.feedback.saying import Said

# Numbers that differ by less are the same answer: of the region that was predicted, or of the
# number where there was none.
OF_REGION = 0.1
OF_ANSWER = 0.01
# A number further from what was predicted than so many regions waits for a domain expert.
FAR = 100

Answer = float | str


def answer_of(context: Context, said: Said, asked: tuple[Case, StreamDefinition]) -> Answer | None:
    """Return which answer is right, as far as that is said."""
    case, stream = asked
    if said.selection is not None and not 0.0 < said.selection <= 1.0:
        raise RefusalError(f"selection must be a probability in (0, 1], was {said.selection}")
    if said.kind == RIGHT:
        return case.said
    if said.kind == "WRONG" and said.value is None:
        return _other_class(context, case, stream)
    return _given(context, said, stream)


def tolerance_of(case: Case, stream: StreamDefinition) -> float:
    """Return by how much numbers may differ and still be the same answer to a case.

    Where the stream does not say: a tenth of the region that was predicted, or a hundredth of what
    was.
    """
    given, said = stream.feedback.tolerance, case.said
    if given is not None:
        return given
    if not isinstance(said, float):
        return 0.0
    width = _width(case)
    return OF_REGION * width if math.isfinite(width) else OF_ANSWER * abs(said)


def is_far(case: Case, answer: Answer) -> bool:
    """Return whether a number is one that nobody expects here: a unit, a digit, a joke."""
    if not isinstance(answer, float) or not isinstance(case.said, float):
        return False
    width = _width(case)
    return width > 0.0 and abs(answer - case.said) > FAR * width


def _width(case: Case) -> float:
    """Return how wide the region is that was predicted; infinite where there is none."""
    region = case.prediction["interval"]
    return math.inf if region is None else float(region["high"] - region["low"])


def _other_class(context: Context, case: Case, stream: StreamDefinition) -> str | None:
    """Return the class that is right if the one predicted is wrong; None where many may be."""
    task = context.tasks[stream.name]
    if not isinstance(task, Binary):
        return None
    if case.said is None:
        raise RefusalError("the prediction must name a class to be wrong, it named none")
    classes = [str(task.key(label)) for label in (False, True)]
    return classes[0] if case.said == classes[1] else classes[1]


def _given(context: Context, said: Said, stream: StreamDefinition) -> Answer:
    """Return the right answer as predictions name it."""
    task = context.tasks[stream.name]
    if stream.target is None:
        raise RefusalError(f"stream {stream.name} has no target: there is no answer to correct")
    if said.value is None:
        raise RefusalError(f"{said.kind} must carry the right answer as value, it was null")
    if isinstance(said.value, bool) and task.name == "regression":
        raise RefusalError(f"value must be a number, was {said.value!r}")
    try:
        label = task.read_label(said.value)
    except InvalidRecordError as error:
        raise RefusalError(str(error)) from error
    if label is None:
        raise RefusalError(f"value must be finite and of usual size, was {said.value!r}")
    return task.key(label)

"""An answer for those who build models: everything, with where it stands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidemill.kernel.records import Position
from tidemill.runtime.answer_views import view_lines
from tidemill.runtime.answer_words import (
    aligned,
    bar,
    by_size,
    largest_of,
    measured,
    moment,
    number,
    reading,
    signed,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tidemill.contracts.answer import Answer, Made, Record


def fact_lines(answer: Answer) -> list[str]:
    """Return the text, line by line."""
    lines = aligned([[*pair] for pair in _facts(answer)], indent=0)
    if answer.explanation is not None:
        lines += _sensors(answer.explanation)
        lines += _neighbours(answer.explanation)
    return [*lines, *view_lines(answer)]


def _facts(answer: Answer) -> Iterator[tuple[str, str]]:
    prediction = answer.prediction
    source = Position(**prediction["source"])
    name = f"{prediction['event_id']} of {prediction['stream']}, {prediction['asset']}"
    yield "event", f"{name}, {moment(prediction['time'])}, {source}"
    for again in answer.again:
        yield "came again", str(again)
    yield "prediction", f"{_said(answer)}, {answer.at}"
    yield from _regions(prediction)
    yield "label", _label(answer)
    yield "quality", ", ".join(prediction["quality"]) or "no flags"
    yield "model", _model(prediction)
    yield "lineage", prediction["lineage"].hex()
    for shadow in prediction["shadows"]:
        said = _output(shadow["value"], shadow["probabilities"])
        yield "shadow", f"{shadow['model']}, version {shadow['version']:,}: {said}"
    entry = "no longer retained" if answer.entry is None else f"entry {answer.entry:,}"
    yield "ledger", f"{entry}, partition {source.partition}"
    yield from _explained(answer)


def _said(answer: Answer) -> str:
    prediction, asked = answer.prediction, answer.asked
    said = _output(prediction["value"], prediction["probabilities"], asked.unit)
    outcome = prediction["outcome"]
    what = "" if asked.name is None else f"{asked.name} "
    return f"{what}{said}" if outcome is None else f"{what}{outcome} ({said})"


def _output(
    value: float | None, probabilities: dict[str, float] | None, unit: str | None = None
) -> str:
    if value is not None:
        return measured(value, unit)
    ranked = sorted((probabilities or {}).items(), key=lambda pair: -pair[1])
    return ", ".join(f"P({key}) {number(score)}" for key, score in ranked) or "no answer"


def _regions(prediction: Record) -> Iterator[tuple[str, str]]:
    interval, classes = prediction["interval"], prediction["class_set"]
    if interval is not None:
        bounds = f"{number(interval['low'])} to {number(interval['high'])}"
        how = f"level {number(interval['level'])}, {interval['method']}"
        yield "interval", f"{bounds}, {how}, of {interval['labels']:,} labels"
    if classes is not None:
        yield "class set", ", ".join(classes) or "empty"


def _label(answer: Answer) -> str:
    label, value = answer.label, answer.prediction["value"]
    if label is None:
        return "not known"
    where = f"{label.position}" + (f", revision {label.revision}" if label.revision else "")
    if isinstance(label.value, str):
        return f"{label.value}, {where}"
    error = "" if value is None else f", prediction off by {signed(value - label.value)}"
    return f"{measured(label.value, answer.asked.unit)}{error}, {where}"


def _model(prediction: Record) -> str:
    structure = f", structure {prediction['structure']:,}" if prediction["structure"] else ""
    return f"{prediction['model']}, version {prediction['version']:,}{structure}"


def _explained(answer: Answer) -> Iterator[tuple[str, str]]:
    explanation = answer.explanation
    if explanation is None:
        yield "explanation", f"none: {answer.absent}; nor can it be made now: {answer.obstacle}"
        return
    if answer.made is None:
        yield "explanation", str(answer.explained_at)
    else:
        yield "explanation", f"made now: {answer.absent}"
        yield "", _making(answer.made)
    exact = "exact" if explanation["exact"] else "not exact"
    classes = [explanation[name] for name in ("target_class", "contrast_class")]
    against = " against ".join(each for each in classes if each is not None)
    space = explanation["output_space"] + (f" of {against}" if against else "")
    yield "method", f"{explanation['method']}, {exact}, in {space}"
    reference = explanation["reference"]
    yield "reference", f"{reference['kind'] or 'none'}, {reference['n']:,} cases"
    yield "base", number(explanation["base"])
    yield "output", number(explanation["prediction"])
    yield "residual", number(explanation["residual"])
    yield "additivity", f"off by {number(explanation['additivity_error'])}"
    yield "missing", ", ".join(explanation["missing"]) or "no sensor"
    for field in ("age", "support", "samples"):
        if explanation[field]:
            yield field, number(explanation[field])


def _making(made: Made) -> str:
    begun = "nothing" if made.state is None else f"its state at {made.state}"
    after = "" if made.state_entry is None else f", after entry {made.state_entry:,}"
    return (
        f"from {begun}{after}; ledger entries {made.first:,} to {made.entry:,} folded again, "
        f"{made.folded:,} records, and found equal"
    )


def _sensors(explanation: Record) -> list[str]:
    ranked = by_size(explanation)
    largest = largest_of(share["attribution"] for share in ranked)
    rows = [
        [
            share["feature"],
            reading(share["observed"], share["unit"]),
            signed(share["attribution"]),
            _error(share["standard_error"]),
            bar(share["attribution"], largest),
        ]
        for share in ranked
    ]
    return ["sensors, the largest share first:", *aligned(rows)]


def _error(standard_error: float | None) -> str:
    return "" if standard_error is None else f"se {number(standard_error)}"


def _neighbours(explanation: Record) -> list[str]:
    near = explanation["neighbours"]
    rows = [[number(each["distance"]), reading(each["label"], None)] for each in near]
    return ["answered by the cases nearest (distance, label):", *aligned(rows)] if rows else []

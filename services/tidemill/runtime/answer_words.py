"""Numbers, readings and bars as a person reads them."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tidemill.contracts.answer import Answer, Asked, Record

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Significant digits of a number in a text; all of them are in the JSON document.
DIGITS = 4
_PLAIN_FROM, _PLAIN_TO = 1e-4, 1e6
BAR_WIDTH = 12
BLOCK, SLIVER, AXIS = "\u2588", "\u258f", "\u2502"


def number(value: float) -> str:
    """Return a number with four significant digits and no zeros behind them.

    >>> number(91.2), number(-0.80004), number(12345.678), number(0.0), number(3e-7)
    ('91.2', '-0.8', '12,346', '0', '3.000e-07')
    """
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("infinity" if value > 0 else "-infinity")
    size = abs(value)
    if size == 0.0:
        return "0"
    if not _PLAIN_FROM <= size < _PLAIN_TO:
        return f"{value:.{DIGITS - 1}e}"
    text = f"{value:,.{max(0, DIGITS - 1 - math.floor(math.log10(size)))}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def signed(value: float) -> str:
    """Return a number with its sign; none in front of zero."""
    return ("+" if value > 0 else "") + number(value)


def measured(value: float, unit: str | None) -> str:
    """Return a number with its unit, if it has one."""
    return f"{number(value)} {unit}" if unit else number(value)


def reading(value: Any, unit: str | None) -> str:  # Any: an Avro value
    """Return what a sensor read; `nothing` where it sent nothing."""
    match value:
        case None:
            return "nothing"
        case bool():
            return "true" if value else "false"
        case int() | float():
            return measured(value, unit)
    return str(value)


def moment(micros: int) -> str:
    """Return an event time.

    >>> moment(1_767_225_600_000_000), moment(1_767_225_600_250_000)
    ('2026-01-01 00:00:00 UTC', '2026-01-01 00:00:00.250000 UTC')
    """
    return f"{(_EPOCH + timedelta(microseconds=micros)).replace(tzinfo=None)} UTC"


def percent(part: float) -> str:
    """Return a part of one in percent; what is not all or nothing is never said to be.

    >>> percent(0.0), percent(0.004), percent(0.123), percent(0.9999), percent(1.0)
    ('0 %', 'less than 1 %', '12 %', 'more than 99 %', '100 %')
    """
    if 0.0 < part < 0.01:
        return "less than 1 %"
    if 0.99 < part < 1.0:
        return "more than 99 %"
    return f"{part * 100:.0f} %"


def bar(value: float, largest: float) -> str:
    """Return a bar to the left or right of an axis; the largest one has full width.

    >>> bar(2.0, 4.0).strip()
    '\u2502\u2588\u2588\u2588\u2588\u2588\u2588'
    """
    length = round(BAR_WIDTH * abs(value) / largest) if largest > 0 else 0
    drawn = BLOCK * length or (SLIVER if value else "")
    left, right = (drawn, "") if value < 0 else ("", drawn)
    return f"{left:>{BAR_WIDTH}}{AXIS}{right:<{BAR_WIDTH}}"


def by_size(explanation: Record) -> list[Record]:
    """Return the attributions, the largest first; of equal ones the definition's order stays."""
    return sorted(explanation["attributions"], key=lambda share: -abs(share["attribution"]))


def largest_of(sizes: Iterable[float]) -> float:
    """Return the largest absolute value; 0 of none."""
    return max((abs(size) for size in sizes), default=0.0)


def aligned(rows: Sequence[Sequence[str]], *, indent: int = 2) -> list[str]:
    """Return rows of cells as lines with their columns below one another."""
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    return [
        " " * indent + "  ".join(_padded(*pair) for pair in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _padded(cell: str, width: int) -> str:
    return cell + " " * (width - cell_len(cell))


def amount(explanation: Record, asked: Asked, value: float) -> str:
    """Return a share without its sign, in what the output is a number of."""
    size = abs(value)
    match explanation["output_space"]:
        case "value":
            return measured(size, asked.unit)
        case "probability":
            return f"{number(size * 100)} percentage points"
    return number(size)


def has_answer(answer: Answer) -> bool:
    """Return whether the model gave a number or a class."""
    return answer.prediction["value"] is not None or answer.prediction["outcome"] is not None


def of_target(asked: Asked, said: str) -> str:
    """Return what is said of the target, behind its name where it is known."""
    return said if asked.name is None else f"{asked.name} {said}"


def headline(answer: Answer) -> list[str]:
    """Return which event it is, what the model said of it, and how sure it was."""
    prediction, asked = answer.prediction, answer.asked
    who = f"{prediction['asset']}, {moment(prediction['time'])}:"
    value, scores = prediction["value"], prediction["probabilities"]
    if asked.kind == "anomaly" and value is not None:
        found = "this unusual, an alarm" if prediction["outcome"] == "true" else "nothing unusual"
        return [f"{who} the model finds {found} (score {number(value)})."]
    if value is not None:
        return [
            f"{who} the model predicts {of_target(asked, measured(value, asked.unit))}.",
            _interval(answer),
        ]
    outcome = prediction["outcome"]
    if outcome is None:
        return [f"{who} the model gave no answer."]
    sure = "" if not scores else f", with a probability of {percent(scores.get(outcome, 0.0))}"
    said = outcome if asked.name is None else f"that {asked.name} is {outcome}"
    return [f"{who} the model says {said}{sure}.", *_others(answer)]


def _interval(answer: Answer) -> str:
    interval = answer.prediction["interval"]
    if interval is None:
        return "It cannot say yet how sure it is."
    low, high = (measured(interval[end], answer.asked.unit) for end in ("low", "high"))
    return f"In {interval['level'] * 100:.0f} of 100 cases it lies between {low} and {high}."


def _others(answer: Answer) -> list[str]:
    classes = answer.prediction["class_set"]
    others = [each for each in classes or () if each != answer.prediction["outcome"]]
    return [f"It could as well be {' or '.join(others)}."] if others else []


def came(answer: Answer) -> list[str]:
    """Return what came of it, in a sentence; nothing where nothing can come."""
    label, asked = answer.label, answer.asked
    if asked.kind == "anomaly":
        return []
    if label is None:
        return ["What came of it is not known."]
    is_text = isinstance(label.value, str)
    value = str(label.value) if is_text else measured(float(label.value), asked.unit)
    return [f"What came of it: {of_target(asked, f'was {value}')}."]


def when_made(answer: Answer) -> list[str]:
    """Say that an explanation was made now; nothing where it stands in its topic."""
    return [] if answer.made is None else ["This was worked out now, from the model as it was."]

"""Explanations in the demo: each matched to its prediction, one now and then in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

Record = dict[str, Any]  # Any: the values of an Avro record

MOST_SENSORS = 3
_SAID = {"value": "predicted"}


class ExplanationTally:
    """Counts explanations against predictions, which may be read in any order.

    Attributes:
        explained: Explanations read.
        last: The newest one; None before the first.
        ranking: The newest order of an asset's sensors; None before the first.
    """

    def __init__(self) -> None:
        self.explained = 0
        self.last: Record | None = None
        self.ranking: Record | None = None
        self._predictions: set[tuple[int, int]] = set()
        self._explanations: set[tuple[int, int]] = set()
        self._again = 0

    def note_prediction(self, record: Mapping[str, Any]) -> None:  # Any: as above
        """Expect the explanation of a prediction."""
        _match(_source(record), self._predictions, self._explanations)

    def note_explanation(self, record: Record) -> None:
        """Count one explanation; a second one of the same event has no prediction of its own."""
        self.explained += 1
        self.last = record
        source = _source(record)
        self._again += source in self._explanations
        _match(source, self._explanations, self._predictions)

    def note_ranking(self, record: Record) -> None:
        """Take in a new order of the sensors, if it is one asset's."""
        if record["asset"] is not None:
            self.ranking = record

    @property
    def missing(self) -> int:
        """Predictions that are not explained."""
        return len(self._predictions)

    @property
    def surplus(self) -> int:
        """Explanations of what has none due: explained before, or never predicted."""
        return len(self._explanations) + self._again

    @property
    def is_balanced(self) -> bool:
        """Whether each prediction is explained exactly once."""
        return self.missing == self.surplus == 0


def _source(record: Mapping[str, Any]) -> tuple[int, int]:  # Any: as above
    source = record["source"]
    return source["partition"], source["offset"]


def _match(
    source: tuple[int, int], own: set[tuple[int, int]], others: set[tuple[int, int]]
) -> None:
    """Strike out one of the others, or wait for it."""
    if source in others:
        others.remove(source)
    else:
        own.add(source)


def reason_text(record: Record) -> str:
    """Return what a prediction is made of: the sensors that matter most, in their units."""
    shares = sorted(record["attributions"], key=lambda each: -abs(each["attribution"]))
    terms = [
        f"{_signed(each['attribution'])} {each['feature']} ({_observed(each)})"
        for each in shares[:MOST_SENSORS]
    ]
    rest = sum(each["attribution"] for each in shares[MOST_SENSORS:]) + record["residual"]
    if shares[MOST_SENSORS:] or record["residual"]:
        terms.append(f"{_signed(rest)} others")
    made_of = " ".join([f"{record['base']:.2f}", *terms])
    return f"{record['asset']}: {_said(record)} {record['prediction']:.2f} = {made_of}"


def ranking_text(record: Record) -> str:
    """Return which sensors carry an asset's answers by now, and which did before."""
    now = [f"{each['feature']} {each['mean_absolute']:.2f}" for each in record["ranking"]]
    known = [each for each in record["ranking"] if each["before"] is not None]
    before = [each["feature"] for each in sorted(known, key=lambda each: -each["before"])]
    was = f"; before it was {', '.join(before[:MOST_SENSORS])}" if before else ""
    return f"{record['asset']} goes by {', '.join(now[:MOST_SENSORS])}{was}"


def _said(record: Record) -> str:
    space, target, contrast = (
        record[name] for name in ("output_space", "target_class", "contrast_class")
    )
    said = _SAID.get(space, space)
    if target is None:
        return str(said)
    against = "" if contrast is None else f" against {contrast}"
    return f"{said} of {target}{against}"


def _observed(share: Record) -> str:
    observed, unit = share["observed"], share["unit"]
    if observed is None:
        return "missing"
    text = f"{observed:.4g}" if isinstance(observed, float) else str(observed)
    return text if unit is None else f"{text} {unit}"


def _signed(value: float) -> str:
    return f"{'-' if value < 0 else '+'} {abs(value):.2f}"

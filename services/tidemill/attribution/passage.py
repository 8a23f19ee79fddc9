"""The way of an event through a pipeline: what the predictor is given, and whose each column is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tidemill.models.means import Means

_FILTERS = frozenset({"QuantileFilter", "ThresholdFilter"})


def kind_of(model: Any, kinds: frozenset[str]) -> str:  # Any: River carries no types
    """Return by which of these names of classes a model goes, its bases' included; else nothing."""
    for cls in type(model).__mro__:
        if cls.__name__ in kinds:
            return cls.__name__
    return ""


def is_filter(pipeline: Any) -> bool:  # Any: as above
    """Return whether a detector stands behind a filter, which keeps alarms from it."""
    return kind_of(pipeline, _FILTERS) != ""


class Passage:
    """The transformers of a pipeline as they are now, and its predictor.

    Nothing is kept but the steps: what is asked is answered by the transformers of that moment.

    Args:
        pipeline: River's, not the compiled form; a filter around it is passed through.
        names: The sensors, in the order of the definition.
    """

    __slots__ = ("names", "predictor", "transformers")

    def __init__(self, pipeline: Any, names: Sequence[str]) -> None:  # Any: as above
        inner = pipeline.anomaly_detector if is_filter(pipeline) else pipeline
        steps = getattr(inner, "steps", None)
        *before, last = [inner] if steps is None else steps.values()
        self.names = tuple(names)
        self.transformers = tuple(before)
        self.predictor = last

    def transform(self, x: dict[str, Any]) -> dict[str, Any]:  # Any: numbers and texts
        """Return what the predictor is given for an event; nothing is learned."""
        for step in self.transformers:
            x = step.transform_one(x)
        return x

    @property
    def is_centred(self) -> bool:
        """Whether a scaler puts the mean of what was learned at 0."""
        return any(kind_of(step, _CENTRED) for step in self.transformers)

    def columns(self) -> dict[str, tuple[str, ...]]:
        """Return for each sensor the columns that the predictor may be given of it, in order."""
        found: dict[str, tuple[str, ...]] = {name: (name,) for name in self.names}
        for step in self.transformers:
            if _is_encoder(step):
                for name in step.known:
                    found[name] = _encoded(step, name)
        return found

    def owners(self) -> dict[str, str]:
        """Return for each column its sensor."""
        return {column: name for name, columns in self.columns().items() for column in columns}

    def reference(self, means: Means) -> tuple[dict[str, float], int]:
        """Return the mean case as the predictor would be given it, and how many cases it is of.

        Every scaler is affine, so this is also the mean of the cases as they would be given now.
        Behind a scaler that centres it is 0 in every column, to the bit, over what the scaler has
        learned.
        """
        reference: dict[str, Any] = dict(means.numbers)  # Any: numbers
        count = means.n
        for step in self.transformers:
            if _is_encoder(step):
                reference = _mean_codes(step, means) | reference
            elif kind_of(step, _CENTRED):
                reference = dict.fromkeys(step.counts, 0.0)
                count = max(step.counts.values(), default=0)
            else:
                reference = step.transform_one(reference)
        return reference, count


_CENTRED = frozenset({"StandardScaler"})
_ENCODERS = frozenset({"EncodedCategories"})
_ORDINAL = frozenset({"OrdinalEncoder"})


def _is_encoder(step: Any) -> bool:  # Any: as above
    return kind_of(step, _ENCODERS) != ""


def _encoded(step: Any, name: str) -> tuple[str, ...]:  # Any: as above
    """Return the columns that an encoder makes of a sensor's categories."""
    if kind_of(step.encoder, _ORDINAL):
        return (f"{name}=",)
    return tuple(f"{name}=_{category}" for category in step.known[name])


def _mean_codes(step: Any, means: Means) -> dict[str, float]:  # Any: as above
    """Return the mean of each column that an encoder makes, over the categories it has learned."""
    found: dict[str, float] = {}
    for name, known in step.known.items():
        shares = {c: share for c, share in means.frequencies(name).items() if c in known}
        if not kind_of(step.encoder, _ORDINAL):
            found |= {f"{name}=_{category}": share for category, share in shares.items()}
        elif shares:
            codes, total = step.encoder.values[f"{name}="], sum(shares.values())
            found[f"{name}="] = sum(share * codes[c] for c, share in shares.items()) / total
    return found

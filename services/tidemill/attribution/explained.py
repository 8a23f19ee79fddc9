"""What one prediction is made of: a reference, and what each sensor added to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Method = Literal["LINEAR", "TREE_PATH", "NAIVE_BAYES", "NEIGHBOURS", "SAMPLED"]

# In which numbers a prediction is taken apart.
OUTPUT_SPACES = frozenset(
    {"value", "log-odds", "probability", "logit", "vote share", "anomaly score"}
)


@dataclass(frozen=True, slots=True)
class Share:
    """What one sensor added to the reference's answer, in the output space.

    Attributes:
        standard_error: Of a sampled attribution; None where it is exact.
    """

    feature: str
    attribution: float
    standard_error: float | None = None


@dataclass(frozen=True, slots=True)
class Neighbour:
    """One of the cases that a neighbours' answer was made of.

    Attributes:
        distance: Euclidean, in the space of what the model is given: scaled, where it is.
        label: A number, or the key of a class.
    """

    distance: float
    label: float | str


@dataclass(frozen=True, slots=True)
class Explained:
    """One prediction taken apart: base + shares + residual = prediction.

    Attributes:
        exact: Whether the shares are what the method's mathematics says, but for rounding.
        output_space: One of `OUTPUT_SPACES`.
        base: The answer at the reference.
        prediction: What the model answers, in the output space.
        shares: One per sensor of the event and per sensor that it lacks, in the definition's order.
        residual: What an inexact method leaves unexplained.
        target_class: Which class a positive share speaks for.
        contrast_class: Which class it speaks against, where there is one.
        reference_kind: What the sensors are measured from.
        reference_n: How many cases the reference was made of.
        missing: Sensors known to the model and absent from the event.
        support: Weight of the leaf or neighbourhood that answered, where it has one.
        samples: Permutations, where sampled.
        neighbours: The cases that answered, nearest first, where cases did.
    """

    method: Method
    exact: bool
    output_space: str
    base: float
    prediction: float
    shares: tuple[Share, ...]
    residual: float = 0.0
    target_class: str | None = None
    contrast_class: str | None = None
    reference_kind: str = ""
    reference_n: int = 0
    missing: tuple[str, ...] = ()
    support: float | None = None
    samples: int | None = None
    neighbours: tuple[Neighbour, ...] = ()

    @property
    def additivity_error(self) -> float:
        """How far base, shares and residual, summed in order, are from the prediction."""
        total = self.base
        for share in self.shares:
            total += share.attribution
        return abs(total + self.residual - self.prediction)

    @property
    def ranked(self) -> tuple[Share, ...]:
        """The shares, the largest in size first; of equal ones the definition's order stays."""
        return tuple(sorted(self.shares, key=lambda share: -abs(share.attribution)))

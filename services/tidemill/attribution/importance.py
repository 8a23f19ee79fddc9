"""Which sensors carry a model's answers: a fading mean of what its explanations say."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from tidemill.kernel.errors import InvariantError

if TYPE_CHECKING:
    from tidemill.attribution.explained import Explained

# About the last thousand explanations count.
FADING = 0.999
# The order is looked at after so many, and has changed where one overtook another by so much.
LOOK_EVERY = 100
CLEARLY = 1.1


@dataclass(frozen=True, slots=True)
class Weight:
    """What one sensor does: means of its absolute and of its signed attributions.

    Attributes:
        before: The mean absolute attribution at the look before; None if it was not there.
    """

    feature: str
    mean_absolute: float
    mean: float
    before: float | None = None


@dataclass(slots=True)
class Importance:
    """The running global view of one model, or of one model of all assets.

    With a the absolute attribution of a sensor in explanation t, 0 where it has none:

        S_t = a + 0.999 S_{t-1}     N_t = 1 + 0.999 N_{t-1}     mean_t = S_t / N_t

    Attributes:
        explanations: How many were added.
        version: Of the model, at the last look that found another order; None before the first.
    """

    explanations: int = 0
    weight: float = 0.0
    absolute: dict[str, float] = field(default_factory=dict)
    signed: dict[str, float] = field(default_factory=dict)
    ranked: dict[str, float] = field(default_factory=dict)
    version: int | None = None

    def add(self, explained: Explained) -> bool:
        """Add one explanation; return whether the order of the sensors is to be told."""
        self.explanations += 1
        self.weight = 1.0 + FADING * self.weight
        absolute, signed = self.absolute, self.signed
        values = {share.feature: share.attribution for share in explained.shares}
        for feature in absolute.keys() - values.keys():
            absolute[feature] *= FADING
            signed[feature] *= FADING
        for feature, value in values.items():
            absolute[feature] = abs(value) + FADING * absolute.get(feature, 0.0)
            signed[feature] = value + FADING * signed.get(feature, 0.0)
        return self.explanations % LOOK_EVERY == 0 and self._has_changed()

    def _has_changed(self) -> bool:
        """Return whether a sensor clearly overtook one that stood before it."""
        if self.ranked.keys() != self.absolute.keys():
            return True
        least: float | None = None
        for feature in self.ranked:
            now = self.absolute[feature]
            if least is not None and now > CLEARLY * least:
                return True
            least = now if least is None else min(least, now)
        return False

    def tell(self, version: int) -> tuple[int | None, tuple[Weight, ...]]:
        """Return the version told before and the sensors by weight; what is told is remembered.

        Args:
            version: Of the model now.
        """
        before, self.version = self.version, version
        weights = [
            Weight(
                feature,
                absolute / self.weight,
                self.signed[feature] / self.weight,
                self.ranked.get(feature),
            )
            for feature, absolute in self.absolute.items()
        ]
        weights.sort(key=lambda weight: -weight.mean_absolute)
        self.ranked = {weight.feature: weight.mean_absolute for weight in weights}
        return before, tuple(weights)

    def encode(self) -> bytes:
        """Return the whole state; numbers keep every bit."""
        return json.dumps(asdict(self), separators=(",", ":")).encode()

    @classmethod
    def decode(cls, state: bytes) -> Importance:
        """Return what `encode` was given.

        Raises:
            InvariantError: Other bytes.
        """
        try:
            return cls(**json.loads(state))
        except (ValueError, TypeError) as error:
            msg = f"a saved view must be one, was {state[:40]!r}: {error}"
            raise InvariantError(msg) from error

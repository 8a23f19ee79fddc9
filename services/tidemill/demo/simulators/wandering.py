"""A number that wanders about its mean, as disturbances of a process do."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random


class Wandering:
    """A first-order autoregressive process with mean 0 and a stationary standard deviation.

    Args:
        sd: Stationary standard deviation.
        memory: Share of a value that is left one step later, in [0, 1).
    """

    def __init__(self, rng: random.Random, *, sd: float, memory: float) -> None:
        self._rng = rng
        self._memory = memory
        self._kick = sd * math.sqrt(1.0 - memory * memory)
        self._value = rng.gauss(0.0, sd)

    def step(self) -> float:
        """Return the next value."""
        self._value = self._memory * self._value + self._rng.gauss(0.0, self._kick)
        return self._value

"""Seeded signals, and what is found in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tidemill.detection.changes import Channel
from tidemill.detection.signals import Signals, Watch

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tidemill.detection.changes import Change

    Floats = NDArray[np.float64]
    Indices = NDArray[np.intp]

RUN_LENGTH = 100_000.0


def correlated(phi: float, shape: tuple[int, int], seed: int) -> Floats:
    """Return an AR(1) of variance 1 in each row, begun where it stays."""
    drawn = np.random.default_rng(seed).standard_normal(shape)
    found = np.empty(shape)
    found[:, 0] = drawn[:, 0]
    step = np.sqrt(1.0 - phi * phi)
    for n in range(1, shape[1]):
        found[:, n] = phi * found[:, n - 1] + step * drawn[:, n]
    return found


def watched(
    values: Floats, *, channels: tuple[Channel, ...] = tuple(Channel), upward: bool = False
) -> tuple[Signals, list[Change]]:
    """Return signals that have seen one row of values each, and what changed."""
    signals = Signals([Watch(RUN_LENGTH, channels, upward)] * len(values))
    return signals, signals.update(values, np.arange(float(values.shape[1])))

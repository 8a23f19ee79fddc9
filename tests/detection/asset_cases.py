"""Streams and settings that tests of the check of an asset share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tidemill.detection.asset import AssetSettings

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Numbers = NDArray[np.float64]

REFERENCE = 400
SMALL = AssetSettings(4, run_length=5_000.0, reference=REFERENCE, memory=(1 / 4, 1 / 16))


def calm(events: int, sensors: int = 4, seed: int = 1, phi: float = 0.5) -> Numbers:
    """Return rows of sensors with this autocorrelation, half of the variance shared."""
    rng = np.random.default_rng([seed, sensors])
    rows: Numbers = np.sqrt(0.5) * (
        rng.standard_normal((events, sensors)) + rng.standard_normal((events, 1))
    )
    for number in range(1, events):
        rows[number] = phi * rows[number - 1] + np.sqrt(1.0 - phi * phi) * rows[number]
    rows += 50.0
    return rows


def shifted(rows: Numbers, begin: int, sensor: int, by: float) -> Numbers:
    """Return rows with one sensor moved from an event on."""
    moved = rows.copy()
    moved[begin:, sensor] += by
    return moved


def broken(rows: Numbers, seed: int) -> Numbers:
    """Return rows with gaps, infinities and values out of all proportion."""
    rng = np.random.default_rng(seed)
    found = rows.copy()
    for bad in (np.nan, np.inf, -np.inf, 1e300, -1e300, 0.0):
        found[rng.random(rows.shape) < 0.01] = bad
    return found

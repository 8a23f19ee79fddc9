"""Streams of many sensors whose past is known: calm ones of several habits, and one shifted."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Numbers = NDArray[np.float64]

_CHUNK = 5_000


class Habit(NamedTuple):
    """How sensors vary: each has the next of the autocorrelations at lag 1, and variance 1.

    Attributes:
        heavy: Whether steps are Student's t with 3 degrees of freedom.
        noise: Standard deviation of what is added, white.
        rounding: Values are multiples of this; 0 leaves them.
        outliers: Share of values 20 standard deviations off.
        shared: Share of the variance that one wave, at .95, has in all sensors.
    """

    phi: tuple[float, ...] = (0.0,)
    heavy: bool = False
    noise: float = 0.0
    rounding: float = 0.0
    outliers: float = 0.0
    shared: float = 0.0


HABITS = {
    "white": Habit(),
    "autocorrelation .5": Habit((0.5,)),
    "autocorrelation .9": Habit((0.9,)),
    "autocorrelation .99": Habit((0.99,)),
    "a quarter each at 0, .5, .9, .99": Habit((0.0, 0.5, 0.9, 0.99)),
    ".9 and white noise": Habit((0.9,), noise=1.0),
    "heavy tails (t, 3)": Habit(heavy=True),
    "rounded to half a deviation": Habit((0.5,), rounding=0.5),
    "outliers of 20 deviations": Habit((0.5,), outliers=0.001),
    "half of the variance shared": Habit((0.5,), shared=0.5),
}


def chunks(habit: Habit, sensors: int, events: int, seed: list[int]) -> Iterator[Numbers]:
    """Yield rows, (n, sensors), until there were so many events."""
    rng = np.random.default_rng(seed)
    phi = np.resize(np.array(habit.phi), sensors)
    state, wave = rng.standard_normal(sensors), rng.standard_normal(1)
    wave_phi = np.array([0.95])
    for begin in range(0, events, _CHUNK):
        count = min(_CHUNK, events - begin)
        rows, state = _autoregressive(_steps(habit, rng, (count, sensors)), phi, state)
        if habit.shared:
            common, wave = _autoregressive(rng.standard_normal((count, 1)), wave_phi, wave)
            rows = np.sqrt(1.0 - habit.shared) * rows + np.sqrt(habit.shared) * common
        if habit.noise:
            rows = rows + habit.noise * rng.standard_normal(rows.shape)
        if habit.outliers:
            rows = rows + 20.0 * (rng.random(rows.shape) < habit.outliers)
        if habit.rounding:
            rows = np.round(rows / habit.rounding) * habit.rounding
        yield rows


def _steps(habit: Habit, rng: np.random.Generator, shape: tuple[int, int]) -> Numbers:
    if habit.heavy:
        steps: Numbers = rng.standard_t(3, shape) / np.sqrt(3.0)
        return steps
    return rng.standard_normal(shape)


def _autoregressive(steps: Numbers, phi: Numbers, state: Numbers) -> tuple[Numbers, Numbers]:
    rows = steps * np.sqrt(1.0 - phi * phi)
    for number in range(len(rows)):
        rows[number] += phi * state
        state = rows[number]
    return rows, state.copy()


def deviation(habit: Habit) -> float:
    """Return the standard deviation of a sensor."""
    return float(np.sqrt(1.0 + habit.noise**2 + 400.0 * habit.outliers))

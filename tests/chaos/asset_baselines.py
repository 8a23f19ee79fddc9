"""What a plant would do without: Hotelling's T2 and the squared prediction error of components."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Numbers = NDArray[np.float64]

# Components of the second: so much of the variance.
KEPT = 0.9


def t2(reference: Numbers, rows: Numbers) -> Numbers:
    """Return the squared distance of each row from the mean of a reference, by its covariance."""
    center, scale = _standards(reference)
    known, values = (reference - center) / scale, (rows - center) / scale
    inverse = np.linalg.pinv(np.cov(known.T))
    distances: Numbers = np.einsum("ti,ij,tj->t", values, inverse, values)
    return distances


def spe(reference: Numbers, rows: Numbers) -> Numbers:
    """Return the squared distance of each row from the plane of the first components."""
    center, scale = _standards(reference)
    known, values = (reference - center) / scale, (rows - center) / scale
    variance, vectors = np.linalg.eigh(np.cov(known.T))
    share = np.cumsum(variance[::-1]) / variance.sum()
    rest = vectors[:, : max(1, len(share) - int(np.searchsorted(share, KEPT)) - 1)]
    left = values @ rest
    distances: Numbers = np.einsum("ti,ti->t", left, left)
    return distances


def _standards(reference: Numbers) -> tuple[Numbers, Numbers]:
    scale = reference.std(axis=0)
    return reference.mean(axis=0), np.where(scale > 0.0, scale, 1.0)

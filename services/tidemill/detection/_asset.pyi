import numpy as np
from numpy.typing import NDArray

from tidemill.detection.asset_passes import Frozen, Moving

def advance(
    rows: NDArray[np.float64],
    frozen: Frozen,
    moving: Moving,
    out: NDArray[np.float64],
    *,
    counting: bool,
) -> None: ...
def product(
    left: NDArray[np.float64], right: NDArray[np.float64], out: NDArray[np.float64]
) -> None: ...

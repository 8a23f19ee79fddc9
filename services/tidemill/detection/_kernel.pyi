from numpy import float64, intp
from numpy.typing import NDArray

def advance(
    rows: NDArray[float64],
    values: NDArray[float64],
    stamps: NDArray[float64],
    reached: NDArray[intp],
) -> int: ...

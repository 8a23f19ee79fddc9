from numpy import float64, intp
from numpy.typing import NDArray

def attributions(
    there: NDArray[float64],
    away: NDArray[float64],
    players: NDArray[intp],
    people: int,
    values: NDArray[float64],
    nodes: NDArray[float64],
    weights: NDArray[float64],
    nothing: float,
) -> list[float]: ...

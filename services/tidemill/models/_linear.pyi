from collections.abc import Iterable
from typing import Any

Slot = tuple[str, float, float, float, float]

class Linear:
    @property
    def river(self) -> Any: ...  # Any: River's pipeline carries no types
    def __init__(
        self,
        river: Any,  # Any: as above
        *,
        scaled: bool,
        logistic: bool,
        rate: float,
        intercept_rate: float,
        l2: float,
        clip: float,
    ) -> None: ...
    def take(self, intercept: float, iterations: int, slots: Iterable[Slot]) -> None: ...
    def give(self) -> tuple[float, int, list[Slot]]: ...
    def predict_one(self, x: dict[str, float]) -> float: ...
    def predict_proba_one(self, x: dict[str, float]) -> dict[bool, float]: ...
    def learn_one(self, x: dict[str, float], y: float, w: float = 1.0) -> None: ...

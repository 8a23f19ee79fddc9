"""How many corrections the models of a partition hold, of as many as there is room for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidemill.models.controls import MOST_CORRECTIONS

if TYPE_CHECKING:
    from tidemill.models.controls import Controls
    from tidemill.models.state import ModelKey

# From this share on somebody should know.
CROWDED = 0.8


class Room:
    """Knows the fullest of the models that changed since the partition was opened."""

    def __init__(self) -> None:
        self._held: dict[ModelKey, int] = {}

    def note(self, key: ModelKey, controls: Controls | None) -> None:
        """Take what a model holds by now."""
        if controls is not None and controls.held:
            self._held[key] = controls.held
        else:
            self._held.pop(key, None)

    @property
    def held(self) -> int:
        """What the fullest model holds."""
        return max(self._held.values(), default=0)

    @property
    def crowded(self) -> str:
        """The fullest model, in words, once it is nearly full."""
        held = self.held
        if held < CROWDED * MOST_CORRECTIONS:
            return ""
        key = min(key for key, count in self._held.items() if count == held)
        return key.encode().decode()

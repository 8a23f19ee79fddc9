"""Nominal features as numbers: River's encoders, applied to those features only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from river import base

if TYPE_CHECKING:
    from collections.abc import Sequence

# Categories of one feature that are learned: each may add a feature to every event from then on.
MOST_CATEGORIES = 256


class EncodedCategories(base.Transformer):
    """An encoder for the nominal features; numbers pass as they are, after what was encoded.

    River would encode numbers too. A category that was not learned, or is one too many, is as if
    it were missing: an encoder that makes a feature of it lets predictions change the models
    behind it. The encoder sees `recipe=` for `recipe`, and makes `recipe=_slow`, which can be the
    name of no other feature.
    """

    def __init__(self, encoder: Any, names: Sequence[str]) -> None:  # Any: River's encoder
        self.encoder = encoder
        self.names = tuple(names)
        self.known: dict[str, dict[str, None]] = {name: {} for name in names}

    def learn_one(self, x: dict[Any, Any]) -> None:  # Any: numbers and texts
        """Learn the categories of an event."""
        for name, known in self.known.items():
            category = x.get(name)
            if category is not None and len(known) < MOST_CATEGORIES:
                known[category] = None
        self.encoder.learn_one(self._seen(x))

    def transform_one(self, x: dict[Any, Any]) -> dict[Any, Any]:  # Any: as above
        """Return the event with numbers for categories."""
        encoded: dict[str, Any] = self.encoder.transform_one(self._seen(x))  # Any: as above
        return encoded | {name: value for name, value in x.items() if name not in self.known}

    def _seen(self, x: dict[Any, Any]) -> dict[Any, Any]:  # Any: as above
        return {
            f"{name}=": x[name]
            for name, known in self.known.items()
            if name in x and x[name] in known
        }

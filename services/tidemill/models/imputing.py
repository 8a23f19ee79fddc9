"""Values for missing features: River's imputers, which want to be told what is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from river import base

if TYPE_CHECKING:
    from collections.abc import Sequence


class Completed(base.Transformer):
    """An imputer for features that are absent; what it has no value for stays absent."""

    def __init__(self, imputer: Any, names: Sequence[str]) -> None:  # Any: River's imputer
        self.imputer = imputer
        self.names = tuple(names)

    def learn_one(self, x: dict[Any, Any]) -> None:  # Any: numbers and texts
        """Learn what to put for features that are there."""
        self.imputer.learn_one(self._complete(x))

    def transform_one(self, x: dict[Any, Any]) -> dict[Any, Any]:  # Any: as above
        """Return the event, in order, with values for absent features."""
        complete = self.imputer.transform_one(self._complete(x))
        return {name: value for name, value in complete.items() if value is not None}

    def _complete(self, x: dict[Any, Any]) -> dict[Any, Any]:  # Any: as above
        return {**dict.fromkeys(self.names), **x}

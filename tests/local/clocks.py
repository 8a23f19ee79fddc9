"""A clock for what must not answer in time, however slow the machine is."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class StandsUntilSaid:
    """Plays the module `time`: stands until a file holds a word, and all patience is over then."""

    sleep = staticmethod(time.sleep)

    def __init__(self, file: Path, word: str) -> None:
        self._file = file
        self._word = word
        self._now = 0.0

    def monotonic(self) -> float:
        """Return 0 until the word is there, then days more with every look."""
        if self._file.exists() and self._word in self._file.read_text("utf-8"):
            self._now += 1e6
        return self._now

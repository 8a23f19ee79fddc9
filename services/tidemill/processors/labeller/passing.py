"""How far event time has come in one input partition."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Passing:
    """The two latest times; the second counts: one clock that runs ahead moves nothing."""

    newest_us: int | None = None
    second_us: int | None = None

    def see(self, time_us: int) -> None:
        """Note the time of a record."""
        if self.newest_us is None or time_us > self.newest_us:
            self.newest_us, self.second_us = time_us, self.newest_us
        elif self.second_us is None or time_us > self.second_us:
            self.second_us = time_us

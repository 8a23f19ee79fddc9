"""What every plant sends now and then: nothing, NaN, nonsense, bytes that are no record."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random

    from tidemill.demo.happenings import Reading

SHARE_UNDECODABLE = 0.002
SHARE_MISSING = 0.01
SHARE_NOT_FINITE = 0.004
SHARE_OUT_OF_RANGE = 0.004


@dataclass(frozen=True, slots=True)
class Blemishes:
    """Which sensor shows which fault; `impossible` lies outside the range of `out_of_range`."""

    missing: str
    not_finite: str
    out_of_range: str
    impossible: float

    def on(self, reading: Reading, rng: random.Random) -> Reading:
        """Return the reading as it is sent: almost always as it was."""
        draw = rng.random()
        if draw < SHARE_UNDECODABLE:
            return replace(reading, truth=None, is_sampled=False, is_broken=True)
        for share, fault in (
            (SHARE_MISSING, (self.missing, None)),
            (SHARE_NOT_FINITE, (self.not_finite, math.nan)),
            (SHARE_OUT_OF_RANGE, (self.out_of_range, self.impossible)),
        ):
            draw -= share
            if draw < SHARE_UNDECODABLE:
                name, value = fault
                return replace(reading, record={**reading.record, name: value})
        return reading

"""Readings with faults planted among them: broken bytes, late, doubled, stuck, not a number."""

from __future__ import annotations

import math
import random
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from chaos.inputs import Seats

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from chaos.sheets import Reading, SheetPlant

CORRUPT, LATE, DUPLICATE, STUCK, NAN = "corrupt", "late", "duplicated", "stuck", "not a number"
KINDS = (CORRUPT, LATE, DUPLICATE, STUCK, NAN)
SHARE = 0.0225  # of an asset's events, of each kind: 2 % of all, for the first ones are spared

LATENESS = "1h"
LATE_US = -3 * 3_600_000_000
STUCK_AFTER = 10
STUCK_FLAGGED = 20  # readings of one spell that are flagged
CALM = 60  # events of an asset before its first fault
REMEMBERED = 20  # of an asset's last events, of which one comes again

HELD = STUCK_AFTER - 2  # equal readings after the first, before it is called stuck


class Sent(NamedTuple):
    """One event as it is written.

    Attributes:
        name: Of the event; two have one where it comes again.
        fault: What was planted in it; empty where nothing was.
    """

    partition: int
    key: bytes
    value: bytes
    name: int
    fault: str


@dataclass(slots=True)
class _Asset:
    """What is known of one asset's past."""

    seen: int = 0
    clean: deque[Sent] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    last: Reading | None = None
    held: int = 0  # which reading of a spell comes next, from 1; 0 outside of one


class Planter:
    """Plants faults in readings, seeded.

    Args:
        sensors: Which sensor of a sheet sticks; its definition says after how many.
    """

    def __init__(self, plant: SheetPlant, sensors: Mapping[str, str], seed: int) -> None:
        self._plant = plant
        self._sensors = sensors
        self._random = random.Random(seed)
        self._seats = Seats(plant.partitions)
        self._assets: dict[str, _Asset] = {}
        self._owed = 0.0  # stuck readings: so many that a spell begins when there are enough

    def plant(self, readings: Iterable[Reading]) -> Iterator[Sent]:
        """Yield the events in order."""
        for number, reading in enumerate(readings):
            asset = self._assets.setdefault(reading.asset, _Asset())
            asset.seen += 1
            yield from self._events(reading, number, asset)

    def _events(self, reading: Reading, number: int, asset: _Asset) -> Iterator[Sent]:
        is_calm = asset.seen <= CALM
        self._owed += 0.0 if is_calm else SHARE
        if not (is_calm or asset.held) and self._owed >= STUCK_FLAGGED:
            self._owed -= STUCK_FLAGGED
            asset.held = 1
        if asset.held:
            yield self._stuck(reading, number, asset)
            return
        fault = "" if is_calm else self._draw()
        if fault == CORRUPT:
            broken = self._broken(self._plant.value(reading, number))
            yield self._sent(reading, number, fault, value=broken)
        elif fault == LATE:
            value = self._plant.value(reading, number, after_us=LATE_US)
            yield self._sent(reading, number, fault, value=value)
        elif fault == NAN:
            name = self._random.choice(sorted(reading.x))
            wild = self._random.choice([math.nan, math.inf, -math.inf])
            yield self._sent(reading._replace(x={**reading.x, name: wild}), number, fault)
        else:
            sent = self._sent(reading, number, "")
            asset.last = reading
            asset.clean.append(sent)
            yield sent
            if fault == DUPLICATE:
                yield self._random.choice(asset.clean)._replace(fault=fault)

    def _draw(self) -> str:
        dice = self._random.random()
        for fault in (CORRUPT, LATE, DUPLICATE, NAN):
            if dice < SHARE:
                return fault
            dice -= SHARE
        return ""

    def _stuck(self, reading: Reading, number: int, asset: _Asset) -> Sent:
        """Return a reading whose sensor says what it said last; the first few are believed."""
        assert asset.last is not None
        name = self._sensors[reading.sheet]
        stuck = reading._replace(x={**reading.x, name: asset.last.x[name]})
        fault = STUCK if asset.held > HELD else ""
        asset.held = (asset.held + 1) % (HELD + STUCK_FLAGGED + 1)
        return self._sent(stuck, number, fault)

    def _broken(self, value: bytes) -> bytes:
        """Return bytes that are no record: cut, of no schema, random, nothing, or too long."""
        match self._random.randrange(5):
            case 0:
                return value[: self._random.randrange(len(value))]
            case 1:
                return b"\0\xff\xff\xff\xff" + value[5:]
            case 2:
                return self._random.randbytes(self._random.randrange(1, 200))
            case 3:
                return b""
        return value + self._random.randbytes(3)

    def _sent(
        self, reading: Reading, number: int, fault: str, *, value: bytes | None = None
    ) -> Sent:
        written = self._plant.value(reading, number) if value is None else value
        return Sent(self._seats.of(reading.asset), reading.asset.encode(), written, number, fault)

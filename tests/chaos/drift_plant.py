"""A plant whose sensors go wrong and whose processes change, asset by asset, as it is told."""

from __future__ import annotations

import random
from itertools import cycle
from typing import TYPE_CHECKING

from chaos.data import POWER_FEATURES, power_rows
from chaos.feeding import Outgoing
from chaos.inputs import Seats
from chaos.plant import CLASSIFIER, SCALED
from chaos.sheets import Reading, Sheet, SheetPlant
from tidemill.contracts.topics import EVENTS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from chaos.sheets import X

LINE, MUTE, GRID = "line", "mute", "grid"
# Those of whom nobody answers for are in a stream of their own: they time out sooner.
SENSORS = ("a", "b", "c")
# A sensor that is off by so much, a process whose load has risen by so much, a dearer tariff.
OFF, RISEN, DEARER = 4.0, 3.0, 0.2
LOGISTIC = "linear_model.LogisticRegression"
MODELS = {"champion": [SCALED, LOGISTIC], "challengers": {"tree": [CLASSIFIER]}}


def plant(partitions: int = 2, *, timeouts: Mapping[str, str]) -> SheetPlant:
    """Return the plant: planted lines, and the grid of elec.csv.

    Args:
        partitions: Of every topic.
        timeouts: How long the questions of a stream wait for answers, where not for ever.
    """

    def options(name: str) -> dict[str, object]:
        dial = {"run_length": 1_000_000, "hold_at_most": 0.5}
        return {"drift": {**dial, "question_timeout": timeouts.get(name, "30d")}}

    sensors = {LINE: SENSORS, MUTE: SENSORS, GRID: POWER_FEATURES}
    return SheetPlant(
        [Sheet(name, sensors[name], MODELS, "binary", options=options(name)) for name in sensors],
        partitions,
    )


class Source:
    """Events of all assets in turn; which of them are at fault or changed is said each time.

    Args:
        made: The plant.
        streams: Of each asset.
    """

    def __init__(self, made: SheetPlant, streams: Mapping[str, str], seed: int) -> None:
        self.assets = tuple(streams)
        self.count = 0
        self.streams = streams
        self._made = made
        self._rng = random.Random(seed)
        self._seats = Seats(made.partitions)
        self._power = cycle(power_rows())
        for asset in self.assets:
            self._seats.of(asset)

    def seat(self, asset: str) -> int:
        """Return the partition of an asset."""
        return self._seats.of(asset)

    def rounds(
        self, count: int, *, faulty: Collection[str] = (), changed: Collection[str] = ()
    ) -> Iterator[Outgoing]:
        """Yield so many events of each asset.

        Args:
            count: How many.
            faulty: Assets whose first sensor is off.
            changed: Assets whose process is another one.
        """
        for _ in range(count):
            for asset in self.assets:
                reading = self._reading(asset, is_changed=asset in changed)
                if asset in faulty:
                    reading.x["a"] += OFF
                value = self._made.value(reading, self.count)
                self.count += 1
                yield Outgoing(EVENTS, self.seat(asset), asset.encode(), value)

    def _reading(self, asset: str, *, is_changed: bool) -> Reading:
        if self.streams[asset] == GRID:
            row = next(self._power)
            x: X = dict(zip(POWER_FEATURES, row.x, strict=True))
            x["nswprice"] += DEARER * is_changed
            return Reading(GRID, asset, x, int(row.y))
        normal, rise = self._rng.gauss, RISEN * is_changed
        load = normal(0, 1)
        x = {"a": load + normal(rise, 0.5), "b": load + normal(rise, 0.5), "c": normal(0, 1)}
        return Reading(self.streams[asset], asset, x, int(load + normal(0, 0.3) > 0))

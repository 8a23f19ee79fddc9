"""What is written to a mesh: clean rows for the oracle, a rough mixture for the chaos."""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING

from chaos.feeding import Outgoing
from chaos.plant import MODELS, event_value, example_value, model_names
from tidemill.contracts.topics import EVENTS, UPDATES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from chaos.data import Row

# One in so many records, on average.
EXAMPLE_EVERY = 10
REPEATED_EVERY = 8  # of the examples
DEAD_EVERY = 100
NAN_EVERY = 100
NULL_EVERY = 50

NO_RECORD = b"\x00\xff\xff\xff\xffno schema has this id"


class Seats:
    """Deals assets out over partitions, in the order in which they are first seen."""

    def __init__(self, partitions: int) -> None:
        self._partitions = partitions
        self._seats: dict[str, int] = {}

    def of(self, asset: str) -> int:
        """Return the partition of an asset."""
        return self._seats.setdefault(asset, len(self._seats) % self._partitions)


def clean_events(rows: Iterable[Row], partitions: int) -> Iterator[Outgoing]:
    """Yield rows as sensor events, numbered from 0."""
    seats = Seats(partitions)
    for number, row in enumerate(rows):
        yield Outgoing(EVENTS, seats.of(row.asset), row.asset.encode(), event_value(row, number))


def rough_records(rows: Iterable[Row], partitions: int, seed: int) -> Iterator[Outgoing]:
    """Yield rows as sensor events, with all that a plant sends beside clean ones.

    Some lack a value or hold a NaN, some are not records at all; between them come examples to
    learn, on rows seen before, some of them twice.
    """
    rng = random.Random(seed)
    seats = Seats(partitions)
    causes = [0] * partitions
    example: Outgoing | None = None
    for number, row in enumerate(rows):
        partition, key = seats.of(row.asset), row.asset.encode()
        value = event_value(_roughened(row, rng), number)
        yield Outgoing(EVENTS, partition, key, NO_RECORD if _one_in(DEAD_EVERY, rng) else value)
        if not _one_in(EXAMPLE_EVERY, rng):
            continue
        if example is None or not _one_in(REPEATED_EVERY, rng):
            cause = (partition, causes[partition])
            causes[partition] += 1
            model = rng.choice([None, *model_names(MODELS, row.stream)])
            weight = rng.choice([1.0, 1.0, 2.0])
            value = example_value(row, cause=cause, model=model, weight=weight)
            example = Outgoing(UPDATES, partition, key, value)
        yield example


def _one_in(count: int, rng: random.Random) -> bool:
    return rng.randrange(count) == 0


def _roughened(row: Row, rng: random.Random) -> Row:
    fault = math.nan if _one_in(NAN_EVERY, rng) else None
    if fault is None and not _one_in(NULL_EVERY, rng):
        return row
    x: list[float | None] = list(row.x)
    x[rng.randrange(len(x))] = fault
    return row._replace(x=tuple(x))  # type: ignore[arg-type]  # null is what the plant may send

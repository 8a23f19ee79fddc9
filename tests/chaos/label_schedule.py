"""Labels as plants send them: late, shuffled, twice, corrected, by any partition, or never."""

from __future__ import annotations

import random
from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from chaos.feeding import Outgoing
from chaos.plant import START_US, STEP_US, event_id
from tidemill.contracts.codec import codec
from tidemill.contracts.topics import LABELS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from chaos.sheets import Reading, SheetPlant

Value = Any  # Any: a number or a class, as a label has it
HOUR_US = 3_600_000_000


class Sent(NamedTuple):
    """One label as it was written, perhaps twice."""

    number: int
    revision: int
    value: Value
    time_us: int


@dataclass(frozen=True, slots=True)
class Habits:
    """How the lab works.

    Attributes:
        delays: In events, or microseconds of event time where it is as long as that; in turn.
        never: Share of the events that get no label.
        twice: Share of the labels that are written twice.
        revised: Share of the labelled events whose label is corrected, up to three times.
        jitter: By how many events labels are out of order, at most.
    """

    delays: Sequence[int] = (0, 50, 500, 2 * HOUR_US)
    never: float = 0.2
    twice: float = 0.05
    revised: float = 0.02
    jitter: int = 30


def schedule(
    plant: SheetPlant, readings: Sequence[Reading], habits: Habits, seed: int
) -> tuple[list[Outgoing], dict[tuple[int, int], Sent]]:
    """Return events without answers and their labels in the order of writing, and what was sent.

    Args:
        readings: With the answers that the labels bring.

    Returns:
        The records; and every label by number of its event and revision.
    """
    rng = random.Random(seed)
    bare = [reading._replace(y=None) for reading in readings]
    timed: list[tuple[float, int, Outgoing]] = [
        (float(number), number, event) for number, event in enumerate(plant.events(bare))
    ]
    sent: dict[tuple[int, int], Sent] = {}
    for number, reading in enumerate(readings):
        if rng.random() < habits.never:
            continue
        for label, moment in _labels(number, reading, habits, rng):
            sent[number, label.revision] = label
            for _ in range(1 + (rng.random() < habits.twice)):
                away = rng.uniform(-habits.jitter, habits.jitter)
                record = _record(reading, label, rng.randrange(plant.partitions))
                timed.append((moment + away, len(timed), record))
    return [record for _, _, record in sorted(timed, key=itemgetter(0, 1))], sent


def _labels(
    number: int, reading: Reading, habits: Habits, rng: random.Random
) -> Iterator[tuple[Sent, float]]:
    """Yield the labels of one event, each with the moment of its writing, in events."""
    delay = rng.choice(habits.delays)
    delay_us = delay if delay >= HOUR_US else delay * STEP_US
    revisions = rng.randint(1, 3) if rng.random() < habits.revised else 0
    value = reading.y
    for revision in range(revisions + 1):
        time_us = START_US + number * STEP_US + delay_us + revision * STEP_US
        yield Sent(number, revision, value, time_us), number + delay_us / STEP_US + 40 * revision
        if rng.random() < 0.9:  # else the correction says the same again
            value = _corrected(value, rng)


def _corrected(value: Value, rng: random.Random) -> Value:
    return 1 - value if isinstance(value, int) else value + rng.uniform(-1.0, 1.0)


def _record(reading: Reading, label: Sent, partition: int) -> Outgoing:
    value = label.value
    record = {
        "event_id": event_id(label.number),
        "asset": reading.asset,
        "value": str(value) if isinstance(value, int) else value,
        "revision": label.revision,
        "time": label.time_us,
        "source": "lab",
    }
    return Outgoing(LABELS, partition, reading.asset.encode(), codec("Label").encode(record))


def last_labels(sent: Iterable[Sent]) -> dict[int, Sent]:
    """Return the label in force of every event that got one, once all are read."""
    newest: dict[int, Sent] = {}
    for label in sent:
        if label.number not in newest or newest[label.number].revision < label.revision:
            newest[label.number] = label
    return newest

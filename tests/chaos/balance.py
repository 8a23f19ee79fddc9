"""The balance of a mesh: each event has one prediction or one dead letter, in order."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tidemill.contracts.codec import codec
from tidemill.contracts.topics import EVENTS, PREDICTIONS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from chaos.mesh import Mesh
    from chaos.reading import Record

OFFSET_HEADER = "__streams.errors.offset"
SHOWN = 5


class BrokenPromiseError(AssertionError):
    """What a proof shows does not hold."""


@dataclass(frozen=True, slots=True)
class Balance:
    """What a `read_committed` subscriber sees of one run.

    Attributes:
        events: All sensor events, by partition.
        predictions: All predictions, decoded, by partition, in the order they stand.
        values: Their value bytes, in the same order.
        dead: Offsets of the events set aside, by partition.
    """

    events: list[list[Record]]
    predictions: list[list[dict[str, Any]]]  # Any: Avro records
    values: list[list[bytes]]
    dead: list[list[int]]

    @property
    def counts(self) -> tuple[int, int, int]:
        """Events, predictions, dead letters."""
        return (
            sum(map(len, self.events)),
            sum(map(len, self.predictions)),
            sum(map(len, self.dead)),
        )


def strike_balance(mesh: Mesh) -> Balance:
    """Read the topics of a mesh and hold them against one another.

    Raises:
        BrokenPromiseError: An event has no answer, or two, or answers are out of order.
    """
    decode = codec("Prediction").decode
    found = mesh.read(PREDICTIONS)
    dead = mesh.read(EVENTS + ".dlq")
    balance = Balance(
        events=mesh.read(EVENTS),
        predictions=[[decode(record.value) for record in records] for records in found],
        values=[[record.value or b"" for record in records] for records in found],
        dead=[[int(record.headers[OFFSET_HEADER]) for record in records] for records in dead],
    )
    for number, events in enumerate(balance.events):
        predicted = [p["source"]["offset"] for p in balance.predictions[number]]
        check_answers(number, [e.offset for e in events], predicted, balance.dead[number])
        check_sources(number, balance.predictions[number])
    return balance


def check_answers(
    partition: int, events: Sequence[int], predicted: Sequence[int], dead: Sequence[int]
) -> None:
    """Hold the offsets that were answered against those that were asked, order included.

    Raises:
        BrokenPromiseError: Lost, doubled, foreign or reordered.
    """
    where = f"partition {partition}"
    for name, offsets in (("predictions", predicted), ("dead letters", dead)):
        back = [b for a, b in itertools.pairwise(offsets) if b <= a]
        if back:
            msg = f"{where}: {name} must stand once, in order of events; not so {back[:SHOWN]}"
            raise BrokenPromiseError(msg)
    both = sorted(set(predicted) & set(dead))
    lost = sorted(set(events) - set(predicted) - set(dead))
    foreign = sorted((set(predicted) | set(dead)) - set(events))
    if both or lost or foreign:
        msg = (
            f"{where}: each event must have one prediction or one dead letter; "
            f"{len(lost)} have none {lost[:SHOWN]}, {len(both)} both {both[:SHOWN]}, "
            f"{len(foreign)} answers are to no event {foreign[:SHOWN]}"
        )
        raise BrokenPromiseError(msg)


def check_sources(partition: int, predictions: Sequence[dict[str, Any]]) -> None:  # Any: as above
    """Hold that predictions stand in their events' partition.

    Raises:
        BrokenPromiseError: One does not.
    """
    expected = {"topic": EVENTS, "partition": partition}
    for prediction in predictions:
        source = prediction["source"]
        if {key: source[key] for key in expected} != expected:
            msg = f"partition {partition}: predictions must stand with their events, was {source}"
            raise BrokenPromiseError(msg)

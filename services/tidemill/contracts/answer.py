"""What is known of one event: prediction, explanation, label, and where each of them stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tidemill.contracts.targets import ModelKind
    from tidemill.kernel.records import Position

Record = Mapping[str, Any]  # Any: the values of an Avro record


@dataclass(frozen=True, slots=True)
class Asked:
    """What a stream's models are asked for; of an anomaly `name` is None."""

    kind: ModelKind
    name: str | None = None
    unit: str | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """The label of an event: a number, or the key of a class.

    Attributes:
        position: The event, the later event or the instruction that carried it.
        revision: Of an instruction.
    """

    value: float | str
    position: Position
    revision: int = 0


@dataclass(frozen=True, slots=True)
class Made:
    """How an explanation came about that stands in no topic.

    Attributes:
        entry: The ledger entry that applied the event; its digests were met.
        first: The first entry that was folded again.
        folded: Records that were folded again.
        state: Where the model's state was read that the fold began with; None is from nothing.
        state_entry: The ledger entry after which the model stood so.
    """

    entry: int
    first: int
    folded: int
    state: Position | None = None
    state_entry: int | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """One event and all that is known of it.

    Attributes:
        prediction: Of `schemas/Prediction.avsc`.
        at: Where it stands.
        entry: The ledger entry that applied the event; None where it is no longer retained.
        readings: What the event's sensors read, as the plant wrote it; None as above.
        explanation: Of `schemas/Explanation.avsc`; None where there is none.
        explained_at: Where it stands; None where it was made now.
        made: How it was made now.
        absent: Why the topic has no explanation; empty if it has.
        obstacle: Why none could be made either.
        of_asset: The newest global view of the asset, of `schemas/Importance.avsc`.
        of_stream: The newest global view of the stream on this partition.
        again: Where events with the same id came again, flagged as such.
    """

    prediction: Record
    at: Position
    asked: Asked
    entry: int | None = None
    readings: Mapping[str, Any] | None = None  # Any: as above
    label: Outcome | None = None
    explanation: Record | None = None
    explained_at: Position | None = None
    made: Made | None = None
    absent: str = ""
    obstacle: str = ""
    of_asset: Record | None = None
    of_stream: Record | None = None
    again: tuple[Position, ...] = ()

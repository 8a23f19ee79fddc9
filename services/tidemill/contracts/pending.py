"""What waits for its other half: predictions for their labels, labels for their predictions.

A case is one event of one asset. The store of cases lies outside Kafka, is shared by all labellers
of a plant and may forget. It keeps three things apart by the position that brought them:
predictions, labels that came before theirs, and what was decided of both.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple, Protocol

from tidemill.contracts.events import EARLIEST_US

if TYPE_CHECKING:
    from collections.abc import Sequence

MICROS = 1_000_000
DIGITS = 18
# Of one event: labels that wait for its prediction, and labels joined to one prediction of it. A
# lab that gives all labels one id would else have each look through all before it.
MOST_WAITING = 64
MOST_JOINED = 256
LATEST_TICK = 10**DIGITS - 1


class Verdict(StrEnum):
    """What became of a label, or of a prediction that came a second time; a closed set."""

    JOINED = "joined"
    WAITING = "waiting"
    SAME = "same"
    DUPLICATE = "duplicate"
    SUPERSEDED = "superseded"
    LATE = "late"
    REPEATED = "repeated"
    CROWDED = "crowded"


class Kept(NamedTuple):
    """A prediction that waits for its label.

    Attributes:
        case: See `case_of`.
        offset: Of the prediction.
        deadline_us: Event time and ttl: a label of later time is late.
        half: What an instruction needs of it.
    """

    case: bytes
    stream: str
    offset: int
    deadline_us: int
    half: bytes


class Held(NamedTuple):
    """A label, to be joined or to wait.

    Attributes:
        case: See `case_of`.
        offset: Of the label.
        expiry_us: When no prediction of it is waited for any more.
        text: Its value, equal texts for equal values, without a line break.
        letter: The record as it came.
    """

    case: bytes
    revision: int
    offset: int
    time_us: int
    expiry_us: int
    text: str
    letter: bytes


class Met(NamedTuple):
    """What came of a record.

    Attributes:
        number: Which of the batch.
        stream: Of the prediction.
        partition: Of the prediction.
        other: The other half: `Kept.half` for a label, `Held.letter` for a prediction.
        replaced: The text of the label that this one replaces; empty for the first.
    """

    number: int
    verdict: Verdict
    stream: str = ""
    partition: int = -1
    other: bytes = b""
    replaced: str = ""


class Source(NamedTuple):
    """A position in one of the labeller's inputs: `kind` is P for predictions, L for labels."""

    kind: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.kind}{self.partition}:{self.offset}"


class Done(NamedTuple):
    """A join that was committed; as `Kept`, `Held` and `Met` name its parts."""

    case: bytes
    stream: str
    revision: int
    cause: Source
    deadline_us: int
    replaced: str
    text: str


class Buried(NamedTuple):
    """A label that was set aside; `expiry_us` is when no prediction of it can come any more."""

    case: bytes
    offset: int
    expiry_us: int


class Standing(NamedTuple):
    """What a store knows of a partition.

    Attributes:
        is_recovered: Whether it holds all that was committed.
        predictions, labels: Next offset of each that it has applied; None where it knows none.
    """

    is_recovered: bool
    predictions: int | None
    labels: int | None


class Progress(NamedTuple):
    """What a partition has committed.

    Attributes:
        predictions, labels: Next offset of each.
        predicted_us, labelled_us: Event times that have passed in them; None before there were two.
        predictions_ended, labels_ended: Whether each was read to its end.
        ttl_us: The longest of any stream.
        given_up: How many times labels were given up.
    """

    predictions: int
    labels: int
    predicted_us: int | None
    labelled_us: int | None
    predictions_ended: bool
    labels_ended: bool
    ttl_us: int
    given_up: int


class Tidied(NamedTuple):
    """What is left of a partition.

    Attributes:
        given_up: Labels whose prediction will not come, as they came.
        oldest_us: The earliest deadline of all that is left, to the second; None if nothing is.
        predictions, labels: How many are left.
    """

    given_up: list[bytes]
    oldest_us: int | None
    predictions: int
    labels: int


class PendingStore(Protocol):
    """Where cases wait. Each call is atomic; the same call again changes nothing more.

    A generation names all that the store has known without forgetting any of it. Every call but
    the first raises `DependencyUnavailableError` where the generation is another by now, those
    that join also while any partition is still to be recovered.
    """

    def generation(self) -> str:
        """Return the present generation."""

    def standing(self, generation: str, partition: int) -> Standing:
        """Return what is known of a partition."""

    def unrecovered(self, generation: str) -> list[int]:
        """Return the partitions that are still to be recovered."""

    def keep(
        self, generation: str, partition: int, predictions: Sequence[Kept], following: int
    ) -> list[Met]:
        """Keep predictions, in order; return the labels that had waited for them.

        Args:
            following: The next offset.
        """

    def hold(
        self, generation: str, partition: int, labels: Sequence[Held], following: int
    ) -> list[Met]:
        """Join labels to what was predicted, in order, or let them wait; return what came of each.

        Args:
            following: The next offset.
        """

    def confirm(self, generation: str) -> None:
        """Hold that the generation is the present one and all is recovered."""

    def tidy(self, generation: str, partition: int, progress: Progress) -> Tidied:
        """Free what can meet nothing any more, once all that decided of it is committed."""

    def restore_done(self, generation: str, partition: int, dones: Sequence[Done]) -> None:
        """Know joins again that were committed."""

    def restore_buried(
        self, generation: str, partition: int, buried: Sequence[Buried], labels: int
    ) -> None:
        """Forget labels that were set aside; those from offset `labels` on will come again."""

    def restore_kept(self, generation: str, partition: int, predictions: Sequence[Kept]) -> None:
        """Keep predictions that were committed, joining nothing."""

    def restore_held(self, generation: str, partition: int, labels: Sequence[Held]) -> None:
        """Let labels wait that were committed, joining nothing."""

    def finish(self, generation: str, partition: int, predictions: int, labels: int) -> None:
        """Note that a partition is recovered up to these offsets."""


def case_of(asset: str, event_id: str, time_us: int | None = None) -> bytes:
    """Return the name of a case: by its event id, or by its time where one is given.

    >>> case_of("a/b", "e7"), case_of("a/b", "", 12)
    (b'i3:a/be7', b't3:a/b12')
    """
    name = asset.encode()
    if time_us is None:
        return b"i%d:%b%b" % (len(name), name, event_id.encode())
    return b"t%d:%b%d" % (len(name), name, time_us)


def tick(time_us: int) -> str:
    """Return a time as digits that sort as times do, exactly."""
    return f"{min(max(time_us - EARLIEST_US, 0), LATEST_TICK):0{DIGITS}d}"


def second(time_us: int) -> int:
    """Return the second that a time lies in, counted from the earliest."""
    return (time_us - EARLIEST_US) // MICROS


def expiry(time_us: int) -> int:
    """Return the first second at whose beginning a time has passed."""
    return second(time_us) + 1


def micros(seconds: int) -> int:
    """Return the time at which a second of `second` begins."""
    return seconds * MICROS + EARLIEST_US

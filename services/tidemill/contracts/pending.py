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
    from collections.abc import Iterable, Mapping, Sequence

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
    UNFIT = "unfit"


class Kept(NamedTuple):
    """A prediction that waits for its label.

    Attributes:
        case: See `case_of`.
        offset: Of the prediction.
        time_us: Of the event.
        made_us: When it was predicted, by Kafka's own timestamp.
        half: What an instruction needs of it.
    """

    case: bytes
    stream: str
    offset: int
    time_us: int
    made_us: int
    half: bytes


class Held(NamedTuple):
    """A label, to be joined or to wait.

    Attributes:
        case: See `case_of`.
        offset: Of the label.
        texts: Its value as each stream reads it that can, by name: equal texts for equal values,
            without a line break or a tab.
        letter: The record as it came.
    """

    case: bytes
    revision: int
    offset: int
    time_us: int
    texts: Mapping[str, str]
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
    time_us: int
    replaced: str
    text: str


class Buried(NamedTuple):
    """A label that was set aside; one that is late for a stream may be joined for another."""

    case: bytes
    offset: int
    time_us: int
    is_late: bool


class Standing(NamedTuple):
    """What a store knows of a partition.

    Attributes:
        is_recovered: Whether it holds all that was committed.
        predictions, labels: Next offset of each that it has ever applied, committed or not; None
            where it knows none.
    """

    is_recovered: bool
    predictions: int | None
    labels: int | None


class Progress(NamedTuple):
    """What a partition has committed.

    Attributes:
        predictions, labels: Next offset of each.
        through: The last turn after whose answer it was found that all labels which the partition
            had by then are committed; None before there was one. Turns are counted by `tidy`.
        is_caught_up: Whether all events of the partition are predicted, and those predictions read.
        given_up: How many times labels were given up.
        room: Further back than so many records, a prediction is kept no longer whatever labels do,
            once events of its asset or partition have come two ttls beyond it and it has stood one;
            and a label no longer that has waited for one.
    """

    predictions: int
    labels: int
    through: int | None
    is_caught_up: bool
    given_up: int
    room: int


class Tidied(NamedTuple):
    """What is left of a partition.

    Attributes:
        given_up: Labels whose prediction will not come, as they came.
        oldest: The lowest offset of a prediction and of a label that is left; None where none is.
        predictions, labels: How many are left.
        turn: The number of this call.
        dropped: Predictions freed for want of room although a label in time may still come.
    """

    given_up: list[bytes]
    oldest: tuple[int | None, int | None]
    predictions: int
    labels: int
    turn: int
    dropped: int


class PendingStore(Protocol):
    """Where cases wait. Each call is atomic; the same call again changes nothing more.

    What is over is known by two clocks of one asset alone: a prediction is freed when both the
    events and the labels of its asset have come two ttls beyond it, when it has stood a ttl by the
    timestamps of its partition, and when all labels of all partitions were read that were
    there by then. A label is given up when the events of its asset have come a ttl beyond it and it
    has waited a ttl likewise; of an asset of which nothing is kept, when each partition has come
    so far, by event times no later than the timestamps of their predictions, or has predicted all
    its events since. Time that goes back by more than a ttl begins anew.

    A generation names all that the store has known without forgetting any of it. Every call but
    the first raises `DependencyUnavailableError` where the generation is another by now, those
    that join also while any partition is still to be recovered.

    A lease is a generation for `keep`, `hold` and `tidy` of one partition, which refuse it as soon
    as there is a newer one: a worker that stood still while its partition went to another must not
    decide anything. Where none was ever taken, they take the generation.
    """

    def generation(self) -> str:
        """Return the present generation."""

    def standing(self, generation: str, partition: int) -> Standing:
        """Return what is known of a partition."""

    def lease(self, generation: str, partition: int) -> str:
        """Return a new lease of a partition; those before it end."""

    def unrecovered(self, generation: str) -> list[int]:
        """Return the partitions that are still to be recovered."""

    def keep(
        self, generation: str, partition: int, predictions: Sequence[Kept], following: int
    ) -> list[Met]:
        """Keep predictions up to `following`, in order; return the labels that had waited."""

    def hold(
        self, generation: str, partition: int, labels: Sequence[Held], following: int
    ) -> list[Met]:
        """Join labels up to `following`, in order, or let them wait; return what came of each."""

    def confirm(self, generation: str) -> None:
        """Hold that the generation is the present one and all is recovered."""

    def tidy(self, generation: str, partition: int, progress: Progress) -> Tidied:
        """Free what can meet nothing any more, once all that decided of it is committed."""

    def restore_done(
        self, generation: str, partition: int, dones: Sequence[Done], low: int
    ) -> None:
        """Know joins again that were committed; predictions are read again from `low` on."""

    def restore_buried(
        self, generation: str, partition: int, buried: Sequence[Buried], labels: tuple[int, int]
    ) -> None:
        """Forget labels that were set aside.

        Args:
            labels: From where on they are read again, and from where on they will come again.
        """

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


def asset_of(case: bytes) -> str:
    """Return the asset of a case.

    >>> asset_of(b"i3:a/be7")
    'a/b'
    """
    length, _, rest = case[1:].partition(b":")
    return rest[: int(length)].decode()


def tick(time_us: int) -> str:
    """Return a time as digits that sort as times do, exactly."""
    return f"{min(max(time_us - EARLIEST_US, 0), LATEST_TICK):0{DIGITS}d}"


def second(time_us: int) -> int:
    """Return the second that a time lies in, counted from the earliest."""
    return (time_us - EARLIEST_US) // MICROS


def ticks(duration_us: int) -> str:
    """Return a duration as digits that may be added to those of a time."""
    return f"{min(duration_us, LATEST_TICK):0{DIGITS}d}"


def longest_s(durations_us: Iterable[int]) -> int:
    """Return the longest of some durations in whole seconds, rounded up."""
    return max((-(-each // MICROS) for each in durations_us), default=0)

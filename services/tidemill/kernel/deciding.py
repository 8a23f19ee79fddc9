"""What a processor of the control plane is: one record, one decision, remembered before it acts."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tidemill.kernel.records import Emit, Message


class Handled(NamedTuple):
    """What becomes of one record.

    Attributes:
        emits: What it causes, in the order in which it is written.
        key: Under which the decision is remembered; None where it follows from the record alone.
        value: The decision.
        forgotten: Keys of older decisions that need not be remembered any more.
        is_repeated: Whether the decision was remembered already.
        alarm: What people must hear of, in words; empty where there is nothing.
        more: Further decisions on the same record, remembered like the first.
    """

    emits: Sequence[Emit]
    key: bytes | None = None
    value: bytes = b""
    forgotten: Sequence[bytes] = ()
    is_repeated: bool = False
    alarm: str = ""
    more: Mapping[bytes, bytes] = MappingProxyType({})


class Noted(NamedTuple):
    """What becomes of records that a decider took note of together.

    Attributes:
        records: How many of those it was shown, from the first on.
        entries: What must be remembered, by key, before these are done with.
    """

    records: int
    entries: Mapping[bytes, bytes] = MappingProxyType({})


class Decider(Protocol):
    """One partition of a processor of the control plane.

    The runtime asks for a decision, has it remembered, lets the decider keep it, and only then
    writes what it causes: so after a crash the same record causes the same again.
    """

    def decide(self, message: Message) -> Handled:
        """Return what becomes of a record; leaves no trace.

        Raises:
            DependencyUnavailableError: What it takes to decide cannot be read now.
        """

    def note(self, messages: Sequence[Message]) -> Noted:
        """Take note of records of which nothing is told, up to the first one that is decided.

        However they are cut, the same is told and remembered as if each had been decided.
        """

    def keep(self, handled: Handled) -> None:
        """Take note of a decision that is remembered."""

    def __len__(self) -> int:
        """Return how many decisions are remembered."""

    @property
    def reached(self) -> Mapping[str, int]:
        """The last offset that a decision is remembered of, by topic; without those of none."""


class DeciderFactory(Protocol):
    """How the runtime gets the decider of a partition, anew after every assignment.

    Attributes:
        inputs: The topics whose records are decided.
        from_end: Those of them that begin at their end where nothing of them is known, and go on
            with what there is where what was not decided is not retained.
        batched: Those of them that are read in batches, for mostly nothing becomes of a record.
        clock: That of them which the worker writes itself as time passes; empty where none is.
    """

    name: str
    inputs: tuple[str, ...]
    from_end: frozenset[str]
    batched: frozenset[str]
    clock: str
    table: str

    def valid(self, before: bytes, then: bytes) -> bytes:
        """Return which of two decisions under one key holds.

        The second may be that of a worker which had lost the partition while it wrote.
        """

    def open(self, partition: int, remembered: Mapping[bytes, bytes]) -> Decider:
        """Return the decider of a partition whose decisions are these.

        Raises:
            InvariantError: They are not this processor's.
        """

"""A poll applied: what the tasks of all lanes make of it."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tidemill.kernel.deadletters import REASON_HEADER, SUFFIX
from tidemill.kernel.errors import DeadLetterReason, InvariantError, MeshError
from tidemill.kernel.processor import Growing

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from tidemill.kernel.processor import SchemaSource
    from tidemill.kernel.records import Emit, Message
    from tidemill.runtime.lanes import Lane


# These say when a record came, or what never did, not that its producer is broken.
_WHOLE = frozenset({DeadLetterReason.LATE.value, DeadLetterReason.UNKNOWN_EVENT.value})

Batch = dict[str, list["Message"]]


@dataclass(slots=True)
class Applied:
    """What one transaction is to commit.

    Attributes:
        records: Those applied.
        emits: What they caused.
        offsets: Next offset to read, by topic and partition.
        moved: The lanes with anything to commit.
    """

    records: list[Message] = field(default_factory=list)
    emits: list[Emit] = field(default_factory=list)
    offsets: dict[tuple[str, int], int] = field(default_factory=dict)
    moved: list[Lane] = field(default_factory=list)


def apply_all(
    lanes: Iterable[Lane],
    inputs: Sequence[str],
    batches: Mapping[int, Batch],
    schemas: SchemaSource | None = None,
) -> Applied:
    """Let the tasks of all lanes apply a poll; see `apply`."""
    applied = Applied()
    for lane in lanes:
        batch = batches.get(lane.partition, {})
        if not lane.is_ready or not (batch or lane.has_moved):
            continue
        if schemas is not None:
            lane.first_emits = [*lane.first_emits, *_grown(lane, batch, schemas)]
        applied.emits += apply(lane, inputs, batch)
        applied.records += [message for messages in batch.values() for message in messages]
        for topic, offset in lane.positions.items():
            applied.offsets[topic, lane.partition] = offset
        applied.moved.append(lane)
    return applied


def _grown(lane: Lane, batch: Batch, schemas: SchemaSource) -> Sequence[Emit]:
    """Give a lane's task the schemas it will need for a poll, as far as there are any.

    Raises:
        DependencyUnavailableError: Whether there are cannot be said now.
    """
    task = lane.task
    if not isinstance(task, Growing):
        return ()
    unread = {schema_id for messages in batch.values() for schema_id in task.unread(messages)}
    found = schemas(unread) if unread else {}
    if not found:
        return ()
    # An end of partition in the same poll has moved the positions past the records in it.
    firsts = {topic: messages[0].offset for topic, messages in batch.items()}
    return task.grow(found, {t: min(at, firsts.get(t, at)) for t, at in lane.positions.items()})


def apply(lane: Lane, inputs: Sequence[str], batch: Mapping[str, Sequence[Message]]) -> list[Emit]:
    """Let a lane's task apply its part of a poll, inputs in the order of the factory.

    Raises:
        InvariantError: Most recent records of a topic are dead, or the task failed in a way that
            no processor may: the records are named, since they would come again for ever.
    """
    assert lane.task is not None
    emits: list[Emit] = list(lane.first_emits)
    for topic in inputs:
        messages = batch.get(topic)
        if not messages:
            continue
        first, last = messages[0].offset, messages[-1].offset
        with _named(f"{topic}-{lane.partition}: records {first} to {last}"):
            caused = lane.task.process_batch(messages)
        dead = [reason for emit in caused if (reason := _fault(emit, topic))]
        lane.poison[topic].observe(len(messages), len(dead), dead[-1] if dead else "")
        # An end in the same poll lies further on, and is not announced again.
        lane.positions[topic] = max(lane.positions[topic], last + 1)
        lane.applied_ms[topic] = messages[-1].timestamp_ms
        emits += caused
    if batch:
        where = ", ".join(f"{t}-{lane.partition} at {o}" for t, o in lane.positions.items())
        with _named(f"{where}: the transaction's ledger entry and snapshots"):
            emits += lane.task.seal(lane.positions)
    return emits


def _fault(emit: Emit, topic: str) -> str:
    """Return why a record of `topic` was set aside; empty if it was not, or is whole in itself."""
    if emit.topic != topic + SUFFIX:
        return ""
    reason = dict(emit.headers).get(REASON_HEADER, b"").decode()
    return "" if reason in _WHOLE else reason


@contextmanager
def _named(what: str) -> Iterator[None]:
    try:
        yield
    except MeshError:
        raise
    except Exception as error:  # whatever it is, it comes again at each start: halt, and say where
        msg = (
            f"{what} must be applied or set aside, the task raised {type(error).__name__}: "
            f"{error}; nothing of this poll was committed"
        )
        raise InvariantError(msg) from error

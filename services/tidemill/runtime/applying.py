"""A poll applied to one lane: what its task makes of it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from tidemill.kernel.deadletters import REASON_HEADER, SUFFIX
from tidemill.kernel.errors import InvariantError, MeshError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tidemill.kernel.records import Emit, Message
    from tidemill.runtime.lanes import Lane


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
        dead = [emit for emit in caused if emit.topic.endswith(SUFFIX)]
        why = dict(dead[-1].headers).get(REASON_HEADER, b"").decode() if dead else ""
        lane.poison[topic].observe(len(messages), len(dead), why)
        # An end in the same poll lies further on, and is not announced again.
        lane.positions[topic] = max(lane.positions[topic], last + 1)
        lane.applied_ms[topic] = messages[-1].timestamp_ms
        emits += caused
    if batch:
        where = ", ".join(f"{t}-{lane.partition} at {o}" for t, o in lane.positions.items())
        with _named(f"{where}: the transaction's ledger entry and snapshots"):
            emits += lane.task.seal(lane.positions)
    return emits


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

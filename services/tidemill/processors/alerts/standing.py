"""Where the alarm of one condition stands, and the entry by which that is remembered."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from tidemill.contracts.codec import codec
from tidemill.kernel.records import Position
from tidemill.processors.alerts.states import NORMAL, Phase, Signal, State, after

if TYPE_CHECKING:
    from collections.abc import Mapping

MOST_NOTED = 500
_ID_LENGTH = 16


class At(NamedTuple):
    """The record that something follows from, and when it came by Kafka's time."""

    position: Position
    ms: int


@dataclass(frozen=True, slots=True)
class Standing:
    """One condition: at most one alarm of it at a time.

    Attributes:
        name: Of the condition.
        alarm_id: Of its alarm, or the last one; a new one each time it comes from normal.
        since_ms: When the alarm came into its state.
        until_ms: When a shelved alarm comes back.
        revision: Changes of this alarm that were told before the last one.
        count: What the condition rests on; `announced` of them were told.
        recent: When what may become a burst came, in ms; of an alarm of silence, since when its
            asset is heard of again.
        last_ms: When the condition was last met; of silence, when the asset was last heard of.
        open: Drift episodes that are open, as pairs of id and signal.
        offsets: By topic the last offset that this takes account of.
        cause: What the last change follows from.
        said: What it told, in Kafka's bytes; empty where nothing.
    """

    name: str
    kind: str
    asset: str | None = None
    stream: str | None = None
    phase: Phase = NORMAL
    alarm_id: str = ""
    since_ms: int = 0
    until_ms: int | None = None
    actor: str | None = None
    note: str | None = None
    revision: int = -1
    count: int = 0
    announced: int = 0
    recent: tuple[int, ...] = ()
    last_ms: int = 0
    open: tuple[tuple[str, str], ...] = ()
    offsets: Mapping[str, int] = field(default_factory=dict)
    cause: Position | None = None
    said: bytes = b""

    def encode(self) -> bytes:
        """Return the entry of the table."""
        entry = {**asdict(self), "said": self.said.hex()}
        return json.dumps(entry, separators=(",", ":"), allow_nan=False).encode()

    def noted(self, at: At, **known: Any) -> Standing:  # Any: fields of this
        """Return this as it is after a record of which nothing is told."""
        offsets = {**self.offsets, at.position.topic: at.position.offset}
        return replace(self, offsets=offsets, cause=at.position, said=b"", **known)


def decode_standing(value: bytes) -> Standing:
    """Return what `Standing.encode` wrote."""
    entry: dict[str, Any] = json.loads(value)  # Any: as it is written
    state, is_active = entry["phase"]
    entry |= {
        "phase": Phase(State(state), is_active),
        "recent": tuple(entry["recent"]),
        "open": tuple((episode, signal) for episode, signal in entry["open"]),
        "cause": None if entry["cause"] is None else Position(*entry["cause"]),
        "said": bytes.fromhex(entry["said"]),
    }
    return Standing(**entry)


def later(before: bytes, then: bytes) -> bytes:
    """Return the second entry, unless all that it takes account of the first one did too.

    It may be that of a worker which had lost the partition while it wrote.
    """
    old, new = decode_standing(before).offsets, decode_standing(then).offsets
    is_late = all(offset <= old.get(topic, -1) for topic, offset in new.items())
    return before if is_late else then


def signalled(standing: Standing, signal: Signal, at: At, **known: Any) -> Standing | None:
    """Return where an alarm stands after a signal, and what is told of it.

    Args:
        signal: Something that happened to it.
        known: What else is different now, by field; `actor` and `until_ms` hold for this state.

    Returns:
        None where the signal is refused. Nothing is told where state and condition are as before,
        unless what the condition rests on has doubled since it was told and it is not shelved, or a
        shelved alarm comes back at another time.
    """
    phase = after(standing.phase, signal)
    if phase is None:
        return None
    begins = standing.phase == NORMAL and phase != NORMAL
    if phase.state is standing.phase.state:
        known.setdefault("actor", standing.actor)
    changed = replace(standing, **{"actor": None, **known})
    is_more = changed.count >= 2 * max(1, standing.announced)
    is_told = (
        phase != standing.phase
        or signal is Signal.SHELVED
        or (phase.is_active and phase.state is not State.SHELVED and is_more)
    )
    if not is_told:
        return changed.noted(at)
    changed = replace(
        changed,
        phase=phase,
        alarm_id=_id_of(standing.name, at.position) if begins else standing.alarm_id,
        revision=0 if begins else standing.revision + 1,
        since_ms=at.ms if phase.state is not standing.phase.state else standing.since_ms,
        until_ms=changed.until_ms if phase.state is State.SHELVED else None,
        announced=changed.count,
        note=(changed.note or "")[:MOST_NOTED] or None,
    )
    return told(changed, at)


def told(standing: Standing, at: At) -> Standing:
    """Return this with what is told of it."""
    said = codec("Alarm").encode({**alarm_of(standing), "source": at.position._asdict()})
    return replace(standing.noted(at), said=said)


def alarm_of(standing: Standing) -> dict[str, Any]:  # Any: Avro values
    """Return the alarm of a condition, without what its last change follows from."""
    phase = standing.phase
    return {
        "alarm_id": standing.alarm_id,
        "asset": standing.asset,
        "kind": standing.kind,
        "state": phase.state.value,
        "since": standing.since_ms * 1000,
        "actor": standing.actor,
        "note": standing.note,
        "until": None if standing.until_ms is None else standing.until_ms * 1000,
        "stream": standing.stream,
        "active": phase.is_active,
        "revision": standing.revision,
        "count": standing.count,
        "source": None,
    }


def _id_of(name: str, cause: Position) -> str:
    return hashlib.sha256(f"{name}\0{cause}".encode()).hexdigest()[:_ID_LENGTH]

"""Alarms as they stand in their topic."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from tidemill.contracts.topics import ALARMS
from tidemill.runtime.feedback_topics import decoded, read_all

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tidemill.contracts.codec import Codec
    from tidemill.kernel.processor import Log
    from tidemill.kernel.records import Position

HEARTBEAT = "HEARTBEAT"
CLEARED = "CLEARED"
# In the order in which people look at them.
ORDER = ("UNACKNOWLEDGED", "ACKNOWLEDGED", "SHELVED", CLEARED)


class Alarm(NamedTuple):
    """The last change of one alarm, and where it stands: in the topic, or in the table."""

    record: dict[str, Any]  # Any: Avro values
    position: Position

    @property
    def is_standing(self) -> bool:
        """Whether people have something to do with it."""
        return bool(self.record["state"] != CLEARED)


def last_changes(changes: Iterable[Alarm]) -> list[Alarm]:
    """Return the last change of each alarm, the most urgent first, of those the oldest."""
    last: dict[str, Alarm] = {}
    for each in changes:
        name = each.record["alarm_id"]
        before = last.get(name)
        if before is None or each.record["revision"] >= before.record["revision"]:
            last[name] = each
    return sorted(
        last.values(), key=lambda a: (ORDER.index(a.record["state"]), a.record["since"], a.position)
    )


def read_alarms(log: Log, partitions: int, reading: Codec) -> list[Alarm]:
    """Return the last change of each alarm that is retained."""
    return last_changes(
        Alarm(said.record, said.position) for said in read_all(log, ALARMS, partitions, reading)
    )


def changes_from(log: Log, alarm: Alarm, start: int, reading: Codec) -> tuple[list[Alarm], int]:
    """Return the changes of an alarm after one, from an offset on, and where its partition ends."""
    where = ALARMS, alarm.position.partition
    _, end = log.span(*where)
    found = []
    for messages in log.read(*where, start, end):
        for each in decoded(messages, reading):
            is_later = each.record["revision"] > alarm.record["revision"]
            if each.record["alarm_id"] == alarm.record["alarm_id"] and is_later:
                found.append(Alarm(each.record, each.position))
    return found, end


def alarm_line(record: dict[str, Any]) -> str:  # Any: as above
    """Return an alarm in one line, for people."""
    state = record["state"].lower()
    if not record["active"] and record["state"] != CLEARED:
        state += ", condition gone"
    if record["until"] is not None:
        state += f" until {moment(record['until'])}"
    by = f" by {record['actor']}" if record["actor"] else ""
    about = record["asset"] or "the plant"
    return (
        f"{record['alarm_id']}  {moment(record['since'])}  {record['kind']}  {about}: {state}{by}"
        f"  {record['note'] or ''}"
    )


def document(alarm: Alarm) -> dict[str, Any]:  # Any: JSON
    """Return an alarm as JSON has it."""
    record = alarm.record
    return {
        **record,
        "since": moment(record["since"]),
        "until": None if record["until"] is None else moment(record["until"]),
        "position": str(alarm.position),
    }


def moment(us: int) -> str:
    """Return a time as people read it."""
    return datetime.fromtimestamp(us / 1_000_000, UTC).isoformat(timespec="seconds")

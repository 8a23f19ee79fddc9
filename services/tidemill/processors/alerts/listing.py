"""The alarms that the table remembers, as long as they stand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidemill.contracts.topics import ALARM_STATES
from tidemill.processors.alerts.standing import alarm_of, decode_standing, later

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from tidemill.kernel.processor import Log
    from tidemill.kernel.records import Position

# An asset that is watched and never was an alarm; most entries are of these.
_NEVER = b'"alarm_id":""'


def remembered_alarms(
    log: Log, partitions: int
) -> Iterator[tuple[dict[str, Any], Position]]:  # Any: Avro values
    """Yield the alarm of each condition that had one, and where it is remembered.

    How long an alarm has stood is no matter: its entry is kept until another one takes its place.
    """
    for partition in range(partitions):
        found: dict[bytes, tuple[bytes, Position]] = {}
        for messages in log.read(ALARM_STATES, partition, *log.span(ALARM_STATES, partition)):
            for message in messages:
                key, value = message.key or b"", message.value
                if value is None:
                    found.pop(key, None)
                    continue
                before, _ = found.get(key, (value, None))
                if _NEVER in before or _NEVER in value or later(before, value) is value:
                    found[key] = value, message.position
        for value, position in found.values():
            if _NEVER not in value:
                yield alarm_of(decode_standing(value)), position

"""What a replay did or would do: each record, then by reason, as a document or for a person."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from tidemill.runtime.dlq_replay import REFUSED, Fate
from tidemill.runtime.json_lines import iso_time, text_or_hex

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tidemill.runtime.dlq_replay import Decision

Document = dict[str, Any]  # Any: JSON


class ReplayReport:
    """Collects decisions.

    Args:
        topic: The source topic.
        is_executed: Whether what is to be sent was sent.
    """

    def __init__(self, topic: str, *, is_executed: bool) -> None:
        self._topic = topic
        self.is_executed = is_executed
        self._records: list[Document] = []
        self._counts: dict[str, Counter[Fate]] = {}

    def add(self, decision: Decision) -> None:
        """Take one decision in."""
        letter = decision.letter
        self._counts.setdefault(letter.reason, Counter())[decision.fate] += 1
        message, source = letter.message, letter.source
        self._records.append(
            {
                "dead_letter": {
                    "topic": message.topic,
                    "partition": message.partition,
                    "offset": message.offset,
                    "timestamp": iso_time(message.timestamp_ms),
                },
                "source": None if source is None else source._asdict(),
                "reason": letter.reason,
                "key": text_or_hex(message.key),
                "replays": letter.replays,
                "outcome": self._outcome(decision.fate),
                "why": decision.why or None,
                "changes": [change._asdict() for change in decision.changes],
            }
        )

    @property
    def is_refused(self) -> bool:
        """Whether any letter that was meant stays where it is."""
        return any(counts[fate] for counts in self._counts.values() for fate in REFUSED)

    def document(self, used: Mapping[str, int]) -> Document:
        """Return everything as one JSON document; `used` counts the records of each rule."""
        reasons = sorted(self._counts.items())
        return {
            "executed": self.is_executed,
            "topic": self._topic,
            "records": self._records,
            "summary": [
                {"reason": reason, "total": counts.total()}
                | {self._outcome(fate): counts[fate] for fate in Fate}
                for reason, counts in reasons
            ],
            "rules": [{"rule": path, "records": count} for path, count in used.items()],
        }

    def lines(self, used: Mapping[str, int]) -> Iterator[str]:
        """Yield everything for a person."""
        for record in self._records:
            yield _line(record)
        for reason, counts in sorted(self._counts.items()):
            parts = [f"{counts[fate]} {self._outcome(fate)}" for fate in Fate if counts[fate]]
            yield f"{reason}: {counts.total()} dead letters, {', '.join(parts)}"
        for path, count in used.items():
            yield f"{path}: changed {count} records"

    def _outcome(self, fate: Fate) -> str:
        return "sent" if fate is Fate.SEND and self.is_executed else fate.value


def _line(record: Document) -> str:
    place = record["dead_letter"]
    own = f"{place['topic']}-{place['partition']}@{place['offset']}"
    source = record["source"]
    was = "" if source is None else f" (from {source['topic']}-{source['partition']}"
    was += "" if source is None else f"@{source['offset']})"
    head = f"{own}{was} {record['reason']}: {record['outcome']}"
    changes = ", ".join(
        f"{each['what']} {json.dumps(each['before'])} -> {json.dumps(each['after'])}"
        for each in record["changes"]
    )
    return ": ".join(part for part in (head, changes, record["why"]) if part)

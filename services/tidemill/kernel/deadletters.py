"""Dead letters: the record as it came, with why it was set aside; and when too many are."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from tidemill.kernel.errors import InvariantError
from tidemill.kernel.records import Emit

if TYPE_CHECKING:
    from tidemill.kernel.errors import InvalidRecordError
    from tidemill.kernel.records import Message

SUFFIX = ".dlq"
REASON_HEADER = "tidemill.reason"


def dead_letter(message: Message, error: InvalidRecordError, processor: str) -> Emit:
    """Return the dead letter of `message`: original key, value and headers, plus the error's."""
    headers = (
        *message.headers,
        ("__streams.errors.exception", type(error).__name__.encode()),
        ("__streams.errors.message", str(error).encode()),
        ("__streams.errors.topic", message.topic.encode()),
        ("__streams.errors.partition", str(message.partition).encode()),
        ("__streams.errors.offset", str(message.offset).encode()),
        ("tidemill.processor", processor.encode()),
        (REASON_HEADER, error.reason.encode()),
    )
    return Emit(message.topic + SUFFIX, message.partition, message.key, message.value, headers)


class PoisonWatch:
    """Notices when most of a partition's recent records are dead: the fault is then not theirs.

    A bad deploy must not empty a topic into the dead letters. What was observed counts for good
    once it is kept; forgotten, it may come again and counts once.
    """

    WINDOW = 1000
    MIN_SEEN = 200

    def __init__(self) -> None:
        self._recent: deque[bool] = deque(maxlen=self.WINDOW)
        self._dead = 0
        self._kept: tuple[bool, ...] = ()

    def observe(self, records: int, dead: int, last: str) -> None:
        """Count a batch of `records`, `dead` of which were set aside; `last` says why one was.

        Raises:
            InvariantError: More than half of the last 1,000 (at least 200) are dead.
        """
        for is_dead in (True,) * dead + (False,) * (records - dead):
            if len(self._recent) == self.WINDOW:
                self._dead -= self._recent[0]
            self._recent.append(is_dead)
            self._dead += is_dead
        if len(self._recent) >= self.MIN_SEEN and 2 * self._dead > len(self._recent):
            self._halt(last)

    def keep(self) -> None:
        """Note that what was observed was committed."""
        self._kept = tuple(self._recent)

    def forget(self) -> None:
        """Note that what was observed since the last `keep` was aborted."""
        self._recent = deque(self._kept, maxlen=self.WINDOW)
        self._dead = sum(self._kept)

    def _halt(self, last: str) -> None:
        msg = (
            f"at most half of the last {self.WINDOW} records of a partition may be dead letters, "
            f"{self._dead} of {len(self._recent)} were; the last: {last}. "
            "Nothing of this batch was committed: mend the producer, schemas or definition, "
            "then start again"
        )
        raise InvariantError(msg)

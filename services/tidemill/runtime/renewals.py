"""Taking a place in a group again: who lost it to an outage may, two workers of one name not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidemill.kernel.errors import InvariantError
from tidemill.runtime.clients import SESSION_TIMEOUT_MS, KafkaError

if TYPE_CHECKING:
    from collections.abc import Callable

# Two workers of one instance fence one another every second or two, an outage once in a session.
RENEWED_AT_MOST = 2
RENEWED_WITHIN_S = 2 * SESSION_TIMEOUT_MS / 1000


def is_of_no_use(error: KafkaError | None) -> bool:
    """Return whether the client that gave this error can do nothing any more."""
    return error is not None and (error.code() == KafkaError._FATAL or error.fatal())


class Renewals:
    """Counts how often a member of a group took its place again.

    Args:
        group, instance: Whose place it is.
        clock: Monotonic seconds.
    """

    def __init__(self, group: str, instance: str, clock: Callable[[], float]) -> None:
        self._whose = f"instance {instance} of group {group}"
        self._clock = clock
        self._taken: list[float] = []

    def note(self) -> None:
        """Note one more.

        Raises:
            InvariantError: They are too many for an outage.
        """
        now = self._clock()
        self._taken = [at for at in self._taken if now - at < RENEWED_WITHIN_S]
        if len(self._taken) >= RENEWED_AT_MOST:
            msg = (
                f"{self._whose} must belong to one worker, another takes its place again and "
                "again; give every instance its own --instance"
            )
            raise InvariantError(msg)
        self._taken.append(now)

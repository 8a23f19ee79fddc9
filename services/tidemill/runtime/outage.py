"""Trouble that lasts: a cluster that is away, and refusals that may pass."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from tidemill.runtime.failures import check_callback_error, is_doubtful, refused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tidemill.runtime.clients import KafkaError

# A call times out after five seconds: the second one in a row is told.
AWAY_AFTER_S = 5.0
# Failed calls further apart than this belong to different outages.
APART_S = 20.0
# A broker that goes down breaks handshakes off; librdkafka tells the same error every 30 s.
REFUSED_FOR_S = 30.0
DOUBTS_APART_S = 90.0


class Waiting(Protocol):
    """Hears of outages; part of every observer."""

    def away(self, why: str) -> None:
        """The cluster has not done for seconds what it was asked; it is asked again and again."""

    def back(self, seconds: float) -> None:
        """The cluster does what it is asked, after so many seconds."""


class Outage:
    """Tells once when calls have been repeated for seconds, and once when one came through.

    Args:
        observer: Is told.
        clock: Monotonic seconds.
    """

    def __init__(self, observer: Waiting, clock: Callable[[], float]) -> None:
        self._observer = observer
        self._clock = clock
        self._since: float | None = None
        self._last = 0.0
        self._is_told = False

    def failed(self, why: str) -> None:
        """Note that a call failed and will be repeated."""
        now = self._clock()
        if self._since is None or (now - self._last > APART_S and not self._is_told):
            self._since = now
        self._last = now
        if not self._is_told and now - self._since >= AWAY_AFTER_S:
            self._is_told = True
            self._observer.away(why)

    def passed(self) -> None:
        """Note that the cluster did what it was asked."""
        if self._is_told and self._since is not None:
            self._observer.back(self._clock() - self._since)
        self._since = None
        self._is_told = False


class Doubts:
    """Errors that only callbacks saw: those that may be an outage's halt only if they last.

    Args:
        clock: Monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._since: float | None = None
        self._last = 0.0

    def look(self, errors: Iterable[KafkaError]) -> None:
        """Hold that none of the errors is one to halt on.

        Raises:
            InvariantError: One is, or the cluster has not accepted us for too long.
        """
        for error in errors:
            check_callback_error(error)
            if is_doubtful(error):
                self._note(error)

    def _note(self, error: KafkaError) -> None:
        now = self._clock()
        if self._since is None or now - self._last > DOUBTS_APART_S:
            self._since = now
        self._last = now
        if now - self._since >= REFUSED_FOR_S:
            raise refused(error)

    def passed(self) -> None:
        """Note that the cluster did what it was asked."""
        self._since = None

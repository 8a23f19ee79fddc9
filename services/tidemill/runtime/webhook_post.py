"""One alarm as a request: what is posted, and what an answer means."""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.request
from datetime import UTC, datetime
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, NamedTuple

from tidemill.contracts.codec import codec

if TYPE_CHECKING:
    from tidemill.kernel.records import Message

TIMEOUT_S = 10.0
# Of what is refused, that which another time may not be.
_LATER = frozenset({408, 409, 425, 429})


class Answer(Enum):
    """What became of a request.

    `AWAY` is nobody there, whatever the alarm; `FAILED` may be the alarm's fault, and one that
    failed too often is `PASSED_OVER`.
    """

    TAKEN = auto()
    REFUSED = auto()
    AWAY = auto()
    FAILED = auto()
    PASSED_OVER = auto()


class Posting(NamedTuple):
    """One request; whoever takes it twice knows that by its key."""

    key: str
    body: bytes


def posting_of(message: Message) -> Posting:
    """Return the request that tells an alarm.

    Raises:
        InvalidRecordError: The record is no alarm.
    """
    alarm = codec("Alarm").decode(message.value)
    document: dict[str, Any] = {  # Any: JSON
        **alarm,
        "since": _moment(alarm["since"]),
        "until": None if alarm["until"] is None else _moment(alarm["until"]),
    }
    body = json.dumps(document, allow_nan=False, separators=(",", ":")).encode()
    return Posting(f"{alarm['alarm_id']}-{alarm['revision']}", body)


def _moment(us: int) -> str:
    return datetime.fromtimestamp(us / 1_000_000, UTC).isoformat()


def meaning_of(status: int) -> Answer:
    """Return what an HTTP status means."""
    if 200 <= status < 300:
        return Answer.TAKEN
    return Answer.REFUSED if 300 <= status < 500 and status not in _LATER else Answer.FAILED


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Follows nothing: a request that was moved would lose its body."""

    def redirect_request(self, *_: Any, **__: Any) -> None:  # Any: urllib's
        """Return nothing to follow."""


def post(url: str, posting: Posting) -> tuple[Answer, str]:
    """Post once; return what became of it, and why in words without the address."""
    request = urllib.request.Request(  # noqa: S310 - its settings hold it to http and https
        url,
        posting.body,
        {"Content-Type": "application/json", "Idempotency-Key": posting.key},
        method="POST",
    )
    opener = urllib.request.build_opener(_NoRedirect)
    try:
        with opener.open(request, timeout=TIMEOUT_S) as response:
            return meaning_of(response.status), f"HTTP {response.status}"
    except urllib.error.HTTPError as error:
        with error:
            return meaning_of(error.code), f"HTTP {error.code}"
    except urllib.error.URLError as error:
        return Answer.AWAY, type(error.reason).__name__
    except (OSError, http.client.HTTPException) as error:  # it was sent, and not answered
        return Answer.FAILED, type(error).__name__

"""One dead letter as a replay sees it: where it came from, and what it was before it was one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from tidemill.kernel.deadletters import REASON_HEADER
from tidemill.kernel.errors import ConfigError
from tidemill.kernel.records import Position
from tidemill.runtime.dead_letters import UNSAID
from tidemill.runtime.json_lines import text_or_hex

if TYPE_CHECKING:
    from tidemill.kernel.records import Headers, Message

REPLAYED_FROM = "tidemill.replayed.from"
REPLAYS = "tidemill.replays"

_ERROR = "__streams.errors."
_TOPIC, _PARTITION, _OFFSET = (_ERROR + name for name in ("topic", "partition", "offset"))
_ADDED = (
    *(_ERROR + name for name in ("exception", "message", "stacktrace")),
    *(_TOPIC, _PARTITION, _OFFSET, "tidemill.processor", REASON_HEADER),
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Letter(NamedTuple):
    """One dead letter.

    Attributes:
        source: Where the record stood; None where the headers do not say.
        replays: How often it was replayed before it came here: 0 for a record of the plant.
    """

    message: Message
    reason: str
    source: Position | None
    replays: int

    def replay_headers(self) -> Headers:
        """Return the original headers, and where they come from."""
        kept = without_last(self.message.headers, _ADDED)
        lineage = (
            (REPLAYED_FROM, str(self.message.position).encode()),
            (REPLAYS, str(self.replays + 1).encode()),
        )
        return (*(each for each in kept if each[0] not in {REPLAYED_FROM, REPLAYS}), *lineage)


def read_letter(message: Message) -> Letter:
    """Return the dead letter in `message`; where a header stands twice, the last is the error's."""
    headers = dict(message.headers)
    reason = headers.get(REASON_HEADER)
    count = headers.get(REPLAYS, b"")
    replays = int(count) if count.isdigit() else int(REPLAYED_FROM in headers)
    said = UNSAID if reason is None else reason.decode(errors="replace")
    return Letter(message, said, _source(headers), replays)


def replayed_position(headers: Headers) -> Position | None:
    """Return the dead letter that a record was replayed from, or None."""
    text = text_or_hex(dict(headers).get(REPLAYED_FROM))
    place, at, offset = (text or "").rpartition("@")
    topic, dash, partition = place.rpartition("-")
    if not (at and dash and _is_number(partition) and _is_number(offset)):
        return None
    return Position(topic, int(partition), int(offset))


def without_last(headers: Headers, names: tuple[str, ...]) -> Headers:
    """Return headers without the last one of each name: earlier ones were there before."""
    last = {name: number for number, (name, _) in enumerate(headers) if name in names}
    return tuple(each for number, each in enumerate(headers) if last.get(each[0]) != number)


def _source(headers: dict[str, bytes]) -> Position | None:
    topic, partition, offset = (
        text_or_hex(headers.get(name)) for name in (_TOPIC, _PARTITION, _OFFSET)
    )
    if topic is None or not (_is_number(partition) and _is_number(offset)):
        return None
    return Position(topic, int(partition or 0), int(offset or 0))


def _is_number(text: str | None) -> bool:
    return text is not None and text.isascii() and text.isdigit()


@dataclass(frozen=True, slots=True)
class Bound:
    """One end of a span of dead letters: an offset, or a time in milliseconds since 1970."""

    offset: int | None = None
    time_ms: int | None = None

    def is_after(self, message: Message) -> bool:
        """Return whether a message lies before this bound, itself excluded."""
        if self.offset is not None:
            return message.offset < self.offset
        return self.time_ms is not None and message.timestamp_ms < self.time_ms

    def is_before(self, message: Message) -> bool:
        """Return whether a message lies beyond this bound: an offset is included, a time not."""
        if self.offset is not None:
            return message.offset > self.offset
        return self.time_ms is not None and message.timestamp_ms >= self.time_ms


OPEN = Bound()


def parse_bound(option: str, text: str | None) -> Bound:
    """Return the bound in `text`: an offset of the dead-letter topic, or an ISO 8601 time.

    Raises:
        ConfigError: Neither.
    """
    if text is None:
        return OPEN
    if _is_number(text):
        return Bound(offset=int(text))
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        msg = f"{option}: must be an offset or an ISO 8601 time, was {text!r}"
        raise ConfigError([msg]) from error
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return Bound(time_ms=(aware - _EPOCH) // timedelta(milliseconds=1))


@dataclass(frozen=True, slots=True)
class Choice:
    """Which dead letters are meant; what is left out chooses all."""

    reason: str | None = None
    asset: str | None = None
    partition: int | None = None
    first: Bound = OPEN
    last: Bound = OPEN

    def takes(self, letter: Letter, asset: str | None) -> bool:
        """Return whether a letter is meant; `asset` is what its record names, where it is read."""
        message = letter.message
        if self.reason not in {None, letter.reason}:
            return False
        if self.asset is not None and self.asset not in {text_or_hex(message.key), asset}:
            return False
        return not (self.first.is_after(message) or self.last.is_before(message))

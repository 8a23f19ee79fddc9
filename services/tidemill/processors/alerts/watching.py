"""What time makes of conditions: silence, bursts that are over, shelves that end."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tidemill.contracts.topics import PREDICTIONS, RECEIPTS
from tidemill.kernel.deadletters import SUFFIX
from tidemill.kernel.errors import DeadLetterReason, InvalidRecordError
from tidemill.processors.alerts.limits import STEPS
from tidemill.processors.alerts.meeting import (
    DRIFT,
    EVERYTHING,
    HEARTBEAT,
    LETTERS,
    REFUSALS,
    SILENCE,
)
from tidemill.processors.alerts.standing import Standing, signalled
from tidemill.processors.alerts.states import GONE, NORMAL, Signal, State

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from tidemill.processors.alerts.book import Book
    from tidemill.processors.alerts.limits import Limits
    from tidemill.processors.alerts.standing import At

ALL_SILENT = f"{SILENCE}|{EVERYTHING}"
MOST_NAMED = 5


@dataclass(frozen=True, slots=True)
class Tick:
    """That time passed.

    Attributes:
        at: By Kafka's time.
        lag: Offsets that were not read yet, by topic; None where that was not known.
        looked_ms: When that was looked at; it may have been written much later.
        heard_ms: Up to when predictions were read by then.
    """

    at: At
    lag: Mapping[str, int | None]
    looked_ms: int
    heard_ms: int

    def is_read(self, topic: str) -> bool:
        """Return whether a topic was read to its end."""
        return self.lag.get(topic) == 0

    @property
    def read_ms(self) -> int:
        """Up to when nothing more came of topics that were read to their end."""
        return min(self.at.ms, self.looked_ms)

    @property
    def silent_ms(self) -> int:
        """Up to when it is known that nothing more came of an asset.

        Not later than the tick: one that is decided again after a crash has more read than then.
        """
        return self.read_ms if self.is_read(PREDICTIONS) else min(self.heard_ms, self.at.ms)


def tick_of(value: bytes | None, at: At, heard_ms: int) -> Tick:
    """Return what a record of the clock says.

    Raises:
        InvalidRecordError: It was not written by a worker.
    """
    try:
        said = json.loads(value or b"")
        return Tick(at, dict(said["lag"]), int(said["looked"]), heard_ms)
    except (ValueError, TypeError, KeyError) as error:
        msg = "a tick must say what was yet to be read, and when that was looked at"
        raise InvalidRecordError(DeadLetterReason.UNDECODABLE, msg) from error


@dataclass(frozen=True, slots=True)
class Silent:
    """A watched asset of which nothing has come for too long.

    Attributes:
        last_ms: When it was last heard of, as far as is known.
        due_ms: From when on it was silent.
        is_sure: Whether it is silent even if it was heard of later, and that is not written.
    """

    standing: Standing
    last_ms: int
    due_ms: int
    is_sure: bool

    @property
    def is_told(self) -> bool:
        """Whether it has an alarm of its own."""
        return self.standing.phase.is_active


def silences(
    book: Book, tick: Tick, allowed: Mapping[str, int], limits: Limits
) -> Iterator[Standing]:
    """Yield what silence makes of conditions: many assets within minutes are one of them."""
    together = book.get(ALL_SILENT) or Standing(ALL_SILENT, SILENCE)
    # Who was silent by then is so still, unless heard of, though less may be read by now.
    known_ms = max(tick.silent_ms, together.last_ms if together.phase.is_active else 0)
    found = list(_silent(book, known_ms, allowed))
    silent = [each for each in found if known_ms - each.last_ms < limits.given_up_ms]
    lost = [each.standing for each in found if known_ms - each.last_ms >= limits.given_up_ms]
    if lost:
        yield from _given_up(book, {(each.stream, each.asset) for each in lost}, tick)
    due = [each for each in silent if each.is_sure and not each.is_told]
    recent = [s for s in silent if s.is_sure or s.is_told]
    recent = [s for s in recent if known_ms - s.due_ms < limits.within_ms]
    if together.phase.is_active and all(each.is_told for each in silent):
        yield from _signals(together, Signal.RETURNED, tick, note=together.note)
    elif together.phase.is_active or max(len(due), len(recent)) >= limits.together:
        yield from _of_all(together, due, known_ms, tick)
    else:
        for each in due:
            note = _nothing_from_one(each, known_ms, book)
            yield from _signals(each.standing, Signal.RAISED, tick, count=1, note=note, recent=())


def _given_up(
    book: Book, lost: AbstractSet[tuple[str | None, str | None]], tick: Tick
) -> Iterator[Standing]:
    """Yield the end of alarms of assets that do not come back, of drift that cannot end too."""
    for standing in list(book):
        is_theirs = standing.kind in {SILENCE, DRIFT} and (standing.stream, standing.asset) in lost
        if is_theirs and standing.phase != NORMAL:
            note = f"nothing from {standing.asset} for too long: it is watched no more"
            yield from _signals(standing, Signal.GIVEN_UP, tick, note=note, open=())


def _of_all(
    together: Standing, due: Sequence[Silent], known_ms: int, tick: Tick
) -> Iterator[Standing]:
    """Yield what assets without an alarm of their own make of the one of all."""
    is_joined = any(each.due_ms > together.last_ms for each in due)
    if due and (not together.phase.is_active or is_joined or len(due) > together.count):
        note = _nothing_from(due)
        yield from _signals(
            together, Signal.NEWS, tick, count=len(due), note=note, last_ms=known_ms
        )


def _signals(
    standing: Standing, signal: Signal, tick: Tick, **known: Any
) -> Iterator[Standing]:  # Any: fields of `Standing`
    changed = signalled(standing, signal, tick.at, **known)
    if changed is not None:
        yield changed


def _silent(book: Book, known_ms: int, allowed: Mapping[str, int]) -> Iterator[Silent]:
    """Yield who is silent; assets not met in this life may have been heard of later."""
    for remembered in list(book):
        limit_ms = allowed.get(remembered.stream or "")
        if remembered.kind != SILENCE or limit_ms is None:
            continue
        last_ms = book.last_ms(remembered)
        over_ms = known_ms - last_ms - limit_ms
        if over_ms >= 0:
            slack_ms = limit_ms // STEPS if book.met(remembered.name) is None else 0
            standing = book.get(remembered.name) or remembered
            yield Silent(standing, last_ms, last_ms + limit_ms, over_ms >= slack_ms)


def found_open(book: Book, tick: Tick) -> Iterator[Standing]:
    """Yield the alarms of episodes that were open when alerts first started."""
    for standing in list(book):
        if standing.open and standing.phase == NORMAL:
            count = len(standing.open)
            yield from _signals(standing, Signal.NEWS, tick, count=count, note=standing.note)


def unwatched(book: Book, tick: Tick, allowed: Mapping[str, int]) -> Iterator[Standing]:
    """Yield the end of alarms of assets whose silence is none any more, by the definition."""
    for standing in list(book):
        if _is_watch(standing) and standing.phase.is_active and standing.stream not in allowed:
            note = f"silence of {standing.asset} is an alarm no more, by the definition"
            yield from _signals(standing, Signal.GIVEN_UP, tick, note=note)


def _is_watch(standing: Standing) -> bool:
    """Return whether a condition is the silence of one asset."""
    return standing.kind == SILENCE and standing.name != ALL_SILENT


def _nothing_from_one(silent: Silent, known_ms: int, book: Book) -> str:
    met = book.met(silent.standing.name)
    minutes = (known_ms - silent.last_ms) / 60_000
    last = f", the last was event {met.event}" if met is not None and met.event else ""
    return f"nothing from asset {silent.standing.asset} for {minutes:.1f} min{last}"


def _nothing_from(silent: Sequence[Silent]) -> str:
    names = sorted(str(each.standing.asset) for each in silent)
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return f"nothing from {len(names)} assets: {', '.join(names[:MOST_NAMED])}{more}"


def endings(book: Book, tick: Tick, limits: Limits) -> Iterator[Standing]:
    """Yield conditions that time ends: shelves, bursts, what nobody acknowledges."""
    for remembered in list(book):
        if remembered.phase == NORMAL:
            continue
        standing = book.get(remembered.name) or remembered
        is_met = book.met(standing.name) is not None
        signal = _ending(standing, tick, limits, is_met=is_met)
        if signal is not None:
            yield from _signals(standing, signal, tick, note=standing.note)


def _ending(standing: Standing, tick: Tick, limits: Limits, *, is_met: bool) -> Signal | None:
    now_ms = tick.at.ms
    if standing.phase.state is State.SHELVED and (standing.until_ms or 0) <= now_ms:
        return Signal.UNSHELVED
    if standing.phase == GONE and now_ms - standing.since_ms >= limits.given_up_ms:
        return Signal.GIVEN_UP
    quiet_ms = _quiet_ms(standing, tick, limits, is_met=is_met)
    if standing.phase.is_active and quiet_ms and tick.read_ms - standing.last_ms >= quiet_ms:
        return Signal.RETURNED
    return None


def _quiet_ms(standing: Standing, tick: Tick, limits: Limits, *, is_met: bool) -> int:
    """Return after how long without another one a condition is over; 0 where that ends none.

    Of dead letters that were not met in this life later ones may have come than is written.
    """
    if standing.kind == LETTERS:
        topic = standing.name.partition("|")[2]
        is_read = all(tick.lag.get(each, 0) == 0 for each in (topic, topic + SUFFIX))
        slack_ms = 0 if is_met else limits.within_ms // STEPS
        return limits.within_ms + slack_ms if is_read else 0
    if standing.kind == REFUSALS:
        return limits.refusals_ms if tick.is_read(RECEIPTS) else 0
    return 0


def forgotten(book: Book, tick: Tick, allowed: Mapping[str, int], limits: Limits) -> list[str]:
    """Return the names of conditions that are over and need not be remembered."""
    found = []
    for standing in book:
        if standing.phase != NORMAL or standing.kind == HEARTBEAT or standing.open:
            continue
        is_watch = _is_watch(standing) and standing.stream in allowed
        kept_ms = limits.given_up_ms if is_watch else limits.kept_ms
        now_ms = tick.silent_ms if is_watch else tick.at.ms
        if now_ms - max(standing.since_ms, book.last_ms(standing)) >= kept_ms:
            found.append(standing.name)
    return found

"""What time makes of conditions: silence, bursts that are over, shelves that end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tidemill.contracts.topics import PREDICTIONS, RECEIPTS
from tidemill.kernel.deadletters import SUFFIX
from tidemill.processors.alerts.meeting import (
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

    from tidemill.processors.alerts.book import Book
    from tidemill.processors.alerts.limits import Limits
    from tidemill.processors.alerts.standing import At

ALL_SILENT = f"{SILENCE}|{EVERYTHING}"
# Of how long an asset may be silent: so much what is remembered of it may be older than it is.
STEPS = 4
MOST_NAMED = 5


@dataclass(frozen=True, slots=True)
class Tick:
    """That time passed.

    Attributes:
        at: By Kafka's time.
        lag: Offsets that were not read yet, by topic; None where that was not known.
        heard_ms: Up to when predictions were read by then.
    """

    at: At
    lag: Mapping[str, int | None]
    heard_ms: int

    def is_read(self, topic: str) -> bool:
        """Return whether a topic was read to its end."""
        return self.lag.get(topic) == 0

    @property
    def silent_ms(self) -> int:
        """Up to when it is known that nothing more came of an asset.

        Not later than the tick: one that is decided again after a crash has more read than then.
        """
        return self.at.ms if self.is_read(PREDICTIONS) else min(self.heard_ms, self.at.ms)


@dataclass(frozen=True, slots=True)
class Silent:
    """A watched asset of which nothing has come for too long, and since when, in ms."""

    standing: Standing
    last_ms: int


def silences(
    book: Book, tick: Tick, allowed: Mapping[str, int], limits: Limits
) -> Iterator[Standing]:
    """Yield what silence makes of conditions: many assets at once are one of them."""
    together = book.get(ALL_SILENT) or Standing(ALL_SILENT, SILENCE)
    found = list(_silent(book, tick, allowed, is_late=not together.phase.is_active))
    for each in found:
        if tick.silent_ms - each.last_ms >= limits.given_up_ms and each.standing.phase != NORMAL:
            note = f"nothing from {each.standing.asset} for too long: it is watched no more"
            changed = signalled(each.standing, Signal.GIVEN_UP, tick.at, note=note)
            if changed is not None:
                yield changed
    due = [
        each
        for each in found
        if not each.standing.phase.is_active and tick.silent_ms - each.last_ms < limits.given_up_ms
    ]
    if together.phase.is_active or len(due) >= limits.together:
        yield from _of_all(together, due, tick)
        return
    for each in due:
        note = _nothing_from([each], tick, book)
        changed = signalled(each.standing, Signal.RAISED, tick.at, count=1, note=note)
        if changed is not None:
            yield changed


def _of_all(together: Standing, due: Sequence[Silent], tick: Tick) -> Iterator[Standing]:
    changed: Standing | None = None
    if not due:
        changed = signalled(together, Signal.RETURNED, tick.at, note=together.note)
    elif not together.phase.is_active or len(due) > together.count:
        note = _nothing_from(due, tick, None)
        changed = signalled(together, Signal.NEWS, tick.at, count=len(due), note=note)
    if changed is not None:
        yield changed


def _silent(
    book: Book, tick: Tick, allowed: Mapping[str, int], *, is_late: bool
) -> Iterator[Silent]:
    """Yield who is silent; `is_late` gives assets not met in this life what may not be written."""
    for remembered in list(book):
        limit_ms = allowed.get(remembered.stream or "")
        if remembered.kind != SILENCE or limit_ms is None:
            continue
        met = book.met(remembered.name)
        last_ms = book.last_ms(remembered)
        slack_ms = limit_ms // STEPS if met is None and is_late else 0
        if tick.silent_ms - last_ms - slack_ms >= limit_ms:
            yield Silent(book.get(remembered.name) or remembered, last_ms)


def _nothing_from(silent: Sequence[Silent], tick: Tick, book: Book | None) -> str:
    if book is not None:
        (only,) = silent
        met = book.met(only.standing.name)
        minutes = (tick.silent_ms - only.last_ms) / 60_000
        last = f", the last was event {met.event}" if met is not None and met.event else ""
        return f"nothing from asset {only.standing.asset} for {minutes:.1f} min{last}"
    names = sorted(str(each.standing.asset) for each in silent)
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return f"nothing from {len(names)} assets: {', '.join(names[:MOST_NAMED])}{more}"


def endings(book: Book, tick: Tick, limits: Limits) -> Iterator[Standing]:
    """Yield conditions that time ends: shelves, bursts, what nobody acknowledges."""
    for remembered in list(book):
        if remembered.phase == NORMAL:
            continue
        standing = book.get(remembered.name) or remembered
        signal = _ending(standing, tick, limits)
        if signal is not None:
            changed = signalled(standing, signal, tick.at, note=standing.note)
            if changed is not None:
                yield changed


def _ending(standing: Standing, tick: Tick, limits: Limits) -> Signal | None:
    now_ms = tick.at.ms
    if standing.phase.state is State.SHELVED and (standing.until_ms or 0) <= now_ms:
        return Signal.UNSHELVED
    if standing.phase == GONE and now_ms - standing.since_ms >= limits.given_up_ms:
        return Signal.GIVEN_UP
    quiet_ms = _quiet_ms(standing, tick, limits)
    if standing.phase.is_active and quiet_ms and now_ms - standing.last_ms >= quiet_ms:
        return Signal.RETURNED
    return None


def _quiet_ms(standing: Standing, tick: Tick, limits: Limits) -> int:
    """Return after how long without another one a condition is over; 0 where that ends none."""
    if standing.kind == LETTERS:
        topic = standing.name.partition("|")[2]
        is_read = all(tick.lag.get(each, 0) == 0 for each in (topic, topic + SUFFIX))
        return limits.within_ms if is_read else 0
    if standing.kind == REFUSALS:
        return limits.refusals_ms if tick.is_read(RECEIPTS) else 0
    return 0


def forgotten(book: Book, tick: Tick, limits: Limits) -> list[str]:
    """Return the names of conditions that are over and need not be remembered."""
    found = []
    for standing in book:
        if standing.phase != NORMAL or standing.kind == HEARTBEAT:
            continue
        is_watch = standing.kind == SILENCE and standing.name != ALL_SILENT
        kept_ms = limits.given_up_ms if is_watch else limits.kept_ms
        now_ms = tick.silent_ms if is_watch else tick.at.ms
        if now_ms - max(standing.since_ms, book.last_ms(standing)) >= kept_ms:
            found.append(standing.name)
    return found

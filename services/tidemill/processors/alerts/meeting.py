"""What one record makes of the condition that it is about."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tidemill.kernel.deadletters import REASON_HEADER, SUFFIX
from tidemill.processors.alerts.limits import STEPS
from tidemill.processors.alerts.standing import MOST_NOTED, Standing, signalled
from tidemill.processors.alerts.states import NORMAL, Signal, State

if TYPE_CHECKING:
    from tidemill.kernel.records import Message
    from tidemill.processors.alerts.book import Book
    from tidemill.processors.alerts.limits import Limits
    from tidemill.processors.alerts.standing import At

Record = dict[str, Any]  # Any: the values of an Avro record

DRIFT, SILENCE, LETTERS, REFUSALS = "DRIFT", "SILENCE", "DEAD_LETTERS", "REFUSED"
HEARTBEAT = "HEARTBEAT"
EVERYTHING = "*"
# Of an asset with many sensors; an episode that is not remembered does not hold its alarm.
MOST_OPEN = 2_000


def on_drift(book: Book, drift: Record, at: At) -> Standing | None:
    """Return what a change of a drift episode makes of its condition: asset, stream and kind.

    Before the first heartbeat nothing is told: what was over when alerts first started is no alarm.
    """
    asset, stream, kind = drift["asset"], drift["stream"], drift["kind"]
    name = f"{DRIFT}|{stream}|{kind}|{asset}"
    standing = book.get(name) or Standing(name, DRIFT, asset, stream)
    episode, signal, status = drift["drift_id"], drift["signal"], drift["status"]
    others = tuple(each for each in standing.open if each[0] != episode)
    is_past = book.written(HEARTBEAT) is None
    if status == "OPEN" and is_past:
        opened = (*others, (episode, signal))[-MOST_OPEN:]
        return standing.noted(at, open=opened, note=_drifted(drift)[:MOST_NOTED], last_ms=at.ms)
    if status == "OPEN":
        is_news = signal not in {its_signal for _, its_signal in standing.open}
        return signalled(
            standing,
            Signal.NEWS if is_news else Signal.RAISED,
            at,
            open=(*others, (episode, signal))[-MOST_OPEN:],
            count=_count(standing) + (episode not in {known for known, _ in standing.open}),
            note=_drifted(drift),
            last_ms=at.ms,
        )
    if len(others) == len(standing.open):
        return None
    if others or is_past:
        return standing.noted(at, open=others)
    note = f"{status.lower()}: {_drifted(drift)}"
    return signalled(standing, Signal.RETURNED, at, open=(), note=note, last_ms=at.ms)


def _drifted(drift: Record) -> str:
    started = datetime.fromtimestamp(drift["started"] // 1_000_000, UTC).isoformat()
    first = ", ".join(each["signal"] for each in drift["ranked"][:3])
    what = f"{drift['kind'].lower()} {drift['signal']}".rstrip()
    return (
        f"{what} of {drift['asset']} moved by "
        f"{drift['effect']:.2g} sd from {started} on, episode {drift['drift_id']}"
        + (f"; first {first}" if first else "")
    )


def on_letter(book: Book, message: Message, at: At, limits: Limits) -> Standing | None:
    """Return what a dead letter, or a record that cannot be read, makes of its topic's condition.

    Of a burst that is known only a doubling is told; None where nothing need be remembered.
    """
    source = message.topic.removesuffix(SUFFIX)
    name = f"{LETTERS}|{source}"
    if book.is_done(name, at):
        return None
    standing = book.get(name) or Standing(name, LETTERS)
    book.meet(name, at)
    reason = dict(message.headers).get(REASON_HEADER, b"unreadable").decode(errors="replace")
    if standing.phase.is_active:
        return _more_letters(book, standing, at, limits)
    recent = (*(ms for ms in standing.recent if at.ms - ms < limits.within_ms), at.ms)
    if len(recent) < limits.burst:
        return standing.noted(at, recent=recent, last_ms=at.ms)
    note = f"{len(recent)} records of {source} set aside within {limits.within_ms / 60_000:g} min"
    return signalled(
        standing,
        Signal.RAISED,
        at,
        recent=(),
        count=_count(standing) + len(recent),
        note=f"{note}, the last one for {reason}: {message.position}",
        last_ms=at.ms,
    )


def _more_letters(book: Book, standing: Standing, at: At, limits: Limits) -> Standing | None:
    """Return what one more makes of a burst; None where that is remembered in this life only."""
    count, last_ms = standing.count + 1, max(at.ms, standing.last_ms)
    if count >= 2 * standing.announced and standing.phase.state is not State.SHELVED:
        return signalled(standing, Signal.RAISED, at, count=count, last_ms=last_ms)
    written = book.written(standing.name)
    if written is not None and at.ms - written.last_ms < limits.within_ms // STEPS:
        book.meet(standing.name, at, more=1)
        return None
    return standing.noted(at, count=count, last_ms=last_ms)


def on_return(book: Book, before: Standing, at: At, limit_ms: int) -> Standing | None:
    """Return what a prediction makes of the alarm that nothing came of its asset.

    It is over once the asset was heard of for as long as it may be silent, and was not meanwhile:
    one that reports just about as rarely as it may is one alarm, not one after the other.

    Args:
        before: As it stood before this prediction.
        limit_ms: How long the asset may be silent.
    """
    standing, written = book.get(before.name) or before, book.written(before.name) or before
    is_heard = bool(before.recent) and at.ms - before.last_ms < limit_ms
    since_ms = before.recent[0] if is_heard else at.ms
    if at.ms - since_ms >= limit_ms:
        note = f"heard from asset {before.asset} again"
        return signalled(standing, Signal.RETURNED, at, note=note, recent=(), last_ms=at.ms)
    if is_heard and at.ms - written.last_ms < limit_ms // STEPS:
        return None
    return standing.noted(at, recent=(since_ms,), last_ms=max(at.ms, standing.last_ms))


def on_refusal(book: Book, receipt: Record, at: At, limits: Limits) -> Standing | None:
    """Return what a refused feedback makes of the condition of its asset."""
    asset = receipt["asset"]
    name = f"{REFUSALS}|{asset}"
    if len(book) >= limits.most and book.get(name) is None:
        asset, name = None, f"{REFUSALS}|{EVERYTHING}"
    standing = book.get(name) or Standing(name, REFUSALS, asset, receipt["stream"])
    note = f"{receipt['kind']} of {receipt['actor']} refused: {receipt['reason']}"
    return signalled(
        standing, Signal.RAISED, at, count=_count(standing) + 1, note=note, last_ms=at.ms
    )


def on_word(book: Book, said: Record, at: At, limits: Limits) -> Standing | None:
    """Return what a person's word makes of an alarm; None where there is no such alarm now."""
    wanted = said["target_id"]
    standing = next((each for each in book if each.alarm_id and each.alarm_id == wanted), None)
    if standing is None or not said["actor"] or standing.kind == HEARTBEAT:
        return None
    standing = book.get(standing.name) or standing
    known = {"actor": said["actor"], "note": said["comment"] or standing.note}
    if said["kind"] == "ACKNOWLEDGE":
        return signalled(standing, Signal.ACKNOWLEDGED, at, **known)
    if said["until"] is None:
        return None
    until_ms = min(said["until"] // 1000, at.ms + limits.longest_shelf_ms)
    if until_ms <= at.ms:
        return signalled(standing, Signal.UNSHELVED, at, **known)
    return signalled(standing, Signal.SHELVED, at, until_ms=until_ms, **known)


def _count(standing: Standing) -> int:
    """Return what a condition rested on before; from normal it begins anew."""
    return 0 if standing.phase == NORMAL else standing.count

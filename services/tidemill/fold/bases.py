"""From which state a model is folded again: an older one that no correction concerns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from tidemill.contracts.topics import EVENTS, LEDGER, UPDATES
from tidemill.fold.beginning import Beginnings
from tidemill.fold.concerning import Concerned
from tidemill.fold.ledger_log import read_entry
from tidemill.fold.swapping import Why
from tidemill.kernel.errors import MeshError
from tidemill.kernel.reports import WhyCompensated
from tidemill.models.outline import read_outline

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Sequence

    from tidemill.fold.anchors import Anchor, Anchors
    from tidemill.fold.editing import Correction, Editing
    from tidemill.fold.shelf import Restored
    from tidemill.fold.tracked import Tracked
    from tidemill.kernel.processor import Log
    from tidemill.models.controls import Edit, Pending
    from tidemill.models.outline import Outline
    from tidemill.models.state import Blueprint, ModelKey


# So many anchors are looked at that are of other definitions, altered, or in a veto's window.
MOST_REFUSED = 64

UNKNOWN = -1


class NoBaseError(MeshError):
    """There is no state from which a model can be folded again; says why."""

    def __init__(self, words: str, kind: WhyCompensated = WhyCompensated.NO_BASE) -> None:
        super().__init__(words)
        self.why = Why(kind, words)


@dataclass(frozen=True, slots=True)
class Ask:
    """A model that is to be folded again.

    Attributes:
        asked: Its corrections, pending and in force.
        version: Where it stands now.
        seen: Events in its asset's recent past.
        floor: The ledger entry before which no base may stand.
        is_heir: Whether it may have begun as others were: then never at nothing.
    """

    key: ModelKey
    blueprint: Blueprint
    asked: tuple[Pending | Edit, ...]
    version: int
    seen: int
    floor: int = -1
    is_heir: bool = False

    @classmethod
    def of(cls, tracked: Tracked, pending: Iterable[Pending], *, is_heir: bool) -> Ask:
        """Return that a model is to be folded again with some of what waits for it."""
        state = tracked.state
        return cls(
            tracked.key,
            tracked.blueprint,
            (*state.decided.edits, *pending),
            state.version,
            state.recent.count,
            state.decided.floor,
            is_heir,
        )


class Base(NamedTuple):
    """A state and the ledger entry that it stands after; None is nothing, before it began."""

    sequence: int
    restored: Restored | None


class Need(NamedTuple):
    """What a correction asks of a base, unless it was in force by then.

    Attributes:
        swapped: Ledger entry from which on it was in force.
        first: Offset of the first update it concerns; the base stands before it. `UNKNOWN`: only a
            state by which it was in force will do.
        seen: The base has seen fewer events.
        before_us: The base has seen none of a later event time.
    """

    swapped: int | None
    first: int | None
    seen: int | None
    before_us: int | None = None

    def allows(self, anchor: Anchor) -> bool:
        """Return whether an anchor may do, as far as can be told before its state is read."""
        if self.swapped is not None and self.swapped <= anchor.sequence:
            return True
        return self.first is None or anchor.positions.get(UPDATES, 0) <= self.first

    def allows_seen(self, sequence: int, outline: Outline) -> bool:
        """Return whether a base after an entry, with that much of the events seen, may do."""
        if self.swapped is not None and self.swapped <= sequence:
            return True
        if self.before_us is not None and outline.newest_us > self.before_us:
            return False
        return self.seen is None or outline.seen < self.seen


@dataclass(slots=True)
class _Bound:
    """Behind what an anchor cannot be a base.

    Attributes:
        sequence: The last ledger entry that it may stand after.
        updates: It stands before this offset of the updates.
        offset: Of an anchor that was refused.
    """

    sequence: int | None = None
    updates: int | None = None
    offset: int | None = None

    def is_beyond(self, anchor: Anchor) -> bool:
        """Return whether an anchor stands behind it; then all newer ones do."""
        is_behind = self.offset is not None and anchor.offset >= self.offset
        position = anchor.positions.get(UPDATES, 0)
        is_later = self.updates is not None and position > self.updates
        is_after = self.sequence is not None and anchor.sequence > self.sequence
        return is_behind or is_later or is_after


class Bases:
    """Chooses bases on one partition.

    Args:
        log: The topics.
        partition: The partition number.
        anchors: Where older states are found; None where only nothing will do.
        most: Lessons, or events of an asset from its beginning, that may be folded again.
    """

    def __init__(self, log: Log, partition: int, anchors: Anchors | None, most: int) -> None:
        self._log = log
        self._partition = partition
        self._anchors = anchors
        self._most = most

    def choose(self, ask: Ask, editing: Editing, tail: int) -> Generator[None, None, Base]:
        """Return the newest base for a model that stands at ledger entry `tail` or before.

        Raises:
            NoBaseError: There is none.
        """
        held = [e for e in editing.corrections if e.swapped is not None or e in editing.active]
        concerned = Concerned(self._log, self._partition, ask.key, held)
        yield from concerned.locate([each for each in held if each.swapped is None])
        while self._anchors is not None:
            unknown = [each for each in held if not concerned.knows(each)]
            if all(each.swapped is not None for each in unknown):
                needs = _needs(held, editing, concerned)
                base = yield from self._anchored(self._anchors, ask, needs, tail)
                if base is not None:
                    return base
            if not unknown or concerned.is_all:
                break
            if not concerned.is_soon_known(unknown) and not (
                yield from self._may_stand_before(self._anchors, ask, concerned.low)
            ):
                break
            yield from concerned.widen()
            yield from concerned.locate(unknown)
        if concerned.is_all and concerned.misses_any:
            msg = "what it concerns is not among the updates that are retained"
            raise NoBaseError(msg)
        return (yield from self._nothing(ask))

    def _may_stand_before(
        self, anchors: Anchors, ask: Ask, low: int
    ) -> Generator[None, None, bool]:
        """Return whether an anchor that may be a base stands before an offset of the updates."""
        anchor = yield from anchors.newest(ask.key, _Bound(updates=low).is_beyond)
        return anchor is not None and self._is_near(ask, anchor)

    def _is_near(self, ask: Ask, anchor: Anchor) -> bool:
        """Return whether an anchor, and perhaps older ones, are within reach."""
        return anchor.version >= ask.version - self._most and anchor.sequence >= ask.floor

    def _nothing(self, ask: Ask) -> Generator[None, None, Base]:
        """Return that a model is to be folded from its beginning, if it began at nothing.

        Raises:
            NoBaseError: It did not, or records are missing.
        """
        if ask.floor >= 0:
            msg = f"it lies before ledger entry {ask.floor}, whose corrections are no longer kept"
            raise NoBaseError(msg)
        if ask.is_heir:
            msg = "no older state of it is retained, and it did not begin at nothing"
            raise NoBaseError(msg)
        if ask.seen > self._most:
            msg = f"no state within {self._most:,} events before what it concerns is retained"
            raise NoBaseError(msg, WhyCompensated.ALLOWANCE)
        if (yield from self._has_all()):
            return Base(-1, None)
        first = yield from Beginnings(self._log, self._partition).find(ask.key)
        if first is None:
            msg = "no older state of it is retained, nor all records from its beginning"
            raise NoBaseError(msg)
        return Base(first - 1, None)

    def _anchored(
        self, anchors: Anchors, ask: Ask, needs: Sequence[Need], tail: int
    ) -> Generator[None, None, Base | None]:
        """Return the newest anchor that is a base; beyond some that are none, there is none."""
        bound = _Bound(tail)
        for _ in range(MOST_REFUSED + len(needs)):
            anchor = yield from anchors.newest(ask.key, bound.is_beyond)
            if anchor is None or not self._is_near(ask, anchor):
                return None
            bound.offset = anchor.offset
            refusing = [need.first for need in needs if not need.allows(anchor)]
            if refusing:
                # None of the older ones is after their corrections were put in force.
                bound.updates = min(first for first in refusing if first is not None)
                if bound.updates == UNKNOWN:
                    return None
                continue
            if anchor.state_digest != ask.blueprint.digest:
                continue
            restored = yield from anchors.load(ask.key, anchor)
            if restored is not None:
                outline = read_outline(restored.state)
                if all(need.allows_seen(anchor.sequence, outline) for need in needs):
                    return Base(anchor.sequence, restored)
        return None

    def _has_all(self) -> Generator[None, None, bool]:
        """Return whether ledger and inputs are retained from the beginning."""
        begin, end = self._log.span(LEDGER, self._partition)
        for messages in self._log.read(LEDGER, self._partition, begin, end):
            yield
            if messages:
                entry = read_entry(messages[0]).entry
                starts = entry.positions or {}
                return entry.sequence == 0 and all(
                    self._log.span(topic, self._partition)[0] <= starts.get(topic, 0)
                    for topic in (EVENTS, UPDATES)
                )
        return False


def _needs(held: Sequence[Correction], editing: Editing, concerned: Concerned) -> list[Need]:
    """Return what the corrections of a model ask of a base."""
    vetoes = {each.offset: each.start for each in held if each.kind == "VETO"}
    needs = []
    for each in held:
        if each.kind == "VETO":
            needs.append(Need(each.swapped, None, each.start))
            continue
        if each.kind == "HOLD":
            hold = editing.hold_at(each.offset)
            if hold is not None:  # what takes one back asks for a base before it
                needs.append(Need(each.swapped, None, None, hold.after_us))
            continue
        if each.end is not None:
            if each in editing.active:
                needs.append(Need(each.swapped, None, None, each.end[1]))
            continue
        offsets = concerned.offsets(each)
        starts = [vetoes[offset] for offset in offsets if offset in vetoes]
        # A label that was never learned before it was corrected is learned where that stands.
        own = each.offset if each.kind == "EXAMPLE" else None
        first = min((o for o in offsets if o not in vetoes), default=own)
        if not concerned.knows(each):
            first = UNKNOWN
        needs.append(Need(each.swapped, first, min(starts, default=None)))
    return needs

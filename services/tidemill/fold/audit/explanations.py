"""Explanations held against those that the models give when they are folded again."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from tidemill.contracts.explanation import source_of
from tidemill.contracts.topics import EVENTS, EXPLANATIONS
from tidemill.fold.audit.findings import Finding, Kind, Place
from tidemill.fold.explaining import Explaining

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tidemill.fold.ledger import Entry
    from tidemill.fold.seen import Seen
    from tidemill.kernel.processor import Log
    from tidemill.kernel.records import Emit, Message

_MUST = "an explanation must be what the model that predicted says of its prediction"


class _Stored(NamedTuple):
    """One explanation and the offset of its event; None where it cannot be read."""

    message: Message
    source: int | None


class ExplanationAudit:
    """Compares the explanations of one partition, event by event, as a replay passes them.

    What the explainer has not come to yet, and what it began after, is not missing.

    Attributes:
        witness: Explains what the replay predicts again.
        compared: Explanations held against what stands in the topic.
    """

    def __init__(self, log: Log, partition: int) -> None:
        self._log = log
        self._partition = partition
        begin, end = log.span(EXPLANATIONS, partition)
        self._batches: Iterator[list[Message]] = log.read(EXPLANATIONS, partition, begin, end)
        self._ready: deque[_Stored] = deque()
        self._first = self._next_source()
        self._last = _last_source(log, partition, begin, end)
        self._taken = -1
        self.witness = Explaining(choose=self._is_there)
        self.compared = 0

    def _is_there(self, seen: Seen, is_asked_for: bool) -> bool:
        """Return whether an event is one that the topic must explain."""
        return (
            is_asked_for
            and self._first is not None
            and (self._first <= seen.message.offset <= self._last)
        )

    def judge(self, entry: Entry, *, is_partial: bool) -> list[Finding]:
        """Return what differs in the explanations of one entry's events, and where."""
        made = self.witness.take()
        runs = [run for run in entry.runs if run.topic == EVENTS]
        if not runs or self._first is None:
            return []
        if self._taken < 0:
            self._taken = runs[0].first - 1
            self._pass_by(self._taken)
        stored = self._take(runs[-1].last)
        if is_partial:
            self._taken = max([self._taken, *(each.source or -1 for each in stored)])
            return []
        findings, once = [], []
        for each in stored:
            if each.source is None:
                found = "it cannot be read"
                findings.append(self._finding(entry, Kind.OUTPUT_ALTERED, each.message, found))
            elif each.source <= self._taken:
                found = f"{EVENTS}-{self._partition}@{each.source} is explained already"
                findings.append(self._finding(entry, Kind.OUTPUT_FOREIGN, each.message, found))
            else:
                self._taken = each.source
                once.append(each)
        return [*self._compare(entry, made, once), *findings]

    def _compare(self, entry: Entry, made: list[Emit], stored: list[_Stored]) -> list[Finding]:
        findings = []
        by_source = {each.source: each.message for each in stored}
        for emit in made:
            self.compared += 1
            source = source_of(emit.value)
            message = by_source.pop(source, None)
            if message is None:
                place = Place(EXPLANATIONS, self._partition, None, None)
                found = f"that of {EVENTS}-{self._partition}@{source} is not there"
                findings.append(Finding(Kind.OUTPUT_MISSING, place, entry.sequence, _MUST, found))
            elif message.value != emit.value:
                found = "the model says something else"
                findings.append(self._finding(entry, Kind.OUTPUT_ALTERED, message, found))
        for message in by_source.values():
            found = "no prediction asks for it"
            findings.append(self._finding(entry, Kind.OUTPUT_FOREIGN, message, found))
        return findings

    @staticmethod
    def _finding(entry: Entry, kind: Kind, message: Message, found: str) -> Finding:
        return Finding(kind, Place.of(message), entry.sequence, _MUST, found)

    def _pass_by(self, last: int) -> None:
        """Leave out the explanations of events up to an offset, and unreadable ones among them."""
        unread: list[_Stored] = []
        while self._fill():
            each = self._ready.popleft()
            if each.source is not None and each.source <= last:
                unread.clear()
                continue
            unread.append(each)
            if each.source is not None:
                break
        self._ready.extendleft(reversed(unread))

    def _take(self, last: int) -> list[_Stored]:
        """Return the explanations of events up to an offset."""
        taken: list[_Stored] = []
        while self._fill():
            source = self._ready[0].source
            if source is not None and source > last:
                break
            taken.append(self._ready.popleft())
        return taken

    def _next_source(self) -> int | None:
        """Return the first source that can be read; None if there is none."""
        while self._fill():
            known = [each.source for each in self._ready if each.source is not None]
            if known:
                return known[0]
            if not self._fill(more=True):
                return None
        return None

    def _fill(self, *, more: bool = False) -> bool:
        """Read on while nothing is ready, or once more; return whether something is."""
        while more or not self._ready:
            batch = next(self._batches, None)
            if batch is None:
                return bool(self._ready) and not more
            self._ready.extend(_Stored(message, source_of(message.value)) for message in batch)
            more = more and not batch
        return True


def _last_source(log: Log, partition: int, begin: int, end: int) -> int:
    """Return the highest source; -1 if there is none. Records may stand where none should."""
    last = -1
    for messages in log.read(EXPLANATIONS, partition, begin, end):
        for message in messages:
            source = source_of(message.value)
            last = max(last, -1 if source is None else source)
    return last

"""The inputs of each ledger entry, read once from front to back, and held against its runs."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tidemill.fold.audit.findings import Finding, Kind, Place
from tidemill.fold.ledger import InputDigest
from tidemill.fold.replica import SKIP

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tidemill.fold.ledger import Entry, Run
    from tidemill.kernel.processor import Log
    from tidemill.kernel.records import Message


@dataclass(frozen=True, slots=True)
class Applied:
    """What one entry applied.

    Attributes:
        runs: The records of each run, in the order of the entry.
        is_retained: Whether the inputs are still there; if not, `runs` is incomplete.
        is_complete: Whether the first and the last record of every run are there.
        findings: What contradicts the runs or their positions.
    """

    runs: tuple[tuple[Message, ...], ...]
    is_retained: bool
    is_complete: bool
    findings: tuple[Finding, ...]

    def digest(self) -> bytes:
        """Return the digest that the entry must carry."""
        digest = InputDigest()
        for run in self.runs:
            if run:
                digest.add(run)
        return digest.result()

    def of_topic(self, topic: str) -> list[Message]:
        """Return the records of one topic, in order."""
        return [m for run in self.runs for m in run if m.topic == topic]


class Track:
    """One input partition, read forward once."""

    def __init__(self, log: Log, topic: str, partition: int, start: int) -> None:
        self.begin, end = log.span(topic, partition)
        start = max(start, self.begin)
        self._batches: Iterator[list[Message]] = iter(())
        if start < end:
            self._batches = log.read(topic, partition, start, end)
        self._ready: deque[Message] = deque()

    def until(self, stop: int) -> list[Message]:
        """Return the records before offset `stop` that were not returned yet."""
        taken: list[Message] = []
        while True:
            while self._ready and self._ready[0].offset < stop:
                taken.append(self._ready.popleft())
            if self._ready:
                return taken
            batch = next(self._batches, None)
            if batch is None:
                return taken
            self._ready.extend(batch)


class Inputs:
    """All inputs of one partition."""

    def __init__(self, log: Log, partition: int) -> None:
        self._log = log
        self._partition = partition
        self._tracks: dict[str, Track] = {}
        self._next: dict[str, int] = {}

    def lose_the_thread(self) -> None:
        """Forget where the next run must begin: the entry in between cannot be relied on."""
        self._next.clear()

    def follow(self, entry: Entry) -> Applied:
        """Return what the next entry applied."""
        positions = dict(entry.positions or {})
        topics = dict.fromkeys([*positions, *(run.topic for run in entry.runs)])
        skipped = {a.detail.get("topic", "") for a in entry.actions if a.kind == SKIP}
        findings: list[Finding] = []
        records: dict[str, list[Message]] = {}
        is_retained = is_complete = True
        for topic in topics:
            runs = [run for run in entry.runs if run.topic == topic]
            stop = positions.get(topic, runs[-1].last + 1 if runs else 0)
            findings += self._order_findings(entry, topic, runs, stop)
            track = self._track(topic, runs, stop)
            records[topic] = track.until(stop)
            if any(run.first < track.begin for run in runs):
                is_retained = False
                continue
            if topic not in skipped:
                findings += self._stray_findings(entry, topic, runs, records[topic])
            lost = _lost(entry, self._partition, runs, records[topic])
            findings += lost
            is_complete = is_complete and not lost
        self._next.update(positions)
        applied = tuple(
            tuple(m for m in records[run.topic] if run.first <= m.offset <= run.last)
            for run in entry.runs
        )
        return Applied(applied, is_retained, is_complete, tuple(findings))

    def _track(self, topic: str, runs: list[Run], stop: int) -> Track:
        track = self._tracks.get(topic)
        if track is None:
            start = self._next.get(topic, runs[0].first if runs else stop)
            track = self._tracks[topic] = Track(self._log, topic, self._partition, start)
        return track

    def _order_findings(
        self, entry: Entry, topic: str, runs: list[Run], stop: int
    ) -> Iterator[Finding]:
        """Hold runs and the position after them against where the entry before ended."""
        at = self._next.get(topic, 0)
        for first, last in [*((run.first, run.last) for run in runs), (stop, stop)]:
            if at <= first <= last:
                at = last + 1
                continue
            place = Place(topic, self._partition, first, last)
            must = f"runs and positions must follow one another, here from offset {at} on"
            found = f"the entry says {first} to {last}"
            yield Finding(Kind.LEDGER_CONTRADICTS, place, entry.sequence, must, found)
            return

    def _stray_findings(
        self, entry: Entry, topic: str, runs: list[Run], records: list[Message]
    ) -> Iterator[Finding]:
        """Name records that no run has; none are expected before where the thread was found."""
        since = self._next.get(topic, runs[0].first if runs else None)
        for message in records:
            if since is None or message.offset < since:
                continue
            if not any(run.first <= message.offset <= run.last for run in runs):
                must = "every record before the entry's position must stand in a run"
                found = "it stands in none: it was never applied, or added later"
                place = Place.of(message)
                yield Finding(Kind.INPUT_UNAPPLIED, place, entry.sequence, must, found)


def _lost(entry: Entry, partition: int, runs: list[Run], records: list[Message]) -> list[Finding]:
    there = {message.offset for message in records}
    return [
        Finding(
            Kind.INPUT_MISSING,
            Place(run.topic, partition, offset, offset),
            entry.sequence,
            f"the run from {run.first} to {run.last} must be there",
            "no record stands at this offset",
        )
        for run in runs
        for offset in dict.fromkeys((run.first, run.last))
        if offset not in there
    ]

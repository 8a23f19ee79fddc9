"""Events judged by an asset's recent past: late, doubled, stuck, too fast; and filled in."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple

from tidemill.contracts.prediction import Quality
from tidemill.fold.derived import Derived, DerivedFeature
from tidemill.fold.gate import Checked
from tidemill.models.recent import Run, Waiting
from tidemill.models.refining import Stored

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tidemill.contracts.stream import Derivation, StreamDefinition
    from tidemill.models.recent import Recent

MICROS = 1_000_000
# Cases that may wait for a later reading; beyond it the oldest gets no label.
MOST_WAITING = 2_048


class Ahead(NamedTuple):
    """After how many events, or microseconds of event time, a case gets its label."""

    events: int | None
    micros: int | None


class Case(NamedTuple):
    """What a model learns: features, the label, and how often it counts.

    `stored` is what was said of it, and `delay` how many events ago, where that was before;
    `waited` is the case as it waited for its label.
    """

    x: dict[str, Any]  # Any: numbers and, for nominal features, strings
    y: Any  # Any: a label, see models.outputs; None where none is needed
    weight: float = 1.0
    stored: Stored | None = None
    delay: float = 0.0
    waited: Waiting | None = None


class Senses:
    """Judges the events of one stream, each by its own asset's recent past.

    An event with a fault is predicted, from imputed values, and flagged; it is never learned and
    leaves no trace in the recent past either: what comes of the others is the same with and
    without it.
    """

    def __init__(self, stream: StreamDefinition, ahead: Ahead | None) -> None:
        features = stream.sensors
        self._derived = [_derived(f.name, f.derived) for f in stream.features if f.derived]
        self._order = tuple(feature.name for feature in stream.features)
        self._names = tuple(feature.name for feature in features)
        self._required = tuple(feature.name for feature in features if feature.required)
        self._stuck = tuple((f.name, f.stuck_after) for f in features if f.stuck_after is not None)
        self._rates = tuple((f.name, f.rate / MICROS) for f in features if f.rate is not None)
        self._lateness_us = None if stream.lateness_s is None else int(stream.lateness_s * MICROS)
        self._remembered = stream.duplicates_within
        self._compared = stream.feedback.compare
        self._ahead = ahead

    @property
    def looks_ahead(self) -> bool:
        """Whether the label of an event is a later reading."""
        return self._ahead is not None

    def judge(
        self, recent: Recent, checked: Checked, time_us: int, event_id: str | None
    ) -> Checked:
        """Return what models may see of an event, and all that is wrong with it."""
        faults: set[Quality] | None = None
        late_us = self._lateness_us
        if late_us is not None and time_us < recent.watermark_us - late_us:
            faults = {Quality.LATE}
        if event_id in recent.ids:
            faults = {Quality.DUPLICATE, *(faults or ())}
        distrusted = (
            self._distrusted(recent, checked.x, time_us) if self._stuck or self._rates else None
        )
        if checked.is_learnable and faults is None and not distrusted:
            return checked
        return self._flagged(recent, checked, faults or set(), distrusted or {})

    def _distrusted(
        self,
        recent: Recent,
        x: dict[str, Any],
        time_us: int,  # Any: as in Case
    ) -> dict[str, Quality]:
        """Return the readings that stand still for too long, or change too fast to be true."""
        found: dict[str, Quality] = {}
        for name, longest in self._stuck:
            run = recent.runs.get(name)
            if run is not None and run.length + 1 >= longest and x.get(name) == run.value:
                found[name] = Quality.STUCK
        for name, per_us in self._rates:
            before = recent.moments_us.get(name)
            if before is None or name not in x:
                continue
            change = abs(x[name] - recent.readings[name])
            if change > per_us * max(abs(time_us - before), 1):
                found[name] = Quality.OUT_OF_RANGE
        return found

    def _flagged(
        self,
        recent: Recent,
        checked: Checked,
        faults: set[Quality],
        distrusted: dict[str, Quality],
    ) -> Checked:
        """Fill in what cannot be trusted from the recent past, in canonical order."""
        faults |= {*checked.quality, *distrusted.values()}
        lacking = {name for name in self._required if name not in checked.x}
        filled = {}
        for name in self._names:
            if name not in distrusted and name not in checked.withheld and name not in lacking:
                if name in checked.x:
                    filled[name] = checked.x[name]
                continue
            value = self._substitute(recent, name, distrusted.get(name))
            if value is not None:
                filled[name] = value
                faults.add(Quality.IMPUTED)
        return Checked(filled, tuple(sorted(faults)), is_learnable=False, withheld=checked.withheld)

    @staticmethod
    def _substitute(recent: Recent, name: str, why: Quality | None) -> Any:  # Any: as in Case
        """Return the last trusted reading; of a stuck sensor, the mean of them all."""
        run = recent.runs.get(name)
        if why is Quality.STUCK and run is not None:
            return run.mean
        return recent.readings.get(name)

    def derive(
        self,
        recent: Recent,
        judged: Checked,
        time_us: int,
    ) -> dict[str, Any]:  # Any: as in Case
        """Return features and those derived from recent readings, in canonical order.

        An event without a fault enters the windows; any other is given what stands.
        """
        if not self._derived:
            return judged.x
        windows = recent.windows
        if not isinstance(windows, Derived) or windows.features is not self._derived:
            kept = windows if isinstance(windows, tuple) else windows.dump()
            windows = recent.windows = Derived(self._derived)
            if kept:
                windows.load(kept)
        is_clean = judged.is_learnable
        found = windows.update(time_us, judged.x) if is_clean else windows.standing()
        every = {**judged.x, **found}
        return {name: every[name] for name in self._order if name in every}

    def remember(
        self,
        recent: Recent,
        x: dict[str, Any],
        time_us: int,
        event_id: str | None,  # Any: as above
    ) -> None:
        """Take an event without a fault into the recent past."""
        recent.count += 1
        if time_us > recent.watermark_us:
            if time_us > recent.newest_us:
                recent.watermark_us, recent.newest_us = recent.newest_us, time_us
            else:
                recent.watermark_us = time_us
        if recent.cases.maxlen != self._compared:
            recent.cases = deque(recent.cases, self._compared)
        recent.cases.append(x)
        if event_id is not None and self._remembered:
            ids = recent.ids
            ids[event_id] = None
            if len(ids) > self._remembered:
                del ids[next(iter(ids))]
        if len(x) == len(self._names) == len(self._order):
            recent.readings = x
        else:
            read = {name: x[name] for name in self._names if name in x}
            recent.readings = {**recent.readings, **read}
        if self._stuck or self._rates:
            self._time(recent, x, time_us)

    def _time(self, recent: Recent, x: dict[str, Any], time_us: int) -> None:  # Any: as above
        """Note how long sensors have stood still, and when those were read that change slowly."""
        for name, _ in self._stuck:
            if name in x:
                recent.runs[name] = _run(recent.runs.get(name), x[name])
        for name, _ in self._rates:
            if name in x:
                recent.moments_us[name] = time_us

    def ripe(self, recent: Recent, time_us: int, y: Any) -> Sequence[Case]:  # Any: as in Case
        """Return the cases whose label an event is, before it is remembered itself.

        Counted events end the wait even without a reading; a duration lasts until there is one.
        """
        ahead, waiting = self._ahead, recent.waiting
        if ahead is None or (y is None and ahead.events is None):
            return ()
        ended = []
        while waiting:
            case = waiting[0]
            if ahead.events is not None:
                is_due, is_lost = recent.count - case.number >= ahead.events, False
            else:
                assert ahead.micros is not None
                passed = time_us - case.time_us
                is_due, is_lost = passed >= ahead.micros, passed > 2 * ahead.micros
            if not is_due:
                break
            waiting.popleft()
            if y is not None and not is_lost:
                stored = None if case.stored is None else Stored.load(case.stored)
                delay = recent.count - case.number
                ended.append(Case(case.x, y, stored=stored, delay=delay, waited=case))
        return ended

    def wait(
        self,
        recent: Recent,
        x: dict[str, Any],  # Any: as in Case
        time_us: int,
        stored: Stored | None,
        *,
        named: tuple[str, int] = ("", 0),
    ) -> None:
        """Let a case that was remembered just now wait for its label.

        Args:
            stored: What the champion said of it.
            named: What its prediction is called, and the version of the model that made it.
        """
        if self._ahead is None:
            return
        kept = None if stored is None else stored.dump()
        recent.waiting.append(Waiting(recent.count - 1, time_us, x, kept, *named))
        if len(recent.waiting) > MOST_WAITING:
            recent.waiting.popleft()


def _derived(name: str, how: Derivation) -> DerivedFeature:
    duration_us = None if how.after_s is None else int(how.after_s * MICROS)
    return DerivedFeature(name, how.of, how.take, duration_us, how.events)


def _run(run: Run | None, value: float) -> Run:
    if run is None:
        return Run(value, 1, 1, value)
    readings = run.readings + 1
    length = run.length + 1 if value == run.value else 1
    return Run(value, length, readings, run.mean + (value - run.mean) / readings)

"""Episodes of one asset: what is told of them when they open, are answered and end."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from tidemill.detection.changes import Status
from tidemill.processors.drift.plans import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tidemill.detection.asset import AssetCheck
    from tidemill.detection.asset_changes import Change as AssetChange
    from tidemill.detection.changes import Change, Moments
    from tidemill.processors.drift.plans import Plan

# Sensors named in a record, at most.
MOST_RANKED = 20
# Episodes that say something of how often there are some.
ENOUGH = 4

Record = dict[str, Any]  # Any: the values of an Avro record


class Place(NamedTuple):
    """The record that brings a change: its topic, partition and offset, and event time."""

    topic: str
    partition: int
    offset: int
    time_us: int


@dataclass(frozen=True, slots=True)
class Said:
    """What one record led to: the index of that record, and a record to write.

    `is_update` tells an instruction to the models from a record of a drift.
    """

    index: int
    record: Record
    is_update: bool = False


@dataclass(slots=True)
class Episodes:
    """The episodes of an asset that are not over.

    Attributes:
        standing: The last record of each, by kind, number of the signal and, where nothing is
            promised of it, channel.
    """

    plan: Plan
    asset: str
    standing: dict[str, Record] = field(default_factory=dict)

    def turned(self, kind: Kind, change: Change, place: Place) -> Record | None:
        """Return the record of a signal's change of status."""
        key = f"{kind}|{change.signal}"
        if change.status in {Status.NOT_STATIONARY, Status.STATIONARY}:
            key = f"{key}|{change.channel}"
        after = _moments(change.after)
        if change.status in {Status.CLOSED, Status.STATIONARY}:
            more: Record = {"after": after} if change.after.n else {}
            return self.end(key, place.time_us, **more)
        name = self.plan.names[kind][change.signal]
        effect = _known(change.effect)
        started = place.time_us if math.isnan(change.started) else int(change.started)
        return self._open(
            key,
            place,
            kind=kind.value,
            signal=name,
            status=change.status.value,
            started=started,
            before=_moments(change.before),
            after=after,
            effect=effect,
            autocorrelation=change.autocorrelation,
            run_length=change.run_length,
            achieved_run_length=change.achieved,
            ranked=[{"signal": name, "effect": effect}] if change.status is Status.OPEN else [],
            channel=change.channel.value,
        )

    def opened(
        self, change: AssetChange, check: AssetCheck, place: Place, *, started: int
    ) -> Record:
        """Return the record of sensors that together left their reference, or have none."""
        names = self.plan.names[Kind.FEATURE]
        ranked = [
            {"signal": names[each.sensor], "effect": _known(each.effect)}
            for each in change.ranked[:MOST_RANKED]
        ]
        effect = ranked[0]["effect"] if ranked else 0.0
        since = 0 if change.started is None else change.event - change.started + 1
        enough = check.episodes >= ENOUGH
        achieved = check.watched / check.episodes if enough else None
        return self._open(
            Kind.MULTIVARIATE.value,
            place,
            kind=Kind.MULTIVARIATE.value,
            signal="",
            status=change.status,
            before={"n": check.settings.reference, "mean": 0.0, "sd": 1.0},
            after={"n": since, "mean": effect, "sd": math.nan},
            effect=effect,
            autocorrelation=math.nan,
            run_length=check.settings.run_length,
            achieved_run_length=achieved,
            ranked=ranked,
            channel=change.statistic or "",
            started=started,
        )

    def end(self, key: str, time_us: int, **more: Any) -> Record | None:  # Any: Avro values
        """Close an episode; None where there is none."""
        record = self.standing.pop(key, None)
        if record is None:
            return None
        return {**record, **more, "status": "CLOSED", "changed": time_us}

    def answer(self, key: str, status: str, time_us: int) -> Record:
        """Say how an episode was answered: a fault lasts until it is over, anything else ends."""
        record = {**self.standing.pop(key), "status": status, "changed": time_us}
        if status == "FAULT":
            self.standing[key] = record
        return record

    def end_all(
        self, kinds: tuple[Kind, ...], time_us: int, kept: frozenset[int]
    ) -> Iterator[Record]:
        """Close episodes of some kinds, but of kept sensors: their references are no more."""
        for key in [*self.standing]:
            kind, _, signal = key.partition("|")
            if kind not in kinds:
                continue
            if kind == Kind.FEATURE and int(signal.partition("|")[0]) in kept:
                continue
            record = self.end(key, time_us)
            assert record is not None
            yield record

    def find(self, drift_id: str) -> str | None:
        """Return the key of an episode that is not over."""
        for key, record in self.standing.items():
            if record["drift_id"] == drift_id:
                return key
        return None

    def _open(self, key: str, place: Place, **said: Any) -> Record:  # Any: Avro values
        about = (self.plan.stream.name, self.asset, key, said["status"], *place[:3])
        record: Record = {
            "drift_id": hashlib.sha256("|".join(map(str, about)).encode()).hexdigest()[:32],
            "asset": self.asset,
            "stream": self.plan.stream.name,
            "detected": place.time_us,
            "changed": place.time_us,
            "held": False,
            **said,
        }
        self.standing[key] = record
        return record


def _moments(moments: Moments) -> Record:
    return {"n": moments.n, "mean": moments.mean, "sd": moments.sd}


def _known(effect: float) -> float:
    return effect if math.isfinite(effect) else 0.0

"""What must hold of alarms, whatever was killed while they were told."""

from __future__ import annotations

import itertools
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from broker.alerts_mesh import undisturbed
from broker.feedback_mesh import PARTITIONS
from chaos.alarm_plant import BURST, attended
from chaos.balance import BrokenPromiseError
from tidemill.contracts.codec import codec
from tidemill.contracts.topics import ALARMS, DRIFT, PREDICTIONS, RECEIPTS
from tidemill.processors.alerts.states import NORMAL, Phase, Signal, State, after

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from broker.alerts_mesh import AlertsMesh
    from chaos.alarm_plant import Alarm

# A tick is written a moment after it was looked at how much is yet to be read.
LOOKED_MS = 2_000


class Told:
    """All that was told, by partition, each change once, in order.

    Attributes:
        changes: But for heartbeats.
        heartbeats: Their moments, in ms.
        records: With repetitions.
    """

    def __init__(self, mesh: AlertsMesh) -> None:
        self.changes: list[list[tuple[bytes, Alarm]]] = []
        self.heartbeats: list[list[int]] = []
        self.records = 0
        for part in mesh.read(ALARMS):
            values = [record.value or b"" for record in part]
            self.records += len(values)
            alarms = [(value, codec("Alarm").decode(value)) for value in dict.fromkeys(values)]
            is_beat = [alarm["kind"] == "HEARTBEAT" for _, alarm in alarms]
            beats = [a["since"] // 1000 for (_, a), one in zip(alarms, is_beat, strict=True) if one]
            self.heartbeats.append(beats)
            self.changes.append([a for a, one in zip(alarms, is_beat, strict=True) if not one])
            _check_names([alarm for _, alarm in alarms])

    def __len__(self) -> int:
        return sum(map(len, self.changes)) + sum(map(len, self.heartbeats))

    def of(self, kind: str) -> list[Alarm]:
        """Return the changes of alarms of one kind."""
        return [alarm for part in self.changes for _, alarm in part if alarm["kind"] == kind]

    @property
    def keys(self) -> list[list[str]]:
        """What the webhook must have been sent, by partition, in order."""
        return [[f"{a['alarm_id']}-{a['revision']}" for _, a in part] for part in self.changes]


def _check_names(alarms: Sequence[Alarm]) -> None:
    names = [(alarm["alarm_id"], alarm["revision"]) for alarm in alarms]
    _hold(len(set(names)) == len(names), "a change of an alarm must have one content", names)


def check_states(told: Told) -> int:
    """Hold that each alarm begins anew, misses no revision, and goes as ISA-18.2 allows.

    Returns:
        How many alarms there were.
    """
    by_alarm: dict[str, list[Alarm]] = defaultdict(list)
    for part in told.changes:
        for _, alarm in part:
            by_alarm[alarm["alarm_id"]].append(alarm)
    for name, changes in by_alarm.items():
        revisions = [change["revision"] for change in changes]
        _hold(revisions == list(range(len(changes))), f"{name} must miss no revision", revisions)
        phases = [NORMAL, *(Phase(State(c["state"]), c["active"]) for c in changes)]
        for before, then in itertools.pairwise(phases):
            allowed = {after(before, signal) for signal in Signal}
            _hold(then in allowed, f"{name} must go from {before} as it may", then)
    return len(by_alarm)


def check_undisturbed(mesh: AlertsMesh, told: Told) -> int:
    """Hold drift and refusals that nobody saw to against a processor that nothing disturbed.

    Returns:
        How many changes that were.
    """
    count = 0
    for partition in range(PARTITIONS):
        for topic in (DRIFT, RECEIPTS):
            alone = [
                (value, codec("Alarm").decode(value))
                for value in undisturbed(mesh, partition, topic)
            ]
            wanted = [value for value, a in alone if a["asset"] != attended(partition)]
            found = [
                value
                for value, a in told.changes[partition]
                if a["source"]["topic"] == topic and a["asset"] != attended(partition)
            ]
            what = f"{topic}-{partition} must tell what it tells undisturbed"
            _hold(found == wanted, what, f"{len(found)} of {len(wanted)}")
            count += len(wanted)
    return count


def check_bursts(told: Told, bursts: Mapping[tuple[str, int], int]) -> int:
    """Hold that each burst is one alarm, and a few letters are none; return how many bursts."""
    raised: dict[tuple[str, int], set[str]] = defaultdict(set)
    for partition, part in enumerate(told.changes):
        for _, alarm in part:
            if alarm["kind"] == "DEAD_LETTERS" and alarm["revision"] == 0:
                raised[alarm["source"]["topic"], partition].add(alarm["alarm_id"])
    wanted = {where for where, count in bursts.items() if count >= BURST}
    _hold(set(raised) == wanted, "bursts and no others must be told", set(raised) ^ wanted)
    _hold(all(len(ids) == 1 for ids in raised.values()), "a burst must be one alarm", raised)
    return len(wanted)


def check_silence(
    mesh: AlertsMesh, told: Told, planned: Mapping[str, int], limit_ms: int
) -> dict[str, int]:
    """Hold that each silence was told once, its end too, and none where there was none.

    Returns:
        How many of single assets, and of all together.
    """
    heard: dict[str, list[int]] = defaultdict(list)
    for part in mesh.read(PREDICTIONS):
        for record in part:
            asset = codec("Prediction").decode(record.value)["asset"]
            heard[asset].append(record.timestamp_ms)
    counts: dict[str | None, list[int]] = defaultdict(lambda: [0, 0])
    for alarm in told.of("SILENCE"):
        counts[alarm["asset"]][not alarm["active"]] += 1
        if alarm["active"] and alarm["asset"] is not None:
            now_ms = alarm["since"] // 1000
            recent = [
                ms for ms in heard[alarm["asset"]] if now_ms - limit_ms < ms < now_ms - LOOKED_MS
            ]
            _hold(not recent, "an asset that was heard of must not be called silent", alarm)
    for asset, count in planned.items():
        _hold(counts[asset] == [count, count], f"{asset}: {count} silences, each told once", counts)
    others = {a for a in counts if a is not None and "flock" not in a} - planned.keys()
    _hold(not others, "who goes on must not be called silent", others)
    return {"single": sum(planned.values()), "together": counts[None][0]}


def check_posts(told: Told, taken: Sequence[tuple[str, dict[str, Any]]]) -> int:
    """Hold that each change was posted, in order, with one content; return how many repetitions."""
    bodies: dict[str, dict[str, Any]] = {}  # Any: JSON
    for key, body in taken:
        _hold(bodies.setdefault(key, body) == body, f"{key} must be posted with one content", body)
    for keys in told.keys:
        ours = set(keys)
        found = [key for key in bodies if key in ours]
        _hold(found == keys, "changes must be posted in order", f"{len(found)} of {len(keys)}")
    return len(taken) - len(bodies)


def _hold(is_so: bool, what: str, found: object) -> None:
    if not is_so:
        msg = f"{what}, found {str(found)[:500]}"
        raise BrokenPromiseError(msg)

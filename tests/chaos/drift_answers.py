"""The question that drifts ask, and those who answer it."""

from __future__ import annotations

from collections import Counter, defaultdict
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from chaos.balance import BrokenPromiseError
from chaos.drift_oracle import NAMES, Recorded
from chaos.feeding import Feed, Outgoing
from chaos.plant import START_US
from chaos.waiting import await_value, is_less
from tidemill.contracts.codec import codec
from tidemill.contracts.topics import DRIFT, FEEDBACK, RECEIPTS, UPDATES
from tidemill.kernel.deadletters import SUFFIX

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from chaos.beside import Beside
    from chaos.mesh import Mesh
    from chaos.sheets import SheetPlant

WITHIN_S = 1_800.0
FINAL = {"COUNTED", "REFUSED"}

Record = dict[str, Any]  # Any: the values of an Avro record


class Answer(NamedTuple):
    """What somebody answers to an episode."""

    feedback_id: str
    asset: str
    drift_id: str
    kind: str


class Answered(NamedTuple):
    """What became of an answer: its receipts in order, and why."""

    statuses: tuple[str, ...]
    reason: str


def outgoing(answer: Answer, partition: int) -> Outgoing:
    """Return an answer as it is written."""
    record = {
        "feedback_id": answer.feedback_id,
        "kind": answer.kind,
        "asset": answer.asset,
        "drift_id": answer.drift_id,
        "actor": f"operator-{answer.feedback_id}",
        "role": "operator",
        "time": START_US,
    }
    value = codec("Feedback").encode(record)
    return Outgoing(FEEDBACK, partition, answer.asset.encode(), value)


def write(mesh: Mesh, records: Iterable[Outgoing]) -> None:
    """Write records, each acknowledged."""
    feed = Feed(mesh.bootstrap)
    feed.write(records)
    feed.finish()


def settle(mesh: Mesh, beside: Sequence[Beside]) -> None:
    """Wait until drift processor and learners have read all there is, what they wrote too."""

    def is_read() -> bool:
        for each in beside:
            each.check()
        return is_less(mesh.lag_of("drift"), 1)

    for _ in range(2):
        await_value(is_read, partial(_said, beside), WITHIN_S)
        mesh.drain(WITHIN_S)


def _said(beside: Sequence[Beside]) -> str:
    return str({worker.name: worker.said() for each in beside for worker in each.up()})


def drifts(mesh: Mesh) -> dict[str, list[Record]]:
    """Return what was told of the sensors together, by asset."""
    found: dict[str, list[Record]] = defaultdict(list)
    for part in mesh.read(DRIFT):
        for record in part:
            drift = codec("Drift").decode(record.value)
            if drift["kind"] == "MULTIVARIATE" and drift["status"] != "NOT_STATIONARY":
                found[drift["asset"]].append(drift)
    return found


def updates(mesh: Mesh, *kinds: str) -> list[Record]:
    """Return the updates of some kinds, with where they stand."""
    return [
        {**update, "place": (record.partition, record.offset)}
        for part in mesh.read(UPDATES)
        for record in part
        if (update := codec("Update").decode(record.value))["kind"] in kinds
    ]


def await_answered(mesh: Mesh, beside: Sequence[Beside], names: set[str]) -> None:
    """Wait until each of these answers has a final receipt."""

    def is_done() -> bool:
        for each in beside:
            each.check()
        return all(FINAL & {*answered(mesh)[name].statuses} for name in names)

    await_value(is_done, partial(_said, beside), WITHIN_S, poll_s=0.5)


def answered(mesh: Mesh) -> dict[str, Answered]:
    """Return what became of each answer."""
    statuses: dict[str, list[str]] = defaultdict(list)
    reasons: dict[str, str] = defaultdict(str)
    for part in mesh.read(RECEIPTS):
        for record in part:
            receipt = codec("Receipt").decode(record.value)
            name = receipt["feedback_id"]
            statuses[name].append(receipt["status"])
            reasons[name] = receipt["reason"] or reasons[name]
    found = {name: Answered(tuple(each), reasons[name]) for name, each in statuses.items()}
    return defaultdict(lambda: Answered((), ""), found)


def await_swaps(mesh: Mesh, made: SheetPlant) -> None:
    """Wait until every hold, and every end of one that is to be learned, is in force."""

    def missing() -> list[str]:
        mesh.check()
        found = (Recorded(mesh, made, number) for number in range(mesh.partitions))
        return [
            asset
            for recorded in found
            for asset in recorded.streams
            if Counter(recorded.swapped(asset)) != {n: len(NAMES) for n in recorded.awaited(asset)}
        ]

    await_value(
        lambda: not missing(),
        lambda: f"{missing()} wait: {[worker.said() for worker in mesh.up()]}",
        WITHIN_S,
        poll_s=1.0,
    )


def check_none_dead(mesh: Mesh, *topics: str) -> None:
    """Hold that no record of these topics was set aside.

    Raises:
        BrokenPromiseError: One was.
    """
    for topic in topics:
        dead = [record for part in mesh.read(topic + SUFFIX) for record in part]
        if dead:
            msg = f"no record of {topic} may be set aside, {len(dead)} were: {dead[0].headers}"
            raise BrokenPromiseError(msg)


def replay_drift(mesh: Mesh) -> str:
    """Hold that the drift ledger, folded again, is the same; return what was compared.

    Raises:
        BrokenPromiseError: It is not.
    """
    code, report = mesh.audit("replay", "--drift")
    if code != 0 or report["differences"] != 0:
        found = [f for part in report["partitions"] for f in part["findings"]]
        msg = f"audit replay --drift must find no difference, exit code {code}: {found[:3]}"
        raise BrokenPromiseError(msg)
    total = Counter[str]()
    for part in report["partitions"]:
        total.update(part["counts"])
    counted = ", ".join(f"{count:,} {name}" for name, count in sorted(total.items()))
    return f"0 differences over {counted}"

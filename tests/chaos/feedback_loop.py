"""Labels and feedback through kills of everything that carries them: each counted once."""

from __future__ import annotations

import random
from collections import Counter
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from chaos.audited import check_honest
from chaos.balance import BrokenPromiseError, strike_balance
from chaos.beside import Beside
from chaos.data import LOOP_FEATURES, POWER_FEATURES, origin
from chaos.feeding import Feed
from chaos.label_oracle import CLASSES, LOOP, POWER, decoded
from chaos.label_schedule import Habits, schedule
from chaos.late_labels import (
    AWAITED_S,
    await_updates,
    check_once,
    expected_updates,
    plant,
    readings,
)
from chaos.loop_feedback import Operators, finals
from chaos.mesh import Mesh
from chaos.reading import Tail
from chaos.redis_faults import RedisFaults
from chaos.waiting import await_value
from tidemill.contracts.topics import FEEDBACK, LABELS, PREDICTIONS, RECEIPTS, UPDATES
from tidemill.local.redis import redis_running

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from chaos.figures import Figures

LEARNERS, LABELLERS, FEEDBACKS = ("w0", "w1"), ("l0", "l1"), ("f0", "f1")
WORKERS = (*LEARNERS, *LABELLERS, *FEEDBACKS)
REDIS = ("restarted", "set back", "wiped")


class Size(NamedTuple):
    """How many rows of each stream, and how often something is killed in between."""

    rows: int | None
    kills: int
    seed: int


def prove_loop(folder: Path, size: Size, say: Callable[[str], None]) -> Figures:
    """Kill labellers, feedback, learners and Redis under load; hold labels and feedback after it.

    Raises:
        BrokenPromiseError: A label counts twice or not at all, or a feedback has no final receipt.
    """
    rows = readings(size.rows)
    described = plant()
    habits = Habits(delays=(0, 50, 500), revised=0.01)
    records, sent = schedule(described, rows, habits, size.seed)
    features = {POWER: POWER_FEATURES, LOOP: LOOP_FEATURES}
    operators = Operators(features, {POWER: CLASSES}, size.seed)
    with (
        redis_running(folder / "redis") as redis,
        Mesh(folder / "mesh", described, ["--snapshot-every", "500"]) as mesh,
        Beside("labeller", mesh, folder, ["--redis", str(redis.url)]) as labellers,
        Beside("feedback", mesh, folder) as processors,
    ):
        tail = Tail(mesh.bootstrap, PREDICTIONS, mesh.partitions, operators.take)
        mesh.start(*LEARNERS)
        labellers.start(*LABELLERS)
        processors.start(*FEEDBACKS)
        mesh.await_owners(len(LEARNERS))
        beside = {**labellers.workers, **processors.workers, **mesh.workers}
        plan = _plan(size)
        faults = RedisFaults(redis, folder)
        each = len(records) // (size.kills + 1) + 1
        for number in range(size.kills + 1):
            part = records[number * each : (number + 1) * each]
            half = len(part) // 2
            _write(mesh, part[:half], operators)
            write_rest = partial(_write, mesh, part[half:], operators)
            victim = plan[number] if number < size.kills else ""
            if victim in WORKERS:
                beside[victim].kill()
                write_rest()
                beside[victim].start()
            elif victim == "set back":
                faults.set_back(write_rest)
            else:
                if victim:
                    {"restarted": faults.restart, "wiped": faults.wipe}[victim]()
                write_rest()
        say(f"{size.kills} kills, {len(records):,} records; now all must settle")
        await_value(
            lambda: operators.seen >= sum(map(len, mesh.read(PREDICTIONS))) == len(rows),
            lambda: f"{len(rows)} predictions, operators saw {operators.seen}",
            AWAITED_S,
            poll_s=1.0,
        )
        _write(mesh, (), operators)
        tail.close()
        wanted = expected_updates(sent)
        await_updates(mesh, labellers, len(wanted))
        statuses = _await_finals(mesh, operators, [labellers, processors])
        mesh.drain(AWAITED_S)
        for each_kind in (labellers, processors):
            each_kind.end()
        mesh.end()
        balance = strike_balance(mesh)
        updates = [u for part in mesh.read(UPDATES) for _, u in decoded(part, "Update")]
        check_once([u for u in updates if u["cause"]["topic"] != FEEDBACK], wanted)
        _check_lost_labels(mesh)
        audited = check_honest(mesh, "replay")
    return {
        "events": f"{balance.counts[0]:,}, rows of {origin()}",
        "labels": f"{len(sent):,}, each counted once",
        "feedback": f"{len(operators.said):,}; final receipts: {statuses}",
        "killed or disturbed under load": _counted(plan),
        **audited,
    }


def _plan(size: Size) -> list[str]:
    """Return what happens after each part: everything in turn, shuffled."""
    names = list((WORKERS + REDIS) * (size.kills // len(WORKERS + REDIS) + 1))[: size.kills]
    random.Random(size.seed).shuffle(names)
    return names


def _counted(plan: Sequence[str]) -> str:
    counts = Counter(
        {"w": "learner", "l": "labeller", "f": "feedback"}.get(name[0], name)
        if name in WORKERS
        else f"Redis {name}"
        for name in plan
    )
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))


def _write(mesh: Mesh, records: Sequence[object], operators: Operators) -> None:
    feed = Feed(mesh.bootstrap)
    feed.write(chain(operators.taken(), records))  # type: ignore[arg-type]  # all are Outgoing
    feed.finish()


def _await_finals(mesh: Mesh, operators: Operators, beside: Sequence[Beside]) -> str:
    """Wait until every feedback has its final receipt; return how many of each kind.

    Raises:
        BrokenPromiseError: One has two that contradict one another.
    """
    found: dict[str, set[str]] = {}

    def missing() -> int:
        mesh.check()
        for each in beside:
            each.check()
        receipts = (r for part in mesh.read(RECEIPTS) for _, r in decoded(part, "Receipt"))
        found.update(finals(receipts))
        return len({said.feedback_id for said in operators.said} - found.keys())

    await_value(
        lambda: missing() == 0, lambda: f"{missing()} final receipts", AWAITED_S, poll_s=1.0
    )
    twice = {name: kinds for name, kinds in found.items() if len(kinds) > 1}
    settled = {"RETRACTED", "APPLIED", "COMPENSATED", "REFUSED"}
    wrong = {
        name: kinds for name, kinds in twice.items() if len(kinds & settled - {"RETRACTED"}) > 1
    }
    if wrong:
        msg = f"a feedback must not end in two ways, found {dict(list(wrong.items())[:5])}"
        raise BrokenPromiseError(msg)
    last = Counter("+".join(sorted(kinds)) for kinds in found.values())
    return ", ".join(f"{count} {name}" for name, count in sorted(last.items()))


def _check_lost_labels(mesh: Mesh) -> None:
    dead = [record for part in mesh.read(LABELS + ".dlq") for record in part]
    if dead:
        msg = f"no label may be set aside here, {len(dead)} were: {dead[0].headers}"
        raise BrokenPromiseError(msg)

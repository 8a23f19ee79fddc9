"""Alarms through kills: each is told once, in order, and posted; and how fast predictions pass."""

from __future__ import annotations

import itertools
import random
import time
from contextlib import closing
from typing import TYPE_CHECKING, NamedTuple

from confluent_kafka import Consumer, Producer, TopicPartition

from broker.alerts_mesh import AlertsMesh, Hook, await_life
from broker.feedback_mesh import LOOK_S, PARTITIONS, WITHIN_S, asset_of
from chaos.alarm_checks import (
    Told,
    check_bursts,
    check_posts,
    check_silence,
    check_states,
    check_undisturbed,
)
from chaos.alarm_plant import Happenings, Heard, Machines, Silences
from chaos.balance import BrokenPromiseError
from chaos.reading import QUIET
from chaos.waiting import await_value
from feedback.stage import prediction
from tidemill.contracts.codec import codec
from tidemill.contracts.topics import PREDICTIONS, group_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from chaos.figures import Figures
    from chaos.workers import WorkerProcess

NAMES = ("a0", "a1")
SILENT_S = 15
EACH = 12
FAILURES = 5
LOAD_ASSETS = 2_000
# Of one processor; asked are 10,000.
LEAST_RATE = 10_000.0


class Size(NamedTuple):
    """How often a worker is killed, and how many predictions its rate is measured over."""

    kills: int
    predictions: int
    seed: int


def prove_alarms(folder: Path, size: Size, say: Callable[[str], None]) -> Figures:
    """Kill alerts processors while everything happens that they tell of.

    Raises:
        BrokenPromiseError: An alarm is lost, doubled, told wrongly or not posted, or it is too
            slow.
    """
    hook = Hook()
    with closing(hook), AlertsMesh(folder, hook, silence=f"{SILENT_S}s") as mesh:
        figures = _told_once(mesh, size, say)
        return {**figures, **_rate(mesh, size)}


def _told_once(mesh: AlertsMesh, size: Size, say: Callable[[str], None]) -> Figures:
    dice = random.Random(size.seed)
    workers = [mesh.alerter(name) for name in NAMES]
    for worker in workers:
        worker.start()
    await_life(mesh, *workers)
    with closing(Heard(mesh)) as heard, closing(Machines(mesh)) as machines:
        silences, happenings = Silences(machines, heard, dice), Happenings(mesh, heard, dice)
        for number in range(size.kills):
            mesh.hook.failures = dice.randrange(FAILURES)
            silences.step()
            happenings.happen(EACH // 2)
            happenings.burst()
            _kill(workers[number % len(workers)], dice, lambda: happenings.happen(EACH // 2))
            happenings.speak()
        say(f"{size.kills} kills; now all must settle")
        _await(lambda: not silences.step(more=False), workers, silences)
        together = _flock(machines, heard, workers, dice)
        _await(lambda: happenings.speak(all_of_them=True) == 0, workers, "acknowledgements")
        _await(lambda: _settled(mesh), workers, "all posts", look_s=2.0)
        for worker in workers:
            worker.end()
        count = machines.count
    told = Told(mesh)
    alarms = check_states(told)
    same = check_undisturbed(mesh, told)
    bursts = check_bursts(told, happenings.bursts)
    silent = check_silence(mesh, told, silences.planned, SILENT_S * 1000)
    again = check_posts(told, mesh.hook.taken)
    gaps = [b - a for beats in told.heartbeats for a, b in itertools.pairwise(beats)]
    acknowledged = sum(a["actor"] is not None for part in told.changes for _, a in part)
    return {
        "`kill -9`": f"{size.kills}, two workers in turn, at random instants",
        "alarms": f"{alarms}; {len(told):,} changes, heartbeats among them, each told with one "
        f"content; records that came again with the same name and bytes: "
        f"{told.records - len(told)}",
        "drift and refusals": f"{same} changes, byte for byte and in the order that a processor "
        "tells which nothing disturbs",
        "bursts of dead letters": f"{bursts}, each one alarm; a few letters are none",
        "silence": f"{silent['single']} of single assets, told once each, their ends too; "
        f"{together} assets together: {silent['together']} change(s) of one alarm; none told of "
        f"an asset that was heard of in the {SILENT_S} s before; {count:,} predictions meanwhile",
        "acknowledged and shelved": f"{happenings.said} words of people, {acknowledged} changes "
        "in a person's name; every alarm went from state to state as it may",
        "heartbeats": f"{sum(map(len, told.heartbeats))}; longest gap {max(gaps) / 1000:.1f} s, "
        "a killed worker's start among it (every 2 s asked)",
        "webhook": f"{sum(map(len, told.keys))} changes posted, in order, through refused "
        f"requests; {again} posted again, under the same key with the same content",
    }


def _kill(worker: WorkerProcess, dice: random.Random, meanwhile: Callable[[], None]) -> None:
    """Kill a worker at a random instant: while it starts, or once it works."""
    if dice.random() < 0.7:
        await_value(lambda: worker.assigned() or None, worker.said, WITHIN_S)
    time.sleep(dice.uniform(0.0, 3.0))
    worker.kill()
    meanwhile()
    worker.start()


def _flock(
    machines: Machines, heard: Heard, workers: list[WorkerProcess], dice: random.Random
) -> int:
    """Let many assets fall silent at once, kill whoever tells it, and have them come back."""
    machines.silent = frozenset(machines.flock)
    _await(lambda: heard.silence.get(None, (0, 0))[0] > 0, workers, "silence of many")
    for worker in workers:
        _kill(worker, dice, lambda: None)
    machines.silent = frozenset()
    _await(lambda: heard.silence[None][1] > 0, workers, "their end")
    return len(machines.flock)


def _settled(mesh: AlertsMesh) -> bool:
    keys = {f"{r['alarm_id']}-{r['revision']}" for _, r in mesh.alarms()}
    return keys <= {key for key, _ in list(mesh.hook.taken)}


def _await(
    is_so: Callable[[], bool], workers: list[WorkerProcess], what: object, look_s: float = LOOK_S
) -> None:
    def checked() -> bool:
        for worker in workers:
            worker.check()
        return is_so()

    await_value(checked, lambda: f"{what}: {workers[0].said()}", WITHIN_S, look_s)


def _rate(mesh: AlertsMesh, size: Size) -> Figures:
    """Have one worker read what was predicted while it was away."""
    worker = mesh.alerter(NAMES[0])
    group = Consumer(
        {
            **QUIET,
            "bootstrap.servers": mesh.kafka.bootstrap,
            "group.id": group_of("sample", "alerts"),
        }
    )
    inputs = [TopicPartition(PREDICTIONS, number) for number in range(PARTITIONS)]

    def left() -> int:
        ends = [group.get_watermark_offsets(each, WITHIN_S)[1] for each in inputs]
        done = group.committed(inputs, WITHIN_S)
        return sum(end - part.offset for end, part in zip(ends, done, strict=True))

    with closing(group):
        worker.start()
        _await(lambda: worker.assigned() == set(range(PARTITIONS)), [worker], "all partitions")
        _await(lambda: left() == 0, [worker], "what is left")
        worker.kill()
        _predict(mesh, size.predictions)
        worker.start()
        await_value(lambda: list(worker.told("started")) or None, worker.said, WITHIN_S)
        began, processor_s = time.monotonic(), worker.processor_s()
        _await(lambda: left() == 0, [worker], "the backlog", look_s=0.05)
        wall_s, processor_s = time.monotonic() - began, worker.processor_s() - processor_s
        worker.end()
    rate = size.predictions / processor_s
    if rate < LEAST_RATE:
        msg = f"at least {LEAST_RATE:,.0f} predictions/s of one processor, were {rate:,.0f}"
        raise BrokenPromiseError(msg)
    return {
        "predictions that one worker reads": f"{rate:,.0f} in a second of one processor, "
        f"{size.predictions / wall_s:,.0f} in a second by the clock beside all else that ran here, "
        f"joining its group and a commit every second included ({size.predictions:,} of a backlog, "
        f"{LOAD_ASSETS:,} assets, each watched)",
    }


def _predict(mesh: AlertsMesh, count: int) -> None:
    """Write predictions as learners do, in transactions of a thousand."""
    producer = Producer(
        {**QUIET, "bootstrap.servers": mesh.kafka.bootstrap, "transactional.id": "load"}
    )
    producer.init_transactions(WITHIN_S)
    values = [
        codec("Prediction").encode(prediction(n, f"{asset_of(n % PARTITIONS)}/load-{n}"))
        for n in range(LOAD_ASSETS)
    ]
    for start in range(0, count, 1000):
        producer.begin_transaction()
        for number in range(start, min(start + 1000, count)):
            value = values[number % LOAD_ASSETS]
            producer.produce(PREDICTIONS, value, partition=number % PARTITIONS)
        producer.flush(WITHIN_S)
        producer.commit_transaction(WITHIN_S)

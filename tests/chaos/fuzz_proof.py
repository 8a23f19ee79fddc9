"""Fuzzed records through real workers on a cluster in memory: none halts one, none is lost."""

from __future__ import annotations

import math
import random
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from chaos.balance import OFFSET_HEADER, BrokenPromiseError, check_answers
from chaos.fuzzing import BUDGET, PARTITIONS, Fuzzer, fuzzed_plant
from chaos.tables import Found, Table
from tidemill.contracts.codec import codec
from tidemill.contracts.topics import EVENTS, PREDICTIONS, TOPICS, UPDATES
from tidemill.fold.audit.replay import replay
from tidemill.fold.books import Policy
from tidemill.fold.snapshots import SigningKey
from tidemill.kernel.deadletters import REASON_HEADER, SUFFIX
from tidemill.kernel.errors import MeshError
from tidemill.processors.learner.processor import LearnerFactory
from tidemill.testing.cluster import MemoryCluster
from tidemill.testing.driver import Driver
from tidemill.testing.memory_log import MemoryLog

if TYPE_CHECKING:
    from collections.abc import Callable

    from tidemill.kernel.processor import TaskFactory
    from tidemill.kernel.records import Message

ROUND = 20_000
BATCH = 200
WORKERS = ("w0", "w1")
SAVED_EVERY = 1_000
CRASHES = 8  # of each round
KEY = SigningKey(bytes(range(32)))


def prove_fuzz(*, records: int, seed: int, say: Callable[[str], None]) -> Found:
    """Let workers read fuzzed records, in rounds of 20,000, each seeded by its own number.

    Raises:
        BrokenPromiseError: A worker halts, a record has no answer or two, or a replay differs.
    """
    counts: Counter[str] = Counter()
    begun = time.monotonic()
    seeds = range(seed, seed + -(-records // ROUND))
    for number, each in enumerate(seeds):
        try:
            counts += fuzz(each, min(ROUND, records - number * ROUND))
        except MeshError as error:
            msg = f"no record may halt a worker, seed {each}: {type(error).__name__}: {error}"
            raise BrokenPromiseError(msg) from error
        say(f"{counts['records']:,} of {records:,} records")
    lasted_s = time.monotonic() - begun
    reasons = sorted(name for name in counts if name.startswith("dead: "))
    flags = sorted(name for name in counts if name.startswith("flag: "))
    return Found(
        {
            "records": f"{counts['records']:,}: {counts['events']:,} events and "
            f"{counts['updates']:,} updates, in rounds of {ROUND:,} with the seeds "
            f"{seeds[0]} to {seeds[-1]}",
            "workers that halted": "0",
            "balance": f"{counts['predictions']:,} predictions and {counts['dead events']:,} dead "
            f"letters for {counts['events']:,} events, one for each, in order; "
            f"{counts['dead updates']:,} dead letters for updates",
            "what was predicted": "every number and probability finite",
            "workers killed in the middle": f"{counts['crashes']:,}, restored from what they had "
            "saved",
            "audit replay": f"0 differences over {counts['replayed']:,} records: the same order "
            "folded again, every byte",
            "models": f"{counts['models']:,}, {counts['frozen']:,} at their budget of {BUDGET}",
            "lasted": f"{lasted_s:.0f} s, {counts['records'] / lasted_s:,.0f} records a second "
            "with replay",
        },
        [
            _table("Dead letters by reason.", counts, reasons),
            _table("Predictions by flag.", counts, flags),
        ],
    )


def fuzz(seed: int, count: int) -> Counter[str]:
    """Run one round; return what was counted.

    Raises:
        BrokenPromiseError: A record has no answer or two, or a replay differs.
        InvariantError: A worker halted.
    """
    plant = fuzzed_plant()
    terms = plant.terms()

    def make() -> TaskFactory:
        return LearnerFactory(terms, KEY, Policy(SAVED_EVERY, anchor_every=5_000))

    cluster = MemoryCluster({topic.name: PARTITIONS for topic in TOPICS})
    driver = Driver(cluster, make, group="tidemill.proof.learner", batch=BATCH)
    for record in Fuzzer(plant, seed).records(count):
        driver.send(record.topic, record.partition, record.value, key=record.key)
    disturb(driver, random.Random(seed), turns=count // BATCH)
    driver.drain()
    found: Counter[str] = Counter(records=count, crashes=driver.crashes)
    for partition in range(PARTITIONS):
        found += check_partition(cluster, partition)
    return found


def disturb(driver: Driver, chance: random.Random, *, turns: int) -> None:
    """Let workers turn, and crash now and then."""
    crashes = set(chance.sample(range(turns), min(CRASHES, turns)))
    for turn in range(turns):
        for instance in WORKERS:
            driver.start(instance)
            driver.step(instance)
        if turn in crashes:
            driver.crash(chance.choice(WORKERS))


def check_partition(cluster: MemoryCluster, partition: int) -> Counter[str]:
    """Hold the outputs of a partition against its inputs, and against a replay.

    Raises:
        BrokenPromiseError: They differ.
    """
    events, updates, predicted, dead, dead_updates = (
        cluster.read(topic, [partition])
        for topic in (EVENTS, UPDATES, PREDICTIONS, EVENTS + SUFFIX, UPDATES + SUFFIX)
    )
    decode = codec("Prediction").decode
    predictions = [decode(message.value) for message in predicted]
    sources = [prediction["source"]["offset"] for prediction in predictions]
    check_answers(partition, [m.offset for m in events], sources, list(map(_source, dead)))
    check_finite(predictions)
    report = replay(MemoryLog(cluster), partition, KEY)
    if report.findings:
        msg = f"partition {partition}: a replay must find nothing, found {report.findings[:3]}"
        raise BrokenPromiseError(msg)
    counts = Counter(
        {
            "events": len(events),
            "updates": len(updates),
            "predictions": len(predicted),
            "dead events": len(dead),
            "dead updates": len(dead_updates),
            "replayed": len(events) + len(updates),
            "models": len({(p["asset"], p["model"]) for p in predictions}),
        }
    )
    counts.update(f"dead: {_reason(message)}" for message in [*dead, *dead_updates])
    counts.update(f"flag: {flag}" for prediction in predictions for flag in prediction["quality"])
    frozen = {(p["asset"], p["model"]) for p in predictions if "FROZEN" in p["quality"]}
    return counts + Counter(frozen=len(frozen))


def check_finite(predictions: list[dict[str, Any]]) -> None:  # Any: Avro records
    """Hold that every number predicted is one.

    Raises:
        BrokenPromiseError: One is not.
    """
    for prediction in predictions:
        for part in (prediction, *prediction["shadows"]):
            numbers = [part["value"] or 0.0, *(part["probabilities"] or {}).values()]
            if not all(map(math.isfinite, numbers)):
                msg = f"{prediction['event_id'][:40]}: every number must be finite, was {part}"
                raise BrokenPromiseError(msg)


def _source(message: Message) -> int:
    return int(dict(message.headers)[OFFSET_HEADER])


def _reason(message: Message) -> str:
    return dict(message.headers)[REASON_HEADER].decode()


def _table(about: str, counts: Counter[str], names: list[str]) -> Table:
    rows = [(f"`{name.partition(': ')[2]}`", f"{counts[name]:,}") for name in names]
    return Table(about, ("", "records"), rows)

"""A plant of which people must hear: predictions that go on, assets that fall silent, people."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from confluent_kafka import Producer

from alerts.control_room import drift, refusal, word
from broker.feedback_mesh import PARTITIONS, asset_of
from chaos.reading import QUIET, Tail
from feedback.stage import prediction
from tidemill.contracts.codec import codec
from tidemill.contracts.topics import ALARMS, DRIFT, FEEDBACK, PREDICTIONS, RECEIPTS
from tidemill.processors.alerts.processor import DEAD

if TYPE_CHECKING:
    import random

    from broker.alerts_mesh import AlertsMesh
    from chaos.reading import Record

Alarm = dict[str, Any]  # Any: the values of an Avro record

EVERY_S = 1.0
ASSETS, FLOCK = 40, 20
MOST_UNTOLD = 2
BURST = 12
KINDS = ("FEATURE", "PREDICTION", "ERROR")


def attended(partition: int) -> str:
    """Return the asset of a partition that people see to; of the others they say nothing."""
    return f"{asset_of(partition)}/attended"


class Heard:
    """What the alarms say, while they are written.

    Attributes:
        last: The last change of each alarm.
        silence: How often each asset was said to be silent, and to be heard of again.
    """

    def __init__(self, mesh: AlertsMesh) -> None:
        self.last: dict[str, Alarm] = {}
        self.silence: dict[str | None, tuple[int, int]] = {}
        self._known: set[tuple[str, int]] = set()
        self._tail = Tail(mesh.kafka.bootstrap, ALARMS, PARTITIONS, self._take)

    def _take(self, record: Record, _: float) -> None:
        alarm = codec("Alarm").decode(record.value)
        name = (alarm["alarm_id"], alarm["revision"])
        if name in self._known:
            return
        self._known.add(name)
        self.last[alarm["alarm_id"]] = alarm
        if alarm["kind"] == "SILENCE":
            told, over = self.silence.get(alarm["asset"], (0, 0))
            self.silence[alarm["asset"]] = (told + alarm["active"], over + (not alarm["active"]))

    @property
    def is_together(self) -> bool:
        """Whether many assets are silent at once."""
        of_many = [a for a in list(self.last.values()) if a["kind"] == "SILENCE" and not a["asset"]]
        return any(alarm["active"] for alarm in of_many)

    def close(self) -> None:
        """Hear no more."""
        self._tail.close()


class Machines:
    """Assets of which a prediction comes every second, in a thread, but of those that are silent.

    Attributes:
        assets: Of each partition.
        flock: Assets of the first partition that fall silent together.
        silent: Those that are.
    """

    def __init__(self, mesh: AlertsMesh) -> None:
        self.assets = [[f"{asset_of(p)}/{n}" for n in range(ASSETS)] for p in range(PARTITIONS)]
        self.flock = [f"{asset_of(0)}/flock-{n}" for n in range(FLOCK)]
        self.silent: frozenset[str] = frozenset()
        self.count = 0
        self._producer = Producer({**QUIET, "bootstrap.servers": mesh.kafka.bootstrap})
        self._is_ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._is_ended.is_set():
            for partition, assets in enumerate(self.assets):
                for asset in (*assets, *(self.flock if partition == 0 else ())):
                    if asset not in self.silent:
                        self.count += 1
                        value = codec("Prediction").encode(prediction(self.count, asset, partition))
                        self._producer.produce(PREDICTIONS, value, partition=partition)
            self._producer.flush()
            self._is_ended.wait(EVERY_S)

    def close(self) -> None:
        """Let all of them be silent."""
        self._is_ended.set()
        self._thread.join()


class Silences:
    """Assets that fall silent, until it is told, and come back, until that is told.

    Attributes:
        planned: How often each asset fell silent.
    """

    def __init__(self, machines: Machines, heard: Heard, dice: random.Random) -> None:
        self.planned: dict[str, int] = {}
        self._machines = machines
        self._heard = heard
        self._dice = dice
        self._untold: list[set[str]] = [set() for _ in range(PARTITIONS)]
        self._unheard: set[str] = set()

    def __str__(self) -> str:
        waiting = {*self._unheard, *(asset for untold in self._untold for asset in untold)}
        told = {asset: self._heard.silence.get(asset) for asset in (*sorted(waiting), None)}
        return f"silence and its end told, by asset: {told}, planned: {self.planned}"

    def step(self, *, more: bool = True) -> bool:
        """Let those come back of whom it was told, and others fall silent; return what waits."""
        if self._heard.is_together:  # then nothing is told of one of them
            for asset in frozenset().union(*self._untold):
                self.planned[asset] -= 1
            self._untold = [set() for _ in range(PARTITIONS)]
        for untold in self._untold:
            for asset in list(untold):
                if self._heard.silence.get(asset, (0, 0))[0] >= self.planned[asset]:
                    untold.discard(asset)
                    self._unheard.add(asset)
        for asset in list(self._unheard):
            if self._heard.silence[asset][1] >= self.planned[asset]:
                self._unheard.discard(asset)
        for partition, untold in enumerate(self._untold):
            free = set(self._machines.assets[partition]) - untold - self._unheard
            while more and free and len(untold) < MOST_UNTOLD:
                asset = self._dice.choice(sorted(free))
                free.discard(asset)
                untold.add(asset)
                self.planned[asset] = self.planned.get(asset, 0) + 1
        self._machines.silent = frozenset().union(*self._untold)
        return bool(self._unheard or any(self._untold))


class Happenings:
    """Drift, refusals, bursts of dead letters, and what people say of alarms.

    Attributes:
        bursts: By topic and partition how many letters were written.
        said: How often people acknowledged and shelved.
    """

    def __init__(self, mesh: AlertsMesh, heard: Heard, dice: random.Random) -> None:
        self.bursts: dict[tuple[str, int], int] = {}
        self.said = 0
        self._mesh = mesh
        self._heard = heard
        self._dice = dice
        self._count = 0

    def happen(self, count: int) -> None:
        """Let so many things happen, at random."""
        for _ in range(count):
            self._count += 1
            partition = self._dice.randrange(PARTITIONS)
            asset = self._dice.choice((asset_of(partition), attended(partition)))
            if self._dice.random() < 0.7:
                status = self._dice.choice(("OPEN", "OPEN", "CLOSED", "FAULT", "PROCESS_CHANGE"))
                known = {"asset": asset, "kind": self._dice.choice(KINDS)}
                signal, episode = self._dice.choice("abc"), f"d{self._dice.randrange(6)}"
                value = codec("Drift").encode(drift(status, episode, signal=signal, **known))
                self._mesh.write(DRIFT, partition, value)
            else:
                value = codec("Receipt").encode(refusal(self._count, asset=asset))
                self._mesh.write(RECEIPTS, partition, value)
        self._mesh.flush()

    def burst(self) -> None:
        """Let records of a topic be set aside, many or a few."""
        topic, partition = self._dice.choice(DEAD), self._dice.randrange(PARTITIONS)
        if (topic, partition) not in self.bursts:
            count = self.bursts[topic, partition] = self._dice.choice((3, BURST))
            for _ in range(count):
                self._mesh.write(topic, partition, b"spoilt")
            self._mesh.flush()

    def speak(self, *, all_of_them: bool = False) -> int:
        """Have people acknowledge and shelve some of what they see to; return how much stands."""
        ours = {attended(p): p for p in range(PARTITIONS)}
        standing = [
            alarm
            for alarm in list(self._heard.last.values())
            if alarm["asset"] in ours and alarm["state"] in {"UNACKNOWLEDGED", "SHELVED"}
        ]
        for alarm in standing:
            if all_of_them or self._dice.random() < 0.3:
                self.said += 1
                shelved_ms = round(time.time() * 1000) + 5_000
                kind = "ACKNOWLEDGE"
                if not all_of_them and self._dice.random() < 0.3:
                    kind = "SHELVE"
                until_ms = shelved_ms if kind == "SHELVE" else None
                said = word(kind, alarm["alarm_id"], until_ms, feedback_id=f"said-{self.said}")
                value = codec("Feedback").encode({**said, "asset": alarm["asset"]})
                self._mesh.write(FEEDBACK, ours[alarm["asset"]], value)
        self._mesh.flush()
        return len(standing)

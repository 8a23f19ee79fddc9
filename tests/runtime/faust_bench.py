"""A control app around a cluster in memory, driven as Faust drives it."""

from __future__ import annotations

import asyncio
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from faust.types import TP

from tidemill.kernel.deciding import Handled, Noted
from tidemill.kernel.errors import DependencyUnavailableError
from tidemill.kernel.records import Emit, Message
from tidemill.runtime.faust_app import Identity
from tidemill.runtime.faust_control import ControlApp
from tidemill.runtime.faust_driver import Connection
from tidemill.testing.cluster import MemoryCluster
from tidemill.testing.memory_log import MemoryLog

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping, Sequence

ASKED, ANSWERS, TABLE = "asked", "answers", "deciders.table"
OTHER = "also"
HERE = TP(ASKED, 0)
NOW_MS = 1_800_000_000_000


class Counting:
    """Answers each record with its value and how many came before it."""

    def __init__(self, remembered: Mapping[bytes, bytes]) -> None:
        self.kept = dict(remembered)
        self.offsets = [int(value[1:]) for value in remembered.values() if value.startswith(b"@")]
        self.times_ms: list[int] = []
        self.shown: list[int] = []
        self.away = 0

    def decide(self, message: Message) -> Handled:
        if self.away:
            self.away -= 1
            raise DependencyUnavailableError("the world", retry_after_s=0.0)
        self.times_ms.append(message.timestamp_ms)
        key = f"0|{(message.value or b'').decode()}".encode()
        value = self.kept.get(key, f"{len(self.kept)}".encode())
        emits = [Emit(ANSWERS, 0, message.value, value)]
        return Handled(emits, key, value, is_repeated=key in self.kept)

    def note(self, messages: Sequence[Message]) -> Noted:
        """Take note of what begins with `-`, as one entry; in batches only."""
        plain = list(takewhile(lambda m: (m.value or b"").startswith(b"-"), messages))
        self.times_ms += [message.timestamp_ms for message in plain]
        self.shown.append(len(messages))
        entries = {b"0|noted": plain[-1].value or b""} if plain else {}
        return Noted(len(plain), entries)

    def keep(self, handled: Handled) -> None:
        assert handled.key is not None
        self.kept[handled.key] = handled.value

    def __len__(self) -> int:
        return len(self.kept)

    @property
    def reached(self) -> Mapping[str, int]:
        return {ASKED: max(self.offsets, default=0)}


class Factory:
    name, table = "deciders", TABLE
    inputs: tuple[str, ...] = (ASKED,)
    from_end: frozenset[str] = frozenset()
    batched: frozenset[str] = frozenset()
    clock = ""

    def __init__(self) -> None:
        self.opened: list[Counting] = []
        self.away = 0
        self.make = Counting

    def valid(self, before: bytes, _: bytes) -> bytes:
        return before

    def open(self, partition: int, remembered: Mapping[bytes, bytes]) -> Counting:
        assert partition == 0
        self.opened.append(self.make(remembered))
        self.opened[-1].away = self.away
        return self.opened[-1]


class FakeConsumer:
    """What is asked of Faust's consumer."""

    def __init__(self, cluster: MemoryCluster, committed: int | None) -> None:
        self.done: dict[TP, int] = {}
        self.unacked: set[Any] = set()  # Any: Faust's messages
        self.flow_active = True
        self.app: Any = None  # Any: Faust's
        self._cluster = cluster
        self._committed = committed
        self.begun: dict[TP, int] = {}
        self.shown_at_s = NOW_MS / 1000

    async def committed_offset(self, tp: TP) -> int | None:
        return self.begun.get(tp, self._committed)

    async def commit(self) -> None:
        self.begun = dict(self.done)

    def shown_s(self, _: TP) -> float:
        return self.shown_at_s

    def highwater(self, tp: TP) -> int:
        return self._cluster.log(tp.topic, tp.partition).stable_end

    async def position(self, tp: TP) -> int:
        return self.highwater(tp)


class Producer:
    """Writes to the cluster in memory; the first `failures` raise, the first `lost` fail later."""

    def __init__(self, cluster: MemoryCluster) -> None:
        self.failures: list[Exception] = []
        self.lost: list[Exception] = []
        self.away: list[Exception] = []
        self.renewed = 0
        self.order: list[str] = []
        self._cluster = cluster

    async def send(  # noqa: PLR0917 - Faust's signature
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        partition: int,
        _: float | None,
        headers: Sequence[tuple[str, bytes]] | None,
    ) -> asyncio.Future[None]:
        if self.failures:
            raise self.failures.pop(0)
        sent: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self.lost:
            sent.set_exception(self.lost.pop(0))
            return sent
        self.order.append(topic)
        self._cluster.append(topic, partition, value, key=key, headers=tuple(headers or ()))
        sent.set_result(None)
        return sent

    async def renew(self) -> None:
        if self.away:
            raise self.away.pop(0)
        self.renewed += 1


class Told:
    """Hears everything and keeps what tests ask."""

    def __init__(self) -> None:
        self.mended_entries: list[int] = []

    def turned(self, now: float) -> None: ...
    def assigned(self, partitions: Sequence[int]) -> None: ...
    def restored(self, partition: int, remembered: int, seconds: float, /) -> None: ...
    def mended(self, _: int, entries: int, /) -> None:
        self.mended_entries.append(entries)

    def handled(self, message: Message, handled: Handled, remembered: int, /) -> None: ...
    def noted(self, tp: TP, records: int, remembered: int, /) -> None: ...
    def lagging(self, topic: str, partition: int, records: int) -> None: ...
    def away(self, why: str) -> None: ...
    def back(self, seconds: float) -> None: ...


class Bench:
    """A control app around a cluster in memory."""

    def __init__(self, committed: int | None = None, factory: Factory | None = None) -> None:
        self.cluster = MemoryCluster(dict.fromkeys((ASKED, OTHER, ANSWERS, TABLE), 1))
        self.factory = factory or Factory()
        self.told = Told()
        self.control = ControlApp(
            self.factory,
            Connection("127.0.0.1:1", {}),
            Identity("group", "w0", 1),
            log=MemoryLog(self.cluster),
            observer=self.told,
            now=lambda: NOW_MS / 1000,
        )
        self.consumer = FakeConsumer(self.cluster, committed)
        self.producer = Producer(self.cluster)
        app = self.control.app
        app.consumer = self.consumer
        app.maybe_start_producer = self._started
        app.producer = self.producer
        app._assignment = {TP(topic, 0) for topic in (*self.factory.inputs, TABLE)}

    async def _started(self) -> Producer:
        return self.producer

    async def hand_over(self, offset: int) -> None:
        """Do as Faust does with the record at an offset."""
        log = self.cluster.log(ASKED, 0)
        (message,) = log.committed(offset, offset + 1)
        await self.control._reach(0, message)

    def answers(self) -> list[tuple[bytes | None, bytes | None]]:
        return [(message.key, message.value) for message in self.cluster.read(ANSWERS)]

    def ask(self, *values: str) -> None:
        for value in values:
            self.cluster.append(ASKED, 0, value.encode())


def run(bench: Bench, steps: Callable[[Bench], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(steps(bench))

"""How a worker of the control plane ends."""

from __future__ import annotations

import asyncio
import contextlib
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

from tidemill.runtime import faust_service

if TYPE_CHECKING:
    import pytest

    from tidemill.runtime.faust_control import ControlApp

WITHIN_S = 30.0


def test_nothing_asks_the_clients_of_an_app_once_it_is_stopped() -> None:
    order: list[str] = []

    async def ended() -> bool:
        waiting = asyncio.Event()
        asking = [asyncio.create_task(_ever(waiting)) for _ in range(2)]
        starting = asyncio.create_task(_ever(waiting))

        async def stop() -> None:
            order.append("stop")
            assert all(task.cancelled() for task in asking)
            assert not starting.done()

        app = SimpleNamespace(crashed=False, stop=stop, producer=Producer(order))
        control = SimpleNamespace(is_restored=False, app=app, let_go=lambda: order.append("let go"))
        await waiting.wait()
        await faust_service._end(cast("ControlApp", control), starting, *asking)
        return starting.cancelled()

    assert asyncio.run(ended())
    assert order == ["let go", "gave up", "stop"]


def test_what_does_not_let_itself_be_stopped_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(faust_service, "COMMIT_WITHIN_S", 0.01)
    monkeypatch.setattr(faust_service, "END_WITHIN_S", 0.01)
    order: list[str] = []

    async def ended() -> None:
        end, waiting = asyncio.Event(), asyncio.Event()

        async def stubborn(name: str) -> None:
            order.append(name)
            while not end.is_set():
                with contextlib.suppress(asyncio.CancelledError):
                    await end.wait()

        producer = Producer(order)
        consumer = SimpleNamespace(commit=lambda: stubborn("commit"))
        app = SimpleNamespace(
            crashed=False, stop=lambda: stubborn("stop"), producer=producer, consumer=consumer
        )
        control = SimpleNamespace(is_restored=True, app=app, let_go=waiting.set)
        starting, following = (
            asyncio.create_task(stubborn(name)) for name in ("starting", "following")
        )
        await asyncio.sleep(0)
        ending = faust_service._end(cast("ControlApp", control), starting, following)
        asyncio.get_running_loop().call_later(WITHIN_S, end.set)
        await ending
        assert not end.is_set(), "it was waited for"
        end.set()
        await asyncio.gather(starting, following)

    asyncio.run(ended())
    assert order == ["starting", "following", "gave up", "commit", "stop"]


def test_what_is_left_behind_and_does_not_end_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(faust_service, "COMMIT_WITHIN_S", 0.01)
    left: list[asyncio.Task[None]] = []

    async def stubborn() -> None:
        while True:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(WITHIN_S)

    async def work() -> None:
        left.append(asyncio.create_task(stubborn()))
        left.append(asyncio.create_task(_ever(asyncio.Event())))
        await asyncio.sleep(0)

    faust_service.run_out(work())
    loop = left[0].get_loop()
    assert [task.done() for task in left] == [False, True]
    left.pop(0)._log_destroy_pending = False  # type: ignore[attr-defined]  # asyncio's own
    loop.close()


class Producer:
    """Tells when it gives up."""

    def __init__(self, order: list[str] | None = None) -> None:
        self._order = [] if order is None else order

    async def give_up(self, _: float) -> None:
        self._order.append("gave up")


async def _ever(waiting: asyncio.Event) -> None:
    waiting.set()
    await asyncio.Event().wait()

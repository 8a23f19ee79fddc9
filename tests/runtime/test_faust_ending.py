"""How a worker of the control plane ends."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

from tidemill.runtime import faust_service

if TYPE_CHECKING:
    from tidemill.runtime.faust_control import ControlApp


def test_nothing_asks_the_clients_of_an_app_once_it_is_stopped() -> None:
    async def ended() -> tuple[list[bool], bool]:
        waiting = asyncio.Event()
        catching_up = asyncio.create_task(_ever(waiting))
        starting = asyncio.create_task(_ever(waiting))
        was_over: list[bool] = []

        async def stop() -> None:
            was_over.append(catching_up.done())

        app = SimpleNamespace(crashed=False, stop=stop)
        control = SimpleNamespace(is_restored=False, app=app)
        await waiting.wait()
        await faust_service._end(cast("ControlApp", control), catching_up, starting)
        return was_over, starting.cancelled()

    assert asyncio.run(ended()) == ([True], True)


async def _ever(waiting: asyncio.Event) -> None:
    waiting.set()
    await asyncio.Event().wait()

"""One worker of the control plane as a process: its app, its turns, its orderly end."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from typing import TYPE_CHECKING, Any

from tidemill.kernel.errors import DependencyUnavailableError
from tidemill.runtime.clients import KafkaException, kafka_error
from tidemill.runtime.failures import check_callback_error

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterator

    from tidemill.kernel.processor import Log
    from tidemill.kernel.records import Message
    from tidemill.runtime.faust_control import ControlApp
    from tidemill.runtime.faust_observer import ControlObserver
    from tidemill.runtime.faust_ticking import Ticking

TURN_S = 0.25
COMMIT_WITHIN_S = 5.0
END_WITHIN_S = 30.0
RETRY_AFTER_S = 0.5


class Stopping:
    """Whether the worker was asked to end."""

    def __init__(self) -> None:
        self.is_asked = False

    def __call__(self) -> None:
        """Take the signal."""
        self.is_asked = True


class BreathingLog:
    """A log whose reading ends when the worker does, whatever the cluster says.

    Args:
        log: Is read.
        stopping: Is looked at between batches.
    """

    def __init__(self, log: Log, stopping: Stopping) -> None:
        self._log = log
        self._stopping = stopping

    def span(self, topic: str, partition: int) -> tuple[int, int]:
        """Return the first retained offset and the last stable offset."""
        self._check()
        with _awaited(f"{topic}-{partition}"):
            return self._log.span(topic, partition)

    def read(self, topic: str, partition: int, start: int, stop: int) -> Iterator[list[Message]]:
        """Yield the committed records with start <= offset < stop, in order."""
        with _awaited(f"{topic}-{partition}"):
            for messages in self._log.read(topic, partition, start, stop):
                self._check()
                yield messages

    def _check(self) -> None:
        if self._stopping.is_asked:
            msg = "the log, for this worker is ending,"
            raise DependencyUnavailableError(msg, retry_after_s=0.0)


@contextlib.contextmanager
def _awaited(what: str) -> Iterator[None]:
    """Let a cluster that is away be waited for.

    Raises:
        DependencyUnavailableError: It is.
        InvariantError: It refuses this worker, or something else is wrong that does not pass.
    """
    try:
        yield
    except KafkaException as raised:
        error = kafka_error(raised)
        check_callback_error(error)
        raise DependencyUnavailableError(
            f"{what} ({error.name()})", retry_after_s=RETRY_AFTER_S
        ) from raised


def serve_control(
    build: Callable[[], ControlApp],
    stopping: Stopping,
    *,
    observer: ControlObserver,
    until_idle_s: float | None,
    halted: Callable[[BaseException], None],
    ticking: Ticking | None = None,
) -> None:
    """Run a worker until SIGTERM, until idle, or until it crashes.

    Args:
        build: Returns the app; called once the loop runs.
        until_idle_s: End after so many seconds without input; None means never.
        halted: Told what the worker halted on, before it is raised.
        ticking: Says when time is to be told.
    """
    try:
        run_out(_run(build, stopping, observer, until_idle_s=until_idle_s, ticking=ticking))
    except Exception as error:  # whatever it is, it is told, then raised
        halted(error)
        raise


def run_out(work: Coroutine[Any, Any, None]) -> None:  # Any: a coroutine's other types
    """Run a coroutine in a loop of its own; what it leaves behind has only so long to end.

    `asyncio.run` would wait for ever for tasks of Faust's that do not let themselves be ended
    while they wait for a broker.
    """
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        loop.run_until_complete(work)
    finally:
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        if left:
            loop.run_until_complete(asyncio.wait(left, timeout=COMMIT_WITHIN_S))
        loop.run_until_complete(loop.shutdown_asyncgens())
        asyncio.set_event_loop(None)
        if all(task.done() for task in left):
            loop.close()


async def _run(
    build: Callable[[], ControlApp],
    stopping: Stopping,
    observer: ControlObserver,
    *,
    until_idle_s: float | None,
    ticking: Ticking | None,
) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping)
    control = build()
    control.app.finalize()
    starting = asyncio.create_task(control.app.start())
    catching_up = asyncio.create_task(_catch_up(control, ticking))
    following = asyncio.create_task(control.follow_batches())
    try:
        while not stopping.is_asked and not control.app.crashed:
            observer.turned(time.monotonic())
            if starting.done():
                starting.result()
            if control.is_restored and _is_idle(control, observer, until_idle_s):
                break
            await asyncio.sleep(TURN_S)
    finally:
        stopping()
        await _end(control, starting, catching_up, following)
    if control.app.crash_reason is not None:
        raise control.app.crash_reason


def _is_idle(control: ControlApp, observer: ControlObserver, until_idle_s: float | None) -> bool:
    """Tell how far every partition lags; return whether nothing has come for long enough."""
    lags = control.lag()
    for tp, records in lags.items():
        if records is not None:
            observer.lagging(tp.topic, tp.partition, records)
    others = [records for tp, records in lags.items() if tp.topic != control.clock]
    if until_idle_s is None or any(records != 0 for records in others):
        return False
    return time.monotonic() - control.last_record >= until_idle_s


async def _catch_up(control: ControlApp, ticking: Ticking | None) -> None:
    """Look after what Faust does not hand over, for as long as the app runs."""
    while True:
        await asyncio.sleep(TURN_S)
        if control.is_restored:
            try:
                await control.catch_up()
                for emit in ticking.due(control.clock, control.lag()) if ticking else ():
                    await control.write(emit)
            except Exception as error:  # as in an agent: nothing else would end the app
                await control.app.crash(error)
                raise


async def _end(
    control: ControlApp, starting: asyncio.Task[None], *asking: asyncio.Task[None]
) -> None:
    """Stop the app, and whatever else goes on; first what would ask clients that are closed."""
    control.let_go()
    await _over(*asking)
    await control.app.producer.give_up(COMMIT_WITHIN_S)  # the next life writes it again
    if control.is_restored and not control.app.crashed:
        await _within(COMMIT_WITHIN_S, control.app.consumer.commit())
    await _within(END_WITHIN_S, control.app.stop())
    await _over(starting)


async def _over(*tasks: asyncio.Task[None]) -> None:
    """End tasks; those that do not let themselves be ended are not waited for."""
    for task in tasks:
        task.cancel()
    await asyncio.wait({asyncio.gather(*tasks, return_exceptions=True)}, timeout=COMMIT_WITHIN_S)


async def _within(seconds: float, work: Awaitable[object]) -> None:
    """Wait for something of Faust's no longer than that, whether or not it lets itself be ended."""
    task = asyncio.ensure_future(work)
    done, _ = await asyncio.wait({task}, timeout=seconds)
    task.cancel()
    for each in done:
        each.result()

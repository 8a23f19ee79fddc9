"""Calls that may never come back, given a time by which they must."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class HungError(Exception):
    """A call did not come back; whatever it holds is lost with it."""


def call_within(call: Callable[[], None], limit_s: float) -> None:
    """Call, and wait no longer than so many seconds for the end.

    librdkafka forgets the time-out of `send_offsets_to_transaction` while it looks for a group
    coordinator that has left the cluster's metadata, and may wait for ever: a broker that is
    stopped in good order is enough.

    Source: librdkafka issues 5456 and 5511.

    Raises:
        HungError: The call goes on, in a thread that nobody waits for any more.
        BaseException: Whatever the call raised.
    """
    raised: list[BaseException] = []

    def run() -> None:
        try:
            call()
        except BaseException as error:  # noqa: BLE001 - raised again where the call was asked for
            raised.append(error)

    thread = threading.Thread(target=run, name="call", daemon=True)
    thread.start()
    thread.join(limit_s)
    if thread.is_alive():
        msg = f"a call must come back within {limit_s:g} s"
        raise HungError(msg)
    if raised:
        raise raised[0]

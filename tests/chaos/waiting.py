"""Waiting for the world: poll, with a deadline, and say what did not come."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
POLL_S = 0.05


class LateError(Exception):
    """Something did not come within its deadline."""


def is_less(found: int | None, than: int) -> bool:
    """Return whether there is an answer, and it is less."""
    return found is not None and found < than


def await_value(
    read: Callable[[], T | None], what: Callable[[], str], deadline_s: float, poll_s: float = POLL_S
) -> T:
    """Poll until `read` returns something that is neither None nor False.

    Args:
        what: Says what was waited for and how things stand, for the message.

    Raises:
        LateError: It did not come in time.
    """
    deadline = time.monotonic() + deadline_s
    while True:
        value = read()
        if value is not None and value is not False:
            return value
        if time.monotonic() > deadline:
            msg = f"must come within {deadline_s:g} s: {what()}"
            raise LateError(msg)
        time.sleep(poll_s)

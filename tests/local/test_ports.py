"""Ports: free ones only, outside what the system hands to clients."""

from __future__ import annotations

import random
import socket
from typing import TYPE_CHECKING

import pytest

from tidemill.local.ports import HIGHEST, HOST, LOWEST, is_answered, is_free, pick_port

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server((HOST, 0)) as server:
        yield server.getsockname()[1]


class FirstTaken(random.Random):
    """Draws a given number first."""

    def __init__(self, first: int) -> None:
        super().__init__(0)
        self.first: int | None = first

    def randrange(self, start: int, stop: int | None = None, step: int = 1) -> int:
        first, self.first = self.first, None
        return first if first is not None else super().randrange(start, stop, step)


def test_a_port_with_a_listener_is_answered_and_not_free(taken: int) -> None:
    assert is_answered(taken)
    assert not is_free(taken)


def test_a_port_without_a_listener_is_free_and_not_answered() -> None:
    port = pick_port(random.Random())

    assert is_free(port)
    assert not is_answered(port)


def test_a_taken_port_is_passed_over(taken: int) -> None:
    assert pick_port(FirstTaken(taken)) != taken


def test_ports_lie_below_those_of_outgoing_connections() -> None:
    ports = [pick_port(random.Random(seed)) for seed in range(50)]

    assert all(LOWEST <= port < HIGHEST <= 32_768 for port in ports)

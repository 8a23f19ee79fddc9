"""Ports on the loopback interface that nobody listens on."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random

HOST = "127.0.0.1"
# Below the range from which systems take the ports of outgoing connections: a client that tries to
# reach a stopped broker could otherwise be given the broker's own port, and keep it from starting.
LOWEST = 10_000
HIGHEST = 32_000
ATTEMPTS = 200
CONNECT_S = 0.5


def is_free(port: int) -> bool:
    """Say whether a server could listen on a port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def is_answered(port: int) -> bool:
    """Say whether somebody listens on a port."""
    with socket.socket() as probe:
        probe.settimeout(CONNECT_S)
        return probe.connect_ex((HOST, port)) == 0


def pick_port(rng: random.Random) -> int:
    """Return a port that is free now."""
    for _ in range(ATTEMPTS):
        port = rng.randrange(LOWEST, HIGHEST)
        if is_free(port):
            return port
    msg = f"a port of {LOWEST}-{HIGHEST} must be free, {ATTEMPTS} tried were not"
    raise OSError(msg)

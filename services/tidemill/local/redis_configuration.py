"""Redis's configuration: loopback only, one user with a password, every write in a log."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from tidemill.local.ports import HOST

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

USER = "tidemill"
# Every key and channel of ours begins with it; the user reaches no others.
PREFIX = "tidemill:"
# `info` is dangerous where users share a server; here it tells when the data is loaded.
COMMANDS = "+@all -@admin -@dangerous +info"

FIXED = {
    "bind": HOST,
    "daemonize": "no",
    "databases": 1,
    # A process is told from strangers by its command line, which must stay as it was.
    "set-proc-title": "no",
    # The log of writes is the data; no snapshot beside it. `kill -9` loses nothing, a power cut
    # a second.
    "appendonly": "yes",
    "appendfsync": "everysec",
    "save": '""',
    # What does not fit is refused, never silently dropped.
    "maxmemory-policy": "noeviction",
    "tcp-backlog": 128,
}


def redis_conf(data: Path, port: int, password: str, extra: Mapping[str, str | int]) -> str:
    """Return the text of `redis.conf`; `extra` has the last word. It holds no clear password."""
    digest = hashlib.sha256(password.encode()).hexdigest()
    settings = FIXED | {"port": port, "dir": _quoted(str(data))} | dict(extra)
    # Channels first: on 6.2 a new user may use all of them.
    reach = f"resetchannels ~{PREFIX}* &{PREFIX}*"
    users = ("user default off", f"user {USER} on #{digest} {reach} {COMMANDS}")
    return "".join(f"{line}\n" for line in (*(f"{k} {v}" for k, v in settings.items()), *users))


def redis_url(port: int, password: str) -> str:
    """Return where clients connect, with what they say who they are."""
    return f"redis://{USER}:{password}@{HOST}:{port}/0"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'

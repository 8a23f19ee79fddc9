"""Waiting until our own Redis answers with its data loaded."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tidemill.local.ports import HOST, is_answered
from tidemill.local.redis_configuration import USER
from tidemill.local.redis_diagnosis import (
    redis_ended,
    redis_port_taken,
    redis_refused,
    redis_silent,
)

if TYPE_CHECKING:
    from redis import Redis

    from tidemill.local.instance import Home, Instance
    from tidemill.local.process import Process

ASK_S = 1.0
POLL_S = 0.01


def await_redis(instance: Instance, password: str, home: Home, patience_s: float) -> None:
    """Wait until the instance's own process answers and has read its log of writes.

    Raises:
        ConfigError: It ended, another answers at its address, or it took too long.
    """
    process = instance.process
    assert process is not None
    deadline = time.monotonic() + patience_s
    client = _client(instance.port, password)
    try:
        while time.monotonic() < deadline:
            if not process.is_alive():
                raise redis_ended(instance, home)
            if is_answered(instance.port) and _is_ready(client, process, instance, home):
                return
            time.sleep(POLL_S)
    finally:
        client.close()
    raise redis_silent(home, patience_s)


def _client(port: int, password: str) -> Redis:
    from redis import Redis  # noqa: PLC0415 - slow to import, and only to start one
    from redis.backoff import NoBackoff  # noqa: PLC0415 - as above
    from redis.retry import Retry  # noqa: PLC0415 - as above

    return Redis(
        HOST,
        port,
        username=USER,
        password=password,
        protocol=2,
        driver_info=None,
        socket_timeout=ASK_S,
        socket_connect_timeout=ASK_S,
        retry=Retry(NoBackoff(), 0),
    )


def _is_ready(client: Redis, process: Process, instance: Instance, home: Home) -> bool:
    from redis.exceptions import (  # noqa: PLC0415 - as above
        AuthenticationError,
        RedisError,
    )

    try:
        said = client.info()
    except AuthenticationError as error:
        if process.is_alive():
            raise redis_refused(instance.port, home) from error
        return False
    except (RedisError, OSError):  # not yet, or something else that listens there
        return False
    if said["process_id"] != process.pid:
        raise redis_port_taken(instance.port, home)
    return not said["loading"]

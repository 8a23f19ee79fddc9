"""The Redis client against the real server: limits, and every error as one of ours."""

from __future__ import annotations

import os
import resource
import signal
import socket
import time
from contextlib import closing
from typing import TYPE_CHECKING, TypeVar
from uuid import uuid4

import pytest
from redis.exceptions import ConnectionError as LostError
from redis.exceptions import ResponseError

from local.steady import UNSYNCED
from tidemill.kernel.errors import ConfigError, DependencyUnavailableError, InvariantError
from tidemill.local.redis import EmbeddedRedis, redis_running
from tidemill.runtime import redis_client
from tidemill.runtime.clients import TRANSACTION_TIMEOUT_MS
from tidemill.runtime.redis_client import (
    ANSWER_S,
    CONNECT_S,
    RETRIES,
    RETRY_AFTER_S,
    RedisClient,
    translate,
    without_password,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from redis import Redis

T = TypeVar("T")

DEADLINE_S = 300.0
# For the answer to a health check, and for that to each attempt.
WAITS = RETRIES + 2


SHORT_S = 0.5
TRIES = 3  # of which the shortest counts: the machine may stand still in any of them


def lost_s(client: RedisClient, key: str) -> float:
    """Return how long a command takes that is never answered."""
    began = time.monotonic()
    with pytest.raises(DependencyUnavailableError, match="Timeout reading"):
        client.run(lambda redis: redis.get(key))
    return time.monotonic() - began


def persist(call: Callable[[], T]) -> T:
    """Call until an answer comes in time."""
    deadline = time.monotonic() + DEADLINE_S
    while True:
        try:
            return call()
        except DependencyUnavailableError:
            assert time.monotonic() < deadline


@pytest.fixture
def key() -> str:
    return f"tidemill:{uuid4()}"


@pytest.fixture
def shared(redis_url: str) -> Iterator[RedisClient]:
    with closing(RedisClient(redis_url)) as client:
        yield client


@pytest.fixture
def own(tmp_path: Path) -> Iterator[EmbeddedRedis]:
    """A Redis that a test may harm."""
    with redis_running(tmp_path, settings=UNSYNCED) as redis:
        yield redis


def client_of(redis: EmbeddedRedis) -> RedisClient:
    assert redis.url is not None
    return RedisClient(redis.url)


def test_what_is_written_is_read(shared: RedisClient, key: str) -> None:
    shared.check()

    assert shared.run(lambda redis: redis.set(key, b"\x00\xff")) is True
    assert shared.run(lambda redis: redis.get(key)) == b"\x00\xff"


def test_answers_have_the_types_of_the_older_protocol(shared: RedisClient, key: str) -> None:
    shared.run(lambda redis: redis.zadd(key, {"a": 1.0}))

    assert shared.run(lambda redis: redis.zrange(key, 0, -1, withscores=True)) == [(b"a", 1.0)]


def test_an_error_that_is_not_rediss_stays_what_it_is(shared: RedisClient) -> None:
    with pytest.raises(ZeroDivisionError):
        shared.run(lambda _: 1 // 0)


def test_a_script_runs_also_after_the_server_forgot_it(shared: RedisClient, key: str) -> None:
    script = shared.run(lambda redis: redis.register_script("return redis.call('incr', KEYS[1])"))

    assert shared.run(lambda _: script(keys=[key])) == 1
    shared.run(lambda redis: redis.script_flush())
    assert shared.run(lambda _: script(keys=[key])) == 2


def test_a_restarted_redis_is_found_again_without_an_error(own: EmbeddedRedis, key: str) -> None:
    with closing(client_of(own)) as client:
        client.run(lambda redis: redis.set(key, 1))
        own.kill()
        own.start()

        assert client.run(lambda redis: redis.get(key)) == b"1"


def test_a_redis_that_is_away_is_waited_for(own: EmbeddedRedis, key: str) -> None:
    with closing(client_of(own)) as client:
        own.stop()

        with pytest.raises(DependencyUnavailableError, match="Redis at redis://tidemill@") as found:
            client.run(lambda redis: redis.get(key))

        assert found.value.retry_after_s > 0
        own.start()
        assert client.run(lambda redis: redis.get(key)) is None


def test_a_server_that_does_not_answer_takes_no_longer_than_the_limits(
    key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_client, "ANSWER_S", SHORT_S)
    with (
        socket.create_server(("127.0.0.1", 0)) as deaf,
        closing(RedisClient(f"redis://u:p@127.0.0.1:{deaf.getsockname()[1]}/0")) as client,
    ):
        took_s = [lost_s(client, key) for _ in range(TRIES)]
    attempts = RETRIES + 1
    limit_s = (CONNECT_S + SHORT_S + RETRY_AFTER_S) * attempts
    assert SHORT_S * attempts <= min(took_s) < limit_s


def test_a_server_that_froze_takes_no_longer_than_the_limits(
    own: EmbeddedRedis, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_client, "ANSWER_S", SHORT_S)
    monkeypatch.setattr(redis_client, "HEALTH_CHECK_S", 1e-9)
    pid = own.pid
    assert pid is not None
    took_s = []
    with closing(client_of(own)) as client:
        for _ in range(TRIES):
            persist(lambda: client.run(lambda redis: redis.set(key, 1)))
            os.kill(pid, signal.SIGSTOP)
            try:
                took_s.append(lost_s(client, key))
            finally:
                os.kill(pid, signal.SIGCONT)

        assert persist(lambda: client.run(lambda redis: redis.get(key))) == b"1"
    limit_s = (SHORT_S + RETRY_AFTER_S) * WAITS + CONNECT_S
    assert SHORT_S * WAITS <= min(took_s) < limit_s


def test_a_command_lost_every_time_is_given_up_within_a_transaction() -> None:
    lost_s = (ANSWER_S + RETRY_AFTER_S) * WAITS + CONNECT_S

    assert lost_s * 1000 < TRANSACTION_TIMEOUT_MS


def test_full_memory_is_waited_for_also_from_a_script(tmp_path: Path, key: str) -> None:
    with (
        redis_running(tmp_path, settings={"maxmemory": "2mb"}) as redis,
        closing(client_of(redis)) as client,
    ):

        def fill(redis: Redis) -> None:
            for number in range(100):
                redis.set(f"{key}:{number}", b"x" * 100_000)

        with pytest.raises(DependencyUnavailableError):
            client.run(fill)
        script = "return redis.call('set', KEYS[1], ARGV[1])"
        with pytest.raises(DependencyUnavailableError, match="maxmemory"):
            client.run(lambda redis: redis.eval(script, 1, key, b"x" * 100_000))


def test_a_log_that_cannot_be_written_is_waited_for_until_there_is_room(
    own: EmbeddedRedis, key: str
) -> None:
    pid = own.pid
    assert pid is not None
    unlimited = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    with closing(client_of(own)) as client:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (10_000, unlimited[1]))  # as a full disk

        def fill(redis: Redis) -> None:
            deadline = time.monotonic() + DEADLINE_S
            while time.monotonic() < deadline:
                redis.set(key, b"x" * 5_000)

        with pytest.raises(DependencyUnavailableError, match="Errors writing to the AOF file"):
            client.run(fill)

        resource.prlimit(pid, resource.RLIMIT_FSIZE, unlimited)
        deadline = time.monotonic() + DEADLINE_S
        while True:
            try:
                client.run(lambda redis: redis.set(key, b"room"))
                break
            except DependencyUnavailableError:
                assert time.monotonic() < deadline
        own.kill()
        own.start()
        assert client.run(lambda redis: redis.get(key)) == b"room"


def test_keys_that_are_not_ours_halt(shared: RedisClient) -> None:
    with pytest.raises(InvariantError, match=r"must accept this worker, it refused: .*permission"):
        shared.run(lambda redis: redis.get("other:x"))


def test_a_wrong_password_halts_and_before_the_start_misconfigures(redis: EmbeddedRedis) -> None:
    with closing(RedisClient(f"redis://tidemill:wrong@{redis.address}/0")) as client:
        with pytest.raises(InvariantError, match=r"it refused: .*invalid username-password"):
            client.run(lambda asked: asked.get("tidemill:x"))
        with pytest.raises(ConfigError, match=r"take user and password, found: .*invalid") as found:
            client.check()
    assert "wrong" not in str(found.value)


def test_a_redis_that_is_away_before_the_start_misconfigures(own: EmbeddedRedis) -> None:
    with closing(client_of(own)) as client:
        own.stop()

        with pytest.raises(ConfigError, match=r"must answer within 2 s .*found: .*refused"):
            client.check()


def test_a_redis_that_comes_back_before_the_start_is_waited_for(
    shared: RedisClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    ping, away = shared._redis.ping, [LostError("refused"), ResponseError("LOADING it")]

    def answer() -> object:
        if away:
            raise away.pop()
        return ping()

    monkeypatch.setattr(shared._redis, "ping", answer)
    told: list[str] = []
    shared.check(patience_s=30.0, tell=told.append)
    assert not away
    (said,) = told
    assert said == f"Redis at {shared.address}, found: LOADING it"


def test_a_wrong_password_is_told_at_once_however_long_redis_may_be_away(
    redis: EmbeddedRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "sleep", lambda _: pytest.fail("it waits"))
    with (
        closing(RedisClient(f"redis://tidemill:wrong@{redis.address}/0")) as client,
        pytest.raises(ConfigError, match="invalid"),
    ):
        client.check(patience_s=30.0)


def test_commands_that_are_wrong_halt(shared: RedisClient, key: str) -> None:
    shared.run(lambda redis: redis.set(key, b"text"))

    with pytest.raises(InvariantError, match=r"must carry out .* WRONGTYPE"):
        shared.run(lambda redis: redis.hget(key, "field"))


@pytest.mark.parametrize(
    "said",
    [
        "LOADING Redis is loading the dataset in memory",
        "BUSY Redis is busy running a script.",
        "MISCONF Errors writing to the AOF file: No space left on device",
        "Error running script (call to f_0): @user_script:1: -MISCONF Errors writing",
        "NOREPLICAS Not enough good replicas to write.",
    ],
)
def test_an_answer_that_passes_is_waited_for(said: str) -> None:
    assert isinstance(translate(ResponseError(said), "redis://h"), DependencyUnavailableError)


@pytest.mark.parametrize("said", ["ERR unknown command 'MISCONF'", "BUSYGROUP it exists", ""])
def test_any_other_answer_halts(said: str) -> None:
    assert isinstance(translate(ResponseError(said), "redis://h"), InvariantError)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "127.0.0.1:6379",
        "http://127.0.0.1:6379",
        "unix:///redis.sock",
        "redis://",
        "redis://u:secret@h:6379/0?protocol=3",
        "redis://u:secret@h:6379/0?socket_timeout=900",
        "redis://u:secret@h:port/0",
        "redis://u:secret@[h/0",
        "rediss://u:secret@h/0?ssl_no_such=1",
        "redis://u:secret@h/0?ssl_ca_certs=/ca.pem",
        "u:secret@h:6379/0",
        "redis:/u:secret@h:6379/0",
        "redis:u:secret@h:6379",
        "redis//u:secret@h:6379",
        "redis://u:secret/1@h:6379/0",
        "redis://u:12/secret@h:6379/0",
        "redis://u:12?secret@h:6379/0",
        "redis://u:12#secret@h:6379/0",
        "redis://secret:12?x@h:6379/0",
        "redis://u:secret[@h:6379/0",
    ],
)
def test_a_url_of_another_form_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(ConfigError, match="the Redis URL must be redis://user:password") as found:
        RedisClient(url).run(lambda redis: redis.ping())

    told: BaseException | None = found.value
    while told is not None:
        assert "secret" not in str(told)
        told = told.__cause__ or told.__context__


@pytest.mark.parametrize("url", ["redis://h", "rediss://u:p@h:1/0?ssl_ca_certs=/ca.pem"])
def test_a_url_of_the_form_is_taken_before_anything_is_connected(url: str) -> None:
    RedisClient(url).close()


def test_an_address_in_a_log_has_no_password() -> None:
    shown = without_password("rediss://user:secret@host:1/0?ssl_password=secret")

    assert shown == "rediss://user@host:1/0"
    assert without_password("redis://:secret@host/0") == "redis://host/0"

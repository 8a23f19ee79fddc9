"""The real Redis: started, killed, kept to its own keys, kept apart from others, stopped."""

from __future__ import annotations

import stat
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from redis import Redis
from redis.exceptions import AuthenticationError, NoPermissionError, ResponseError

from tidemill.kernel.errors import ConfigError
from tidemill.local.redis import EmbeddedRedis, redis_running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[EmbeddedRedis]:
    """A Redis that a test may stop and kill, in a directory with a difficult name."""
    monkeypatch.setattr("tidemill.local.redis.STOP_PATIENCE_S", 180.0)
    with redis_running(tmp_path / 'größe "1" \\ #') as redis:
        yield redis


def client(redis: EmbeddedRedis) -> Redis:
    assert redis.url is not None
    return Redis.from_url(redis.url, protocol=2, driver_info=None)


def write(redis: EmbeddedRedis, key: str, value: bytes) -> None:
    with client(redis) as asked:
        asked.set(f"tidemill:{key}", value)


def read(redis: EmbeddedRedis, key: str) -> object:
    with client(redis) as asked:
        return asked.get(f"tidemill:{key}")


def again(redis: EmbeddedRedis) -> EmbeddedRedis:
    """Return what another process finds in the directory."""
    return EmbeddedRedis(redis.home.folder.parent)


def test_starting_a_running_redis_again_changes_nothing(own: EmbeddedRedis) -> None:
    before = own.instance

    assert again(own).start() is None

    assert own.instance == before
    assert again(own).url == own.url


def test_many_starts_at_once_start_one_redis(tmp_path: Path) -> None:
    servers = [EmbeddedRedis(tmp_path) for _ in range(4)]
    try:
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(EmbeddedRedis.start, servers))

        assert len({server.pid for server in servers} - {None}) == 1
    finally:
        servers[0].stop()


def test_a_killed_redis_comes_back_with_its_data_address_and_password(own: EmbeddedRedis) -> None:
    url = own.url
    write(own, "kept", b"before the kill")

    own.kill()
    assert own.pid is None
    assert own.url is None
    note = own.start()

    assert note is not None
    assert note.endswith("killed, or the machine went down; started again, its data is kept")
    assert own.url == url
    assert read(own, "kept") == b"before the kill"


def test_a_stopped_redis_comes_back_with_its_data_and_without_a_remark(own: EmbeddedRedis) -> None:
    url = own.url
    write(own, "kept", b"before the stop")

    assert own.stop()
    assert not own.stop()
    assert own.unexpected_end() is None
    assert own.start() is None

    assert own.url == url
    assert read(own, "kept") == b"before the stop"


def test_it_ends_in_good_order_with_every_write_on_disk(own: EmbeddedRedis) -> None:
    own.stop()

    said = own.home.console.read_text("utf-8")
    assert "Calling fsync() on the AOF file" in said
    assert "bye bye" in said


def test_a_lost_state_file_costs_no_data(own: EmbeddedRedis) -> None:
    write(own, "kept", b"before the loss")
    own.stop()

    own.home.state.unlink()
    own.start()

    assert read(own, "kept") == b"before the loss"


def test_no_snapshot_is_written_beside_the_log_of_writes(own: EmbeddedRedis) -> None:
    write(own, "kept", b"x")
    own.stop()

    assert not list(own.home.data.rglob("*dump*"))
    assert list(own.home.data.rglob("appendonly*.aof"))


def test_redis_of_two_directories_never_meet(redis: EmbeddedRedis, own: EmbeddedRedis) -> None:
    write(own, "only.here", b"mine")

    assert read(redis, "only.here") is None
    assert redis.address != own.address
    assert redis.url is not None
    assert own.address is not None
    crossed = redis.url.rpartition("@")[0] + f"@{own.address}/0"
    with Redis.from_url(crossed) as asked, pytest.raises(AuthenticationError):
        asked.ping()
    own.stop()
    assert redis.pid is not None


@pytest.mark.parametrize("userinfo", ["", "tidemill:wrong@", ":wrong@", "default:@", "other:x@"])
def test_whoever_has_not_the_password_is_refused(redis: EmbeddedRedis, userinfo: str) -> None:
    with (
        Redis.from_url(f"redis://{userinfo}{redis.address}/0", driver_info=None) as asked,
        pytest.raises(AuthenticationError),
    ):
        asked.get("tidemill:x")


@pytest.mark.parametrize(
    "command",
    [
        lambda redis: redis.get("other:x"),
        lambda redis: redis.set("x", b"1"),
        lambda redis: redis.publish("other:x", b"1"),
        lambda redis: redis.flushall(),
        lambda redis: redis.keys("*"),
        lambda redis: redis.config_get("*"),
        lambda redis: redis.acl_list(),
        lambda redis: redis.shutdown(),
        lambda redis: redis.replicaof("NO", "ONE"),
    ],
)
def test_what_is_not_ours_is_refused(
    redis: EmbeddedRedis, command: Callable[[Redis], object]
) -> None:
    with client(redis) as asked, pytest.raises(NoPermissionError):
        command(asked)


def test_a_script_reaches_no_further_than_its_user(redis: EmbeddedRedis) -> None:
    with client(redis) as asked, pytest.raises(ResponseError, match=r"can't access|permission"):
        asked.eval("return redis.call('set', 'other:x', '1')", 0)


def test_what_is_ours_may_be_done(redis: EmbeddedRedis) -> None:
    with client(redis) as asked:
        assert asked.eval("return redis.call('set', KEYS[1], '1')", 1, "tidemill:script") == b"OK"
        assert asked.publish("tidemill:channel", b"1") == 0
        assert list(asked.scan_iter("tidemill:script")) == [b"tidemill:script"]
        assert isinstance(asked.memory_usage("tidemill:script"), int)
        with asked.pipeline(transaction=True) as pipe:
            assert pipe.hset("tidemill:hash", "a", 1).hdel("tidemill:hash", "a").execute() == [1, 1]


def test_files_that_hold_a_secret_are_for_their_owner_only(own: EmbeddedRedis) -> None:
    secret = own.home.folder / "password"
    password = secret.read_text("ascii").strip()

    for path in (own.configuration, secret):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    others = [p for p in own.home.folder.rglob("*") if p.is_file() and p != secret]
    assert [path.name for path in others if password.encode() in path.read_bytes()] == []


def test_it_listens_on_the_loopback_interface_only(own: EmbeddedRedis) -> None:
    text = own.configuration.read_text("utf-8")

    assert "\nbind 127.0.0.1\n" in f"\n{text}"


def test_memory_that_is_full_refuses_writes_and_drops_nothing(tmp_path: Path) -> None:
    with (
        redis_running(tmp_path, settings={"maxmemory": "2mb"}) as redis,
        client(redis) as asked,
    ):
        values = {f"tidemill:{number}": b"x" * 100_000 for number in range(100)}
        with pytest.raises(ResponseError, match="maxmemory"):
            deque(map(asked.set, values, values.values()), maxlen=0)

        assert asked.exists("tidemill:0")


def test_a_password_that_was_changed_is_told(own: EmbeddedRedis) -> None:
    (own.home.folder / "password").write_text("other\n", encoding="ascii")

    with pytest.raises(ConfigError, match=r"must take the password in .*it refused: .*down --dir"):
        again(own).start()

    assert own.pid is not None


def test_another_redis_at_the_address_is_not_taken_for_ours(
    redis: EmbeddedRedis, tmp_path: Path
) -> None:
    copy = EmbeddedRedis(tmp_path)
    assert redis.instance is not None
    copy.home.create()
    (copy.home.folder / "password").write_text((redis.home.folder / "password").read_text("ascii"))
    with redis_running(tmp_path / "other") as other:
        assert other.instance is not None
        mixed = other.instance.process
        copy.home.save(type(redis.instance)("", redis.instance.port, 0, mixed))

        with pytest.raises(ConfigError, match="another process listens on it; end that process"):
            copy.start()


def test_one_that_ended_while_it_started_says_what_it_said_last(own: EmbeddedRedis) -> None:
    write(own, "kept", b"x")
    own.stop()
    for log in own.home.data.rglob("*.aof"):
        log.write_bytes(b"*1\r\n$7\r\nno such\r\n$1\r\n" + log.read_bytes())

    with pytest.raises(ConfigError, match=r"Redis must stay up, it ended .*console\.log") as raised:
        own.start()

    assert "\n" not in str(raised.value)
    assert own.pid is None


def test_a_setting_it_does_not_know_is_told_with_its_line(tmp_path: Path) -> None:
    redis = EmbeddedRedis(tmp_path, settings={"no-such-setting": "1"})

    with pytest.raises(ConfigError, match=r"it ended while it started.*no-such-setting"):
        redis.start()

    assert redis.instance is None

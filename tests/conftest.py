"""What every test may ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from local.quick_java import quick_java
from local.steady import STEADY, UNSYNCED
from tidemill.local.kafka import running
from tidemill.local.redis import redis_running
from tidemill.local.registry import registry_running

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tidemill.local.kafka import EmbeddedKafka
    from tidemill.local.redis import EmbeddedRedis

# No example may fail for being slow, nor another run draw others: `--hypothesis-profile=default`
# draws anew.
settings.register_profile(
    "same on every machine",
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("same on every machine")

REGISTRY_WITHIN_S = 180


@pytest.fixture(scope="session", autouse=True)
def java(request: pytest.FixtureRequest) -> Iterator[None]:
    """Have brokers start quickly, if a test of this run may start one."""
    if any(item.get_closest_marker("broker") for item in request.session.items):
        with quick_java():
            yield
    else:
        yield


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedKafka]:
    """One real broker for the whole run; tests share it, so each takes topics of its own."""
    with running(tmp_path_factory.mktemp("broker"), settings=STEADY) as kafka:
        yield kafka


@pytest.fixture(scope="session")
def registry_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One real Schema Registry for the whole run; each test takes subjects of its own."""
    with (
        pytest.MonkeyPatch.context() as patch,
        registry_running(tmp_path_factory.mktemp("registry")) as url,
    ):
        # Java has yet to load what answers the first requests.
        patch.setattr("tidemill.runtime.registry._TIMEOUT_S", REGISTRY_WITHIN_S)
        yield url


@pytest.fixture(scope="session")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedRedis]:
    """One real Redis for the whole run; each test takes keys of its own."""
    with redis_running(tmp_path_factory.mktemp("redis"), settings=UNSYNCED) as server:
        yield server


@pytest.fixture
def redis_url(redis: EmbeddedRedis) -> str:
    """Where the Redis of the run is reached."""
    assert redis.url is not None
    return redis.url

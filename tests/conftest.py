"""What every test may ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from local.quick_java import quick_java
from tidemill.local.kafka import running
from tidemill.local.registry import registry_running

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tidemill.local.kafka import EmbeddedKafka


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
    with running(tmp_path_factory.mktemp("broker")) as kafka:
        yield kafka


@pytest.fixture(scope="session")
def registry_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One real Schema Registry for the whole run; each test takes subjects of its own."""
    with registry_running(tmp_path_factory.mktemp("registry")) as url:
        yield url

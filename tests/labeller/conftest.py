"""Stores of cases: in memory, and a real Redis."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import pytest

from labeller.stores import ONE, PARTITIONS
from tidemill.runtime.pending_redis import RedisPending
from tidemill.testing.memory_pending import MemoryPending

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from tidemill.contracts.pending import PendingStore


@pytest.fixture
def redis_store(redis_url: str) -> Iterator[Callable[[Mapping[str, int]], RedisPending]]:
    stores = []

    def make(streams: Mapping[str, int]) -> RedisPending:
        stores.append(RedisPending(redis_url, (f"test-{uuid.uuid4()}", str), PARTITIONS, streams))
        return stores[-1]

    yield make
    for store in stores:
        store.close()


@pytest.fixture(params=["memory", "redis"])
def store(request: pytest.FixtureRequest) -> PendingStore:
    if request.param == "memory":
        return MemoryPending(PARTITIONS, ONE)
    made: PendingStore = request.getfixturevalue("redis_store")(ONE)
    return made

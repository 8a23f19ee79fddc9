"""A bench per test, on the broker of the run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from rules.harness import Bench

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tidemill.local.kafka import EmbeddedKafka


@pytest.fixture
def bench(broker: EmbeddedKafka) -> Iterator[Bench]:
    bench = Bench(broker.bootstrap)
    yield bench
    bench.close()

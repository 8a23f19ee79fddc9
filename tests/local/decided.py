"""Waiting until transactions of a real broker are decided for its readers, too."""

from __future__ import annotations

import time
from contextlib import closing
from typing import TYPE_CHECKING

from local.topics import POLL_S, WITHIN_S
from tidemill.runtime.clients import KafkaClients
from tidemill.runtime.kafka_log import KafkaLog

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tidemill.runtime.clients import GroupConsumer


class _Uncommitted(KafkaClients):
    """Makes readers that see what no transaction has committed yet."""

    def reader(self) -> GroupConsumer:
        return self.uncommitted_reader()


def await_decided(bootstrap: str, places: Iterable[tuple[str, int]]) -> None:
    """Wait until readers of committed records see these partitions to their ends.

    To commit, or to abort, returns before its markers are written: for a moment a reader ends in
    front of what was committed.
    """
    deadline = time.monotonic() + WITHIN_S
    with (
        closing(KafkaLog(_Uncommitted(bootstrap), timeout_s=WITHIN_S)) as written,
        closing(KafkaLog(KafkaClients(bootstrap), timeout_s=WITHIN_S)) as log,
    ):
        for topic, partition in places:
            end = written.span(topic, partition)[1]
            while log.span(topic, partition)[1] < end:
                assert time.monotonic() < deadline, f"{topic}-{partition}: never decided"
                time.sleep(POLL_S)

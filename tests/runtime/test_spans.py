"""Where a partition begins and ends, asked of a cluster that has just come up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest

from tidemill.kernel.errors import DependencyUnavailableError
from tidemill.runtime import kafka_log
from tidemill.runtime.clients import KafkaError, KafkaException
from tidemill.runtime.kafka_log import KafkaLog
from tidemill.runtime.tailing import BEGINNING, Place, follow
from tidemill.runtime.written_ends import WrittenEnds

if TYPE_CHECKING:
    from tidemill.runtime.clients import Clients, KafkaClients

SPAN = (3, 9)
MOVES = KafkaError.NOT_LEADER_FOR_PARTITION
UNKNOWN = KafkaError._UNKNOWN_PARTITION


class Reader:
    """Answers after some errors; it is whatever makes it, too."""

    def __init__(self, *codes: int) -> None:
        self.codes = list(codes)
        self.assigned: list[Any] = []  # Any: as confluent_kafka has them

    def get_watermark_offsets(self, *_: object) -> tuple[int, int]:
        if self.codes:
            raise KafkaException(KafkaError(self.codes.pop(0)))
        return SPAN

    def assign(self, partitions: list[Any]) -> None:  # Any: as above
        self.assigned = partitions

    def consume(self, *_: object) -> list[object]:
        return []

    def reader(self) -> Reader:
        return self

    def uncommitted_reader(self) -> Reader:
        return self

    def close(self) -> None: ...


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka_log, "MOVING_S", 0.0)


def test_a_leader_that_is_being_chosen_is_asked_again() -> None:
    log = KafkaLog(cast("Clients", Reader(MOVES, MOVES)))
    ends = WrittenEnds(cast("KafkaClients", Reader(MOVES)))

    assert log.span("t", 0) == SPAN
    assert ends("t", 0) == SPAN[1]


def test_a_partition_that_the_cluster_does_not_show_yet_is_waited_for() -> None:
    log = KafkaLog(cast("Clients", Reader(UNKNOWN)))
    ends = WrittenEnds(cast("KafkaClients", Reader(UNKNOWN)))

    for ask in (log.span, ends):
        with pytest.raises(DependencyUnavailableError, match="t-0 in the cluster's metadata"):
            ask("t", 0)
    assert (log.span("t", 0), ends("t", 0)) == (SPAN, SPAN[1])


def test_what_else_is_said_is_not_passed_over() -> None:
    for ask in (
        KafkaLog(cast("Clients", Reader(KafkaError._TRANSPORT))).span,
        WrittenEnds(cast("KafkaClients", Reader(KafkaError._TRANSPORT))),
    ):
        with pytest.raises(KafkaException, match="_TRANSPORT"):
            ask("t", 0)


def test_a_topic_is_followed_once_its_leaders_are_known() -> None:
    reader = Reader(UNKNOWN, MOVES, MOVES)

    batches = follow(cast("Any", reader), "t", [0], Place(BEGINNING), is_endless=True)

    assert next(batches) == []
    assert [part.offset for part in reader.assigned] == [SPAN[0]]
    batches.close()


def test_a_partition_that_stays_without_a_leader_is_the_callers() -> None:
    log = KafkaLog(cast("Clients", Reader(*[MOVES] * 9)), timeout_s=0.0)
    with pytest.raises(KafkaException, match="NOT_LEADER"):
        log.span("t", 0)

"""What a topic holds, asked of a cluster that has just come up."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

import pytest

from runtime.learners import plant_cluster
from tidemill.contracts.topics import LEDGER
from tidemill.kernel.errors import DependencyUnavailableError
from tidemill.runtime.clients import KafkaError, KafkaException
from tidemill.runtime.kafka_log import KafkaLog
from tidemill.testing.consumers import MemoryConsumer

if TYPE_CHECKING:
    from collections.abc import Callable


def raising(code: int) -> Callable[..., None]:
    """Return a call that raises a Kafka error."""

    def call(*_: object) -> None:
        raise KafkaException(KafkaError(code))

    return call


@pytest.mark.parametrize(
    "code",
    [
        KafkaError._UNKNOWN_PARTITION,
        KafkaError._UNKNOWN_TOPIC,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
    ],
)
def test_a_partition_the_cluster_does_not_know_yet_is_asked_for_again(
    code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = KafkaLog(plant_cluster().process())
    monkeypatch.setattr(MemoryConsumer, "get_watermark_offsets", raising(code))
    with pytest.raises(DependencyUnavailableError, match=rf"{LEDGER}-0"):
        log.span(LEDGER, 0)

    monkeypatch.undo()
    assert log.span(LEDGER, 0) == (0, 0)


def test_any_other_error_is_the_callers(monkeypatch: pytest.MonkeyPatch) -> None:
    log = KafkaLog(plant_cluster().process())
    monkeypatch.setattr(
        MemoryConsumer, "get_watermark_offsets", raising(KafkaError.TOPIC_AUTHORIZATION_FAILED)
    )

    with pytest.raises(KafkaException):
        log.span(LEDGER, 0)


def test_a_partition_whose_leader_is_being_chosen_is_asked_for_until_there_is_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers = deque([KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE])
    ask = MemoryConsumer.get_watermark_offsets

    def answer(self: MemoryConsumer, *where: Any) -> Any:
        if answers:
            raise KafkaException(KafkaError(answers.popleft()))
        return ask(self, *where)

    monkeypatch.setattr(MemoryConsumer, "get_watermark_offsets", answer)

    assert KafkaLog(plant_cluster().process(), timeout_s=300.0).span(LEDGER, 0) == (0, 0)


def test_a_partition_that_stays_without_a_leader_is_the_callers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log = KafkaLog(plant_cluster().process(), timeout_s=0.0)
    always = raising(KafkaError.NOT_LEADER_FOR_PARTITION)
    monkeypatch.setattr(MemoryConsumer, "get_watermark_offsets", always)

    with pytest.raises(KafkaException):
        log.span(LEDGER, 0)

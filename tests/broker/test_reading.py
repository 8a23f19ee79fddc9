"""A topic is read to its end, what is undecided there included."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, wait
from typing import TYPE_CHECKING

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from chaos.reading import QUIET, read_topic
from local.topics import create_topics

if TYPE_CHECKING:
    from tidemill.local.kafka import EmbeddedKafka

WITHIN_S = 180.0
# So long would a reader that waits for nothing take many times over.
UNDECIDED_S = 3.0


@pytest.mark.broker
@pytest.mark.parametrize(
    ("ending", "told"),
    [("commit_transaction", [b"told"]), ("abort_transaction", [])],
    ids=["committed", "aborted"],
)
def test_what_is_undecided_while_a_topic_is_read_is_waited_for(
    broker: EmbeddedKafka, ending: str, told: list[bytes]
) -> None:
    topic = f"reading.{ending}"
    admin = AdminClient({**QUIET, "bootstrap.servers": broker.bootstrap})
    create_topics(admin, [NewTopic(topic, 2, 1)])
    producer = Producer({**QUIET, "bootstrap.servers": broker.bootstrap, "transactional.id": topic})
    producer.init_transactions(WITHIN_S)
    producer.begin_transaction()
    producer.produce(topic, b"told", partition=0)
    producer.flush(WITHIN_S)
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(read_topic, broker.bootstrap, topic, 2)
        done, _ = wait({reading}, UNDECIDED_S)
        getattr(producer, ending)(WITHIN_S)
        found = reading.result(WITHIN_S)

    assert not done
    assert [[record.value for record in part] for part in found] == [told, []]

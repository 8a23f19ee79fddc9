"""A bare confluent-kafka loop: consume, work, produce, commit offsets, in transactions.

Mode `pass` copies the bytes, the floor of any engine on this client; mode `river` does the job
with its models in memory only: after a crash they start anew, however exact the offsets are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from confluent_kafka import Consumer, Message, Producer

from bench.peers.options import Options, read_options

if TYPE_CHECKING:
    from collections.abc import Callable

BATCH = 1_000
WAIT_S = 0.05


def build_work(mode: str) -> Callable[[bytes], bytes]:
    """Return what is done with each value."""
    if mode == "pass":
        return bytes
    from bench.peers.job import Job  # noqa: PLC0415 - pass-through must not pay for River's import

    return Job().process


def run_transaction(
    consumer: Consumer, producer: Producer, messages: list[Message], emit: Callable[[Message], None]
) -> None:
    """Produce for one batch and commit its offsets in the same transaction."""
    producer.begin_transaction()
    for message in messages:
        if message.error() is not None:
            raise SystemExit(str(message.error()))
        emit(message)
    producer.flush()
    producer.send_offsets_to_transaction(
        consumer.position(consumer.assignment()), consumer.consumer_group_metadata()
    )
    producer.commit_transaction()


def main(options: Options) -> None:
    """Process the events asked for, then end."""
    consumer = Consumer(
        {
            "bootstrap.servers": options.bootstrap,
            "group.id": options.group,
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
        }
    )
    producer = Producer(
        {
            "bootstrap.servers": options.bootstrap,
            "transactional.id": options.group,
            "retry.backoff.ms": 10,
        }
    )
    producer.init_transactions()
    consumer.subscribe([options.source])
    work = build_work(options.mode)

    def emit(message: Message) -> None:
        value, partition = message.value(), message.partition()
        assert value is not None
        assert partition is not None
        producer.produce(options.sink, work(value), message.key(), partition=partition)

    done = 0
    while done < options.events:
        messages = consumer.consume(BATCH, WAIT_S)
        if messages:
            run_transaction(consumer, producer, messages, emit)
            done += len(messages)
    consumer.close()


if __name__ == "__main__":
    main(read_options())

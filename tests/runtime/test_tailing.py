"""Following a topic: where it starts, what it shows, when it ends."""

from __future__ import annotations

from itertools import chain, islice

import pytest

from tidemill.kernel.errors import ConfigError
from tidemill.runtime.tailing import Place, follow
from tidemill.testing.cluster import MemoryCluster

TOPIC = "some.topic"


def cluster(*counts: int) -> MemoryCluster:
    """Return a cluster whose topic has so many records in each partition, named by offset."""
    made = MemoryCluster({TOPIC: len(counts)})
    for partition, count in enumerate(counts):
        for offset in range(count):
            made.append(TOPIC, partition, str(offset).encode())
    return made


def shown(made: MemoryCluster, place: str, *partitions: int) -> list[tuple[int, int]]:
    batches = follow(made.reader(), TOPIC, partitions or (0,), Place(place), is_endless=False)
    return [(m.partition, m.offset) for m in chain.from_iterable(batches)]


@pytest.mark.parametrize(
    ("place", "offsets"),
    [
        ("beginning", [2, 3, 4]),
        ("end", []),
        ("3", [3, 4]),
        ("0", [2, 3, 4]),
        ("9", []),
        ("-2", [3, 4]),
        ("-9", [2, 3, 4]),
        ("-0", []),
    ],
)
def test_a_place_is_an_offset_within_what_is_retained(place: str, offsets: list[int]) -> None:
    made = cluster(5)
    made.delete_records(TOPIC, 0, 2)

    assert shown(made, place) == [(0, offset) for offset in offsets]


@pytest.mark.parametrize("place", ["", "-", "first", "1.5", "--1", "²"])
def test_what_names_no_place_is_refused(place: str) -> None:
    with pytest.raises(ConfigError, match="must be beginning, end, N or -N"):
        Place(place)


def test_every_partition_is_read_to_its_end() -> None:
    assert sorted(shown(cluster(2, 0, 1), "beginning", 0, 1, 2)) == [(0, 0), (0, 1), (2, 0)]


def test_only_committed_records_are_shown() -> None:
    made = cluster(1)
    producer = made.producer("t")
    producer.init_transactions(1.0)
    producer.begin_transaction()
    producer.produce(TOPIC, value=b"aborted", key=None, partition=0)
    producer.flush(1.0)
    producer.abort_transaction(1.0)
    made.append(TOPIC, 0, b"after")

    assert shown(made, "beginning") == [(0, 0), (0, 3)]


def test_an_endless_tail_goes_on_behind_the_end_and_drops_what_comes_before_its_place() -> None:
    made = cluster(1)
    batches = follow(made.reader(), TOPIC, (0,), Place("2"), is_endless=True)
    assert next(batches) == []
    for text in (b"1", b"2", b"3"):
        made.append(TOPIC, 0, text)

    assert [m.value for m in islice(chain.from_iterable(batches), 2)] == [b"2", b"3"]
    batches.close()

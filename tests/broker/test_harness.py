"""The checkers of the proofs bite: what is lost, doubled, reordered or altered is seen."""

from __future__ import annotations

import hashlib
import struct
from typing import TYPE_CHECKING

import pytest

from chaos.balance import BrokenPromiseError, check_answers
from chaos.data import power_rows
from chaos.plain_river import PlainLoop, bits
from chaos.reading import Arrivals, Record
from chaos.tampering import HEADER, Bit, crc32c, flip
from chaos.watching import Level, Sample

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("predicted", "dead"),
    [
        ([0, 1, 3], []),
        ([0, 1, 1, 2, 3], []),
        ([0, 2, 1, 3], []),
        ([0, 1, 2, 3], [3]),
        ([0, 1, 2, 3, 4], []),
        ([1, 2, 3], [1]),
    ],
    ids=["lost", "doubled", "reordered", "answered twice", "foreign", "lost and answered twice"],
)
def test_a_history_that_breaks_the_promise_is_refused(
    predicted: list[int], dead: list[int]
) -> None:
    with pytest.raises(BrokenPromiseError):
        check_answers(0, [0, 1, 2, 3], predicted, dead)


def test_one_answer_to_each_event_in_order_is_the_promise() -> None:
    check_answers(0, [0, 1, 2, 3], [0, 2, 3], [1])


def test_two_doubles_that_print_alike_in_short_are_told_apart_by_their_bits() -> None:
    assert bits(0.1 + 0.2) != bits(0.3)
    assert bits(0.0) != bits(-0.0)


def test_the_plain_loop_predicts_before_it_learns() -> None:
    loop = PlainLoop()
    row = next(power_rows())

    first, again = loop.take(row), loop.take(row)

    assert first[0].probabilities == (("0", bits(0.5)), ("1", bits(0.5)))
    assert again != first


def test_growth_in_the_last_third_is_seen_and_a_level_is_none() -> None:
    growing = Level.of([Sample(n / 30, 1000 + 100 * n) for n in range(30)])
    level = Level.of([Sample(n / 30, 1000 + 100 * min(n, 10)) for n in range(30)])

    with pytest.raises(BrokenPromiseError):
        growing.check("size", share=0.05, slack=0)
    level.check("size", share=0.0, slack=0)


def test_the_first_prediction_after_a_moment_is_found_by_when_it_was_written() -> None:
    arrivals = Arrivals(1)
    for offset, (written_ms, seen) in enumerate([(100, 1.0), (200, 2.0), (300, 3.0)]):
        arrivals.take(Record(0, offset, written_ms, None, b"", {}), seen)

    assert arrivals.first_after(0, 150.5) == 2.0
    assert arrivals.first_after(0, 300.0) is None


def test_the_checksum_is_castagnolis() -> None:
    assert crc32c(b"123456789") == 0xE3069283


def test_a_flipped_bit_changes_one_bit_and_keeps_the_batch_valid(tmp_path: Path) -> None:
    folder = tmp_path / "topic-0"
    folder.mkdir()
    log = folder / "00000000000000000000.log"
    log.write_bytes(batch([b"first", b"second", b"third"]))

    flip(tmp_path, Bit("topic", 0, offset=1, byte=2, bit=5))

    after = log.read_bytes()
    assert b"seCond" in after
    assert struct.unpack_from(">I", after, 17)[0] == crc32c(after[21:])
    flip(tmp_path, Bit("topic", 0, offset=1, byte=2, bit=5))
    assert (
        hashlib.sha256(log.read_bytes()).digest()
        == hashlib.sha256(batch([b"first", b"second", b"third"])).digest()
    )


def batch(values: list[bytes]) -> bytes:
    """Return a record batch of format 2 with one record for each value."""
    records = b""
    for n, value in enumerate(values):
        body = bytes([0, 0, 2 * n, 2 * 1]) + b"k" + bytes([2 * len(value)]) + value + bytes([0])
        records += bytes([2 * len(body)]) + body
    length = HEADER.size + len(records) - 12
    last = len(values) - 1
    head = HEADER.pack(0, length, 0, 2, 0, 0, last, 0, 0, -1, 0, -1, len(values)) + records
    return head[:17] + struct.pack(">I", crc32c(head[21:])) + head[21:]

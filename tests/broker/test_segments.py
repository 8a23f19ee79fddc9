"""The flipper of bits on disk, on batches made by hand."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.segments import Batch, batches, crc32c, flip_bit

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

Pair = tuple[bytes | None, bytes | None]
pairs = st.lists(
    st.tuples(st.none() | st.binary(max_size=9), st.binary(min_size=1, max_size=300)),
    min_size=1,
    max_size=6,
)


def zigzag(number: int) -> bytes:
    rest, out = (number << 1) ^ (number >> 63), bytearray()
    while rest > 0x7F:
        out.append(rest & 0x7F | 0x80)
        rest >>= 7
    return bytes((*out, rest))


def sized(part: bytes | None) -> bytes:
    return zigzag(-1) if part is None else zigzag(len(part)) + part


def make_batch(base: int, records: Sequence[Pair], *, attributes: int = 0) -> bytes:
    """Return a batch as a producer would send it."""
    body = b""
    for delta, (key, value) in enumerate(records):
        record = b"\0" + zigzag(70 * delta) + zigzag(delta) + sized(key) + sized(value) + zigzag(0)
        body += zigzag(len(record)) + record
    count = len(records)
    covered = struct.pack(">hiqqqhii", attributes, count - 1, 0, 0, 7, 0, 0, count) + body
    head = struct.pack(">iBI", 0, 2, crc32c(covered))
    return struct.pack(">qi", base, len(head) + len(covered)) + head + covered


def values_in(data: bytes) -> dict[int, bytes]:
    found = {}
    for batch in batches(data):
        for offset in range(batch.base_offset, batch.last_offset + 1):
            place = batch.value_of(offset)
            if place is not None:
                found[offset] = batch.data[place[0] : place[0] + place[1]]
    return found


def test_the_checksum_is_castagnolis() -> None:
    assert crc32c(b"123456789") == 0xE3069283


@given(pairs, pairs, st.data())
def test_one_bit_of_one_value_differs_and_the_checksum_agrees(
    first: list[Pair], second: list[Pair], data: st.DataObject
) -> None:
    segment = make_batch(10, first) + make_batch(10 + len(first) + 1, second)
    before = values_in(segment)
    offset = data.draw(st.sampled_from(sorted(before)))
    bit = data.draw(st.integers(0, 8 * len(before[offset]) - 1))
    altered = segment
    for batch in batches(segment):
        if batch.base_offset <= offset <= batch.last_offset:
            new = batch.flipped(offset, bit)
            altered = segment[: batch.start] + new + segment[batch.start + len(new) :]
    after = values_in(altered)
    assert len(altered) == len(segment)
    assert all(batch.is_sound for batch in batches(altered))
    assert {o for o in before if before[o] != after[o]} == {offset}
    difference = int.from_bytes(before[offset], "little") ^ int.from_bytes(after[offset], "little")
    assert difference == 1 << bit


def test_the_segment_that_holds_the_offset_is_altered(tmp_path: Path) -> None:
    folder = tmp_path / "t-1"
    folder.mkdir()
    old, new = folder / f"{0:020}.log", folder / f"{5:020}.log"
    old.write_bytes(make_batch(0, [(None, b"a")]))
    new.write_bytes(make_batch(5, [(b"k", b"b"), (b"k", b"c")]) + bytes(100))

    flip_bit(tmp_path, "t", 1, offset=6, bit=0)

    assert values_in(old.read_bytes()) == {0: b"a"}
    assert values_in(new.read_bytes()) == {5: b"b", 6: b"b"}
    with pytest.raises(AssertionError, match="must lie in a segment"):
        flip_bit(tmp_path, "t", 1, offset=99, bit=0)


def test_compressed_batches_and_control_markers_are_refused() -> None:
    for attributes in (1, 0x20):
        batch = Batch(0, make_batch(0, [(None, b"a")], attributes=attributes))
        with pytest.raises(AssertionError, match="only plain records"):
            batch.flipped(0, 0)


def test_a_record_without_value_has_no_bit_to_flip() -> None:
    with pytest.raises(AssertionError, match="no value"):
        Batch(0, make_batch(0, [(b"k", None)])).flipped(0, 0)

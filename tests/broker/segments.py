"""Flips one bit of one record where Kafka keeps it on disk, so that the broker still serves it.

Source: Apache Kafka, record batch format, version 2.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# baseOffset, batchLength, partitionLeaderEpoch, magic, crc
_HEAD = struct.Struct(">qiibI")
# attributes, lastOffsetDelta, baseTimestamp, maxTimestamp, producerId, producerEpoch,
# baseSequence, number of records
_REST = struct.Struct(">hiqqqhii")
_LENGTH_ENDS_AT = 12
_CRC_AT = 17
_CRC_COVERS_FROM = 21
_MAGIC = 2
_COMPRESSION = 0x07
_CONTROL = 0x20


def _table() -> tuple[int, ...]:
    """Return the table of CRC-32C, Castagnoli's polynomial reflected."""
    table = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = (value >> 1) ^ 0x82F63B78 if value & 1 else value >> 1
        table.append(value)
    return tuple(table)


_TABLE = _table()


def crc32c(data: bytes) -> int:
    """Return the CRC-32C of `data`."""
    value = 0xFFFFFFFF
    for byte in data:
        value = _TABLE[(value ^ byte) & 0xFF] ^ (value >> 8)
    return value ^ 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Batch:
    """One record batch: where it lies in its file, and its bytes."""

    start: int
    data: bytes

    @property
    def base_offset(self) -> int:
        return int(_HEAD.unpack_from(self.data)[0])

    @property
    def last_offset(self) -> int:
        return self.base_offset + int(_REST.unpack_from(self.data, _CRC_COVERS_FROM)[1])

    @property
    def attributes(self) -> int:
        return int(_REST.unpack_from(self.data, _CRC_COVERS_FROM)[0])

    @property
    def is_sound(self) -> bool:
        return bool(crc32c(self.data[_CRC_COVERS_FROM:]) == _HEAD.unpack_from(self.data)[4])

    def value_of(self, offset: int) -> tuple[int, int] | None:
        """Return where in `data` the value of a record lies, and its length; None without one."""
        at = _CRC_COVERS_FROM + _REST.size
        for _ in range(_REST.unpack_from(self.data, _CRC_COVERS_FROM)[7]):
            length, at = _varint(self.data, at)
            end = at + length
            _, at = _varint(self.data, at + 1)  # attributes, then the time's difference
            delta, at = _varint(self.data, at)
            key, at = _varint(self.data, at)
            size, at = _varint(self.data, at + max(0, key))
            if self.base_offset + delta == offset:
                return (at, size) if size > 0 else None
            at = end
        return None

    def flipped(self, offset: int, bit: int) -> bytes:
        """Return the batch with one bit of one value flipped, and a checksum that agrees."""
        assert _HEAD.unpack_from(self.data)[3] == _MAGIC
        assert not self.attributes & (_COMPRESSION | _CONTROL), "only plain records are understood"
        assert self.is_sound
        found = self.value_of(offset)
        assert found is not None, f"no value stands at {offset}"
        at, size = found
        byte, place = divmod(bit % (8 * size), 8)
        data = bytearray(self.data)
        data[at + byte] ^= 1 << place
        struct.pack_into(">I", data, _CRC_AT, crc32c(bytes(data[_CRC_COVERS_FROM:])))
        return bytes(data)


def batches(data: bytes) -> Iterator[Batch]:
    """Yield the batches of a segment; what is preallocated behind them is left out."""
    at = 0
    while at + _HEAD.size < len(data):
        length = _HEAD.unpack_from(data, at)[1]
        if length <= 0:
            return
        yield Batch(at, data[at : at + _LENGTH_ENDS_AT + length])
        at += _LENGTH_ENDS_AT + length


def flip_bit(data_folder: Path, topic: str, partition: int, *, offset: int, bit: int) -> None:
    """Flip one bit of the value of one record. The broker must be down.

    Args:
        data_folder: The broker's `log.dirs`.
        topic: The record's topic.
        partition: Its partition.
        offset: Its offset.
        bit: Which bit of its value, counted from the first byte's lowest; taken modulo its size.
    """
    for segment in sorted((data_folder / f"{topic}-{partition}").glob("*.log")):
        data = segment.read_bytes()
        for batch in batches(data):
            if batch.base_offset <= offset <= batch.last_offset:
                altered = batch.flipped(offset, bit)
                end = batch.start + len(altered)
                segment.write_bytes(data[: batch.start] + altered + data[end:])
                return
    msg = f"{topic}-{partition}@{offset}: must lie in a segment below {data_folder}"
    raise AssertionError(msg)


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """Return a zigzag integer and where the next field starts."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return (value >> 1) ^ -(value & 1), at
        shift += 7

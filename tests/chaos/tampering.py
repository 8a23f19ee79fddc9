"""Tampering below Kafka: one bit of one record flipped in a stopped broker's files."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

# A record batch of format 2, as Kafka's protocol guide lays it out.
HEADER = struct.Struct(">qiibIhiqqqhii")
BASE_OFFSET, LENGTH, _, MAGIC, _, ATTRIBUTES, LAST_DELTA = range(7)
LOG_OVERHEAD = 12  # base offset and length come before what the length counts
CRC_AT = 17
CRC_FROM = 21
COMPRESSION = 0x07


class TamperError(Exception):
    """The record cannot be found in the broker's files."""


@dataclass(frozen=True, slots=True)
class Bit:
    """One bit of the value of one record; the byte is counted from the value's start."""

    topic: str
    partition: int
    offset: int
    byte: int
    bit: int = 0

    def __str__(self) -> str:
        """Name the record."""
        return f"{self.topic}-{self.partition}@{self.offset}"


def flip(data: Path, bit: Bit) -> None:
    """Flip a bit in the files of a broker that is down, its checksum set right again.

    Args:
        data: The folder of the broker's logs.

    Raises:
        TamperError: The record is not there, or is stored in a way that is not read here.
    """
    for path in sorted((data / f"{bit.topic}-{bit.partition}").glob("*.log")):
        log = bytearray(path.read_bytes())
        start = 0
        while start + HEADER.size <= len(log):
            fields = HEADER.unpack_from(log, start)
            end = start + LOG_OVERHEAD + fields[LENGTH]
            last = fields[BASE_OFFSET] + fields[LAST_DELTA]
            if fields[BASE_OFFSET] <= bit.offset <= last:
                at = _value_at(log, start, bit.offset - fields[BASE_OFFSET]) + bit.byte
                log[at] ^= 1 << bit.bit
                struct.pack_into(
                    ">I", log, start + CRC_AT, crc32c(bytes(log[start + CRC_FROM : end]))
                )
                path.write_bytes(log)
                return
            start = end
    msg = f"{bit} must be in {data}"
    raise TamperError(msg)


def _value_at(log: bytearray, start: int, delta: int) -> int:
    """Return where the value of a record of the batch at `start` begins."""
    fields = HEADER.unpack_from(log, start)
    if fields[MAGIC] != 2 or fields[ATTRIBUTES] & COMPRESSION:
        msg = f"a batch must be of format 2 and uncompressed, was {fields}"
        raise TamperError(msg)
    at = start + HEADER.size
    while True:
        length, body = _varint(log, at)
        _, key_at = _varint(log, body + 1)  # past the attributes; the time
        found, key_at = _varint(log, key_at)
        if found == delta:
            key_length, key_at = _varint(log, key_at)
            _, value_at = _varint(log, key_at + max(0, key_length))
            return value_at
        at = body + length


def _varint(log: bytearray, at: int) -> tuple[int, int]:
    """Return a zigzag number and where it ends."""
    number = shift = 0
    while True:
        byte = log[at]
        at += 1
        number |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return (number >> 1) ^ -(number & 1), at


@cache
def _table() -> tuple[int, ...]:
    table = []
    for number in range(256):
        rest = number
        for _ in range(8):
            rest = (rest >> 1) ^ (0x82F63B78 if rest & 1 else 0)
        table.append(rest)
    return tuple(table)


def crc32c(data: bytes) -> int:
    """Return the CRC-32C (Castagnoli) of some bytes, which guards each record batch.

    Source: RFC 3720, appendix B.4.
    """
    table, rest = _table(), 0xFFFFFFFF
    for byte in data:
        rest = table[(rest ^ byte) & 0xFF] ^ (rest >> 8)
    return rest ^ 0xFFFFFFFF

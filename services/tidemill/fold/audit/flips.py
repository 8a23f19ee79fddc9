"""Finds the one bit that, flipped back, makes a digest agree again: then the record is certain."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple

from tidemill.fold.ledger import Digest

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from tidemill.kernel.records import Message

# Bytes that may be hashed for one search: about a second.
MOST_BYTES = 1 << 30


class Flip(NamedTuple):
    """One bit of one record; `bit` 0 is the least significant of its byte."""

    message: Message
    byte: int
    bit: int

    def __str__(self) -> str:
        return f"with bit {self.bit} of byte {self.byte} flipped back the digest agrees"


def flipped_input(
    runs: Sequence[Sequence[Message]], expected: bytes, suspects: Collection[Message]
) -> Flip | None:
    """Return the flipped bit among `suspects` that explains another digest over `runs`."""
    digests = []
    for run in runs:
        part = Digest()
        part.add(run[0].topic, [message.value for message in run])
        digests.append(part.result())
    if _is_too_much(suspects, max(_size(run) for run in runs)):
        return None
    for n, run in enumerate(runs):
        before, after = b"".join(digests[:n]), b"".join(digests[n + 1 :])

        def agrees(digest: bytes, before: bytes = before, after: bytes = after) -> bool:
            return hashlib.sha256(before + digest + after).digest() == expected

        flip = _search({run[0].topic: run}, suspects, agrees)
        if flip is not None:
            return flip
    return None


def flipped_output(
    by_topic: Mapping[str, Sequence[Message]], expected: bytes, suspects: Collection[Message]
) -> Flip | None:
    """Return the flipped bit among `suspects` that explains another digest over outputs."""
    if _is_too_much(suspects, sum(_size(messages) for messages in by_topic.values())):
        return None
    return _search(by_topic, suspects, lambda digest: digest == expected)


def _size(messages: Sequence[Message]) -> int:
    return sum(len(message.value or b"") for message in messages)


def _is_too_much(suspects: Collection[Message], size: int) -> bool:
    return 8 * size * sum(len(message.value or b"") for message in suspects) > MOST_BYTES


def _search(
    by_topic: Mapping[str, Sequence[Message]],
    suspects: Collection[Message],
    agrees: Callable[[bytes], bool],
) -> Flip | None:
    digest = Digest()
    for topic, messages in by_topic.items():
        digest.add(topic, [message.value for message in messages])
    whole = bytearray(b"".join(digest.parts()))
    at, wanted = 0, {message.position for message in suspects}
    parts = iter(digest.parts())
    for topic in sorted(by_topic):
        at += len(next(parts))
        next(parts)
        for message in by_topic[topic]:
            length = len(message.value or b"")
            if message.position in wanted:
                place = _flip(whole, at, length, agrees)
                if place is not None:
                    return Flip(message, *place)
            at += length
    return None


def _flip(
    whole: bytearray, start: int, length: int, agrees: Callable[[bytes], bool]
) -> tuple[int, int] | None:
    """Return byte (counted from `start`) and bit; `whole` is left as it was."""
    before = hashlib.sha256(whole[:start])
    rest = whole[start:]
    for byte in range(length):
        for bit in range(8):
            rest[byte] ^= 1 << bit
            trial = before.copy()
            trial.update(rest)
            if agrees(trial.digest()):
                return byte, bit
            rest[byte] ^= 1 << bit
    return None

"""Explanations to bytes, by hand: one is written for every event.

The layout is Avro's for `schemas/Explanation.avsc`; a property holds it to the general encoder.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple

from tidemill.contracts.codec import PREFIX, codec, wire_prefix
from tidemill.contracts.hot import varint
from tidemill.contracts.prediction import text
from tidemill.kernel.errors import InvalidRecordError

if TYPE_CHECKING:
    from collections.abc import Sequence

_DOUBLE = struct.Struct("<d")
_TWO_DOUBLES = struct.Struct("<dd")
_SOME_DOUBLE = struct.Struct("<bd")
_NULL = b"\x00"
_SECOND = b"\x02"  # the second branch of a union: index 1, zigzag
_NO_POSITION = _NULL
_LINEAGE_LENGTH = b"\x40"  # 32 bytes, zigzag
_BOOLEANS = {False: b"\x04\x00", True: b"\x04\x01"}  # branch 2 of Value
_STRING_OF_VALUE = b"\x06"  # branch 3 of Value


class Method(IntEnum):
    """How an explanation was made; the number is the symbol's place in the schema."""

    LINEAR = 0
    TREE_PATH = 1
    NAIVE_BAYES = 2
    NEIGHBOURS = 3
    SAMPLED = 4


class Explains(NamedTuple):
    """Which prediction is explained; `model` as the prediction writes it."""

    event_id: str
    about: bytes
    time_us: int
    offset: int
    model: bytes
    version: int
    lineage: bytes


class Content(NamedTuple):
    """What is said of it, sensors apart; fields as in `schemas/Explanation.avsc`.

    Attributes:
        neighbours: Distance and label of each.
    """

    method: Method
    exact: bool
    output_space: str
    base: float
    prediction: float
    residual: float = 0.0
    additivity_error: float = 0.0
    target_class: str | None = None
    contrast_class: str | None = None
    reference_kind: str = ""
    reference_n: int = 0
    missing: Sequence[str] = ()
    support: float | None = None
    samples: int | None = None
    neighbours: Sequence[tuple[float, float | bool | str | None]] = ()


class Part(NamedTuple):
    """What one sensor added; `name` is its name and unit as `named` writes them."""

    name: bytes
    observed: float | bool | str | None
    attribution: float
    standard_error: float | None


def named(feature: str, unit: str | None) -> bytes:
    """Return a sensor's name and unit as an attribution begins with."""
    return text(feature) + (_NULL if unit is None else _SECOND + text(unit))


class ExplanationEncoder:
    """Encodes the explanations of predictions on one partition of one topic."""

    def __init__(self, topic: str, partition: int) -> None:
        self._prefix = wire_prefix(codec("Explanation").schema_id)
        self._source = text(topic) + varint(partition)

    def encode(self, explains: Explains, parts: Sequence[Part], content: Content) -> bytes:
        """Return one explanation in wire format."""
        event_id, about, time_us, offset, model, version, lineage = explains
        support, samples = content.support, content.samples
        target, contrast = content.target_class, content.contrast_class
        return b"".join(
            (
                self._prefix,
                text(event_id),
                about,
                varint(time_us),
                self._source,
                varint(offset),
                model,
                varint(version),
                _LINEAGE_LENGTH,
                lineage,
                varint(content.method),
                b"\x01" if content.exact else _NULL,
                text(content.output_space),
                _NULL if target is None else _SECOND + text(target),
                _NULL if contrast is None else _SECOND + text(contrast),
                text(content.reference_kind),
                varint(content.reference_n),
                _NO_POSITION,
                _TWO_DOUBLES.pack(content.base, content.prediction),
                _array([_attribution(part) for part in parts]),
                _TWO_DOUBLES.pack(content.residual, content.additivity_error),
                _array([text(name) for name in content.missing]),
                _NULL,  # age: never older than the prediction
                _NULL if support is None else _SOME_DOUBLE.pack(2, support),
                _NULL if samples is None else _SECOND + varint(samples),
                _array([_DOUBLE.pack(far) + _value(label) for far, label in content.neighbours]),
            )
        )


def _attribution(part: Part) -> bytes:
    name, observed, attribution, error = part
    if observed.__class__ is float and error is None:
        return name + _SOME_DOUBLE.pack(2, observed) + _DOUBLE.pack(attribution) + _NULL
    last = _NULL if error is None else _SOME_DOUBLE.pack(2, error)
    return name + _value(observed) + _DOUBLE.pack(attribution) + last


def _value(value: float | bool | str | None) -> bytes:
    if value is None:
        return _NULL
    if isinstance(value, bool):
        return _BOOLEANS[value]
    if isinstance(value, str):
        return _STRING_OF_VALUE + text(value)
    return _SOME_DOUBLE.pack(2, value)


def _array(items: Sequence[bytes]) -> bytes:
    return varint(len(items)) + b"".join(items) + _NULL if items else _NULL


def source_of(value: bytes | None) -> int | None:
    """Return the offset of the event that an explanation is about; None if it cannot be read.

    No more than its beginning is looked at: whole records are decoded forty times slower.
    """
    if value is None or value[: PREFIX.size] != wire_prefix(codec("Explanation").schema_id):
        return _decoded_source(value)
    try:
        at = PREFIX.size
        for _ in range(3):  # event_id, asset, stream
            at = _after_text(value, at)
        _, at = _long(value, at)
        at = _after_text(value, at)
        _, at = _long(value, at)
        offset, _ = _long(value, at)
    except IndexError:
        return None
    return offset


def _decoded_source(value: bytes | None) -> int | None:
    try:
        return int(codec("Explanation").decode(value)["source"]["offset"])
    except InvalidRecordError:
        return None


def _after_text(value: bytes, at: int) -> int:
    size, at = _long(value, at)
    if size < 0:
        raise IndexError(size)
    return at + size


def _long(value: bytes, at: int) -> tuple[int, int]:
    """Return a number as Avro writes it, and where it ends."""
    number = shift = 0
    while True:
        byte = value[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return (number >> 1) ^ -(number & 1), at
        shift += 7

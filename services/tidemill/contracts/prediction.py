"""Predictions to bytes, by hand: the one record written for every event.

The layout is Avro's for `schemas/Prediction.avsc`; a property holds it to the general encoder.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import TYPE_CHECKING, Any, NamedTuple

from tidemill.contracts.codec import codec, wire_prefix
from tidemill.contracts.hot import varint

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_DOUBLE = struct.Struct("<d")
_NULL = b"\x00"
_SECOND = b"\x02"  # the second branch of a union: index 1, zigzag
_NUMBER = struct.Struct("<bd")  # the branch, then the double
_LINEAGE_LENGTH = b"\x40"  # 32 bytes, zigzag
_STRING_OF_VALUE = b"\x06"  # string is branch 3 of Value
_MAP_OF_NAIVE = b"\x04"  # branch 2
_NOT_LATE = b"\x00\x00"  # neither features nor naive
_TRUE, _FALSE = b"\x04\x01", b"\x04\x00"  # boolean is branch 2


class Quality(IntEnum):
    """What was wrong with an event; the number is the symbol's place in the schema."""

    MISSING = 0
    NOT_FINITE = 1
    OUT_OF_RANGE = 2
    STUCK = 3
    LATE = 4
    DUPLICATE = 5
    IMPUTED = 6
    HELD = 7
    FROZEN = 8


# How intervals and class sets are made, and how many labels of a hundred they hold.
LEVEL = 0.90
METHOD = "adaptive conformal"


class Said(NamedTuple):
    """What one model said, and which model at which step.

    `interval` is low, high and the labels it was made from; both regions are the champion's.
    """

    model: bytes
    version: int
    lineage: bytes
    value: float | None
    probabilities: Mapping[str, float] | None
    outcome: str | None = None
    interval: tuple[float, float, int] | None = None
    class_set: Sequence[str] | None = None


class Late(NamedTuple):
    """What a prediction carries for a label that comes later: the case, and the naive answer."""

    features: Mapping[str, Any]  # Any: numbers and, for nominal features, strings
    naive: float | Mapping[str, float] | None = None


def text(value: str) -> bytes:
    """Return a string as Avro writes it: length in bytes, then UTF-8."""
    encoded = value.encode()
    return varint(len(encoded)) + encoded


def about(asset: str, stream: str) -> bytes:
    """Return the fields asset and stream, the same for all predictions of an asset."""
    return text(asset) + text(stream)


_BOUNDS = struct.Struct("<bdd")  # the branch, then both
_ABOUT_INTERVAL = _DOUBLE.pack(LEVEL) + text(METHOD)


class PredictionEncoder:
    """Encodes the predictions on the events of one partition of one topic."""

    def __init__(self, topic: str, partition: int) -> None:
        self._prefix = wire_prefix(codec("Prediction").schema_id)
        self._source = text(topic) + varint(partition)

    def encode(  # noqa: PLR0913 - one parameter per part of the record
        self,
        event_id: str,
        about_asset: bytes,
        *,
        time_us: int,
        offset: int,
        said: Said,
        structure: int,
        quality: Sequence[Quality],
        shadows: Sequence[Said],
        late: Late | None = None,
    ) -> bytes:
        """Return one prediction in wire format.

        Args:
            late: What the label must find, where it comes apart from the event.
        """
        model, version, lineage, value, probabilities, outcome, interval, class_set = said
        name = event_id.encode()
        return b"".join(
            (
                self._prefix,
                varint(len(name)),
                name,
                about_asset,
                varint(time_us),
                self._source,
                varint(offset),
                model,
                varint(version),
                _LINEAGE_LENGTH,
                lineage,
                _NULL if value is None else _NUMBER.pack(2, value),
                _NULL if probabilities is None else _scores(probabilities),
                _NULL if outcome is None else _STRING_OF_VALUE + text(outcome),
                _NULL if interval is None else _interval(*interval),
                _NULL if class_set is None else _SECOND + _array([text(key) for key in class_set]),
                varint(structure) if structure else _NULL,
                _array([varint(flag) for flag in quality]) if quality else _NULL,
                _array([_shadow(shadow) for shadow in shadows]) if shadows else _NULL,
                _NOT_LATE if late is None else _late(late),
            )
        )


def _late(late: Late) -> bytes:
    features, naive = late
    if isinstance(naive, float):
        return _features(features) + _NUMBER.pack(2, naive)
    return _features(features) + (_MAP_OF_NAIVE + _map(naive) if naive else _NULL)


def _features(features: Mapping[str, Any]) -> bytes:  # Any: as in Late
    entries = [
        text(name) + (_STRING_OF_VALUE + text(read) if isinstance(read, str) else _number(read))
        for name, read in features.items()
    ]
    return _SECOND + _array(entries)


def _number(read: float) -> bytes:
    if isinstance(read, bool):
        return _TRUE if read else _FALSE
    return _NUMBER.pack(2, read)


def _scores(scores: Mapping[str, float]) -> bytes:
    return _SECOND + _map(scores)


def _map(scores: Mapping[str, float]) -> bytes:
    return _array([text(key) + _DOUBLE.pack(score) for key, score in scores.items()])


def _array(items: Sequence[bytes]) -> bytes:
    return varint(len(items)) + b"".join(items) + _NULL if items else _NULL


def _interval(low: float, high: float, labels: int) -> bytes:
    return _BOUNDS.pack(2, low, high) + _ABOUT_INTERVAL + varint(labels)


def _shadow(said: Said) -> bytes:
    value = _NULL if said.value is None else _SECOND + _DOUBLE.pack(said.value)
    scores = _NULL if said.probabilities is None else _scores(said.probabilities)
    parts = (said.model, varint(said.version), _LINEAGE_LENGTH, said.lineage)
    return b"".join((*parts, value, scores))

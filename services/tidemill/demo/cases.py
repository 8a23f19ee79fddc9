"""One event in the demo's books: what was predicted of it, and what turned out to be true."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tidemill.demo.happenings import Truth


class Answer(NamedTuple):
    """What the champion said, as its prediction stored it."""

    value: float | None
    probabilities: Mapping[str, float] | None
    outcome: Truth | None
    version: int
    quality: tuple[str, ...]

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Answer:  # Any: an Avro record
        """Return what a `Prediction` says."""
        quality = tuple(record["quality"])
        said = (record["value"], record["probabilities"], record["outcome"])
        return cls(*said, record["version"], quality)


@dataclass(slots=True)
class Case:
    """One event that was sent.

    Attributes:
        time_us: Its event time.
        is_awaited: Whether its truth is still expected.
        naive: What the naive model predicts; None: it has no opinion but the past's.
    """

    event_id: str
    asset: str
    time_us: int = 0
    is_awaited: bool = False
    naive: float | None = None
    truth: Truth | None = None
    answer: Answer | None = None

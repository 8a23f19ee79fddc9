"""Check what a worker wrote: one prediction per event, in order, equal to plain River."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bench.peers.job import Prediction
    from bench.stream import Reference


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found in an output topic; `compared` counts values held against plain River."""

    expected: int
    found: int
    distinct: int
    out_of_order: int
    compared: int
    different: int

    @property
    def is_complete(self) -> bool:
        """Whether each event has exactly one output."""
        return self.found == self.expected == self.distinct

    @property
    def is_right(self) -> bool:
        """Whether outputs are complete, in order per asset and equal to River's to the bit."""
        return self.is_complete and not self.out_of_order and not self.different

    def __str__(self) -> str:
        """Say it in one line."""
        text = f"{self.found} outputs for {self.expected} events, {self.distinct} distinct"
        if not self.compared:
            return text
        equal = self.compared - self.different
        return (
            f"{text}, {self.out_of_order} out of order, {equal} of {self.compared} equal to River"
        )


def check_predictions(
    predictions: Iterable[Prediction], expected: int, reference: Reference
) -> Verdict:
    """Hold predictions, in the order written, against the events and the reference.

    A version is the number of learning steps before the prediction, so per asset it must count
    up from 0: that is the order the events were applied in.
    """
    versions: dict[str, int] = {}
    identities: set[str] = set()
    found = out_of_order = different = 0
    missing = set(reference.values)
    for prediction in predictions:
        found += 1
        identities.add(prediction.event_id)
        due = versions.get(prediction.asset, 0)
        out_of_order += prediction.version != due
        versions[prediction.asset] = prediction.version + 1
        if prediction.event_id in reference.values:
            missing.discard(prediction.event_id)
            different += prediction.value != reference.values[prediction.event_id]
    different += len(missing)
    return Verdict(expected, found, len(identities), out_of_order, len(reference.values), different)


def check_copies(values: Iterable[bytes], inputs: Iterable[bytes], expected: int) -> Verdict:
    """Hold the output of an engine that copies against its input."""
    found = 0
    distinct: set[bytes] = set()
    for value in values:
        found += 1
        distinct.add(value)
    return Verdict(expected, found, len(distinct & set(inputs)), 0, 0, 0)

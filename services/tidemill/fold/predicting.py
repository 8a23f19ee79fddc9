"""Predictions: what the models of an asset said of an event, as one record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tidemill.contracts.prediction import PredictionEncoder, Quality
from tidemill.contracts.topics import EVENTS, PREDICTIONS
from tidemill.fold.outcomes import late
from tidemill.fold.tracked import said
from tidemill.kernel.records import Emit, trace_headers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tidemill.fold.counts import Counts
    from tidemill.fold.seen import Seen
    from tidemill.fold.tracked import AssetModels
    from tidemill.models.refining import Stored


class Predicting:
    """Writes the predictions of one partition, and counts them."""

    def __init__(self, partition: int, counts: Counts) -> None:
        self._partition = partition
        self._counts = counts
        self._encoder = PredictionEncoder(EVENTS, partition)

    def emit(
        self,
        seen: Seen,
        asset: AssetModels,
        x: dict[str, Any],  # Any: numbers and strings
        *,
        answers: Sequence[Stored],
        quality: tuple[Quality, ...],
    ) -> Emit:
        """Return the prediction on an event.

        Args:
            seen: The event.
            asset: Its asset's models, champion first.
            x: All its features; a model that must not use some was asked without those.
            answers: What the models said.
            quality: What was wrong with the event.
        """
        plan, event, _, message, _ = seen
        champion = asset.models[0]
        state = champion.state
        if state.controls is not None and state.is_held(event.time_us):
            quality = (*quality, Quality.HELD)
        if state.is_frozen:
            quality = (*quality, Quality.FROZEN)
        sayings = list(map(said, asset.models, answers))
        event_id = event.event_id
        value = self._encoder.encode(
            seen.event_id if event_id is None else event_id,
            asset.about,
            time_us=event.time_us,
            offset=message.offset,
            said=sayings[0],
            structure=champion.structure,
            quality=quality,
            shadows=sayings[1:],
            late=late(x, answers[0].naive) if plan.is_late else None,
        )
        counts = self._counts
        counts.predicted += 1
        if message.key != asset.key:
            counts.foreign_keys += 1
        for flag in quality:
            counts.flags[flag.name] = counts.flags.get(flag.name, 0) + 1
        headers = trace_headers(message.headers)
        return Emit(PREDICTIONS, self._partition, asset.key, value, headers)

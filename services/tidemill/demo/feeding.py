"""The simulated plant's side: what happens there goes to Kafka, readings and labels alike."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tidemill.contracts.codec import codec
from tidemill.contracts.topics import EVENTS, LABELS
from tidemill.demo.encoding import Encoder
from tidemill.demo.happenings import Reading

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tidemill.demo.happenings import Happening, LabResult
    from tidemill.demo.questions import Loose
    from tidemill.demo.tally import Tally
    from tidemill.runtime.plant_files import Plant
    from tidemill.runtime.sending import Sender


class Feed:
    """Sends happenings in the order of their event time, and enters them into the tally."""

    def __init__(self, plant: Plant, sender: Sender, tally: Tally) -> None:
        self._encoder = Encoder(plant)
        self._label = codec("Label").encode
        self._sender = sender
        self._tally = tally
        self._times = {each.name: each.time.field for each in plant.definition.streams}
        self._readings = 0

    def send_until(self, readings: float, happenings: Iterator[Happening]) -> None:
        """Send until it has sent so many readings."""
        while self._readings < readings:
            self.send(next(happenings))

    def send(self, happening: Happening) -> None:
        """Send one reading, or what a laboratory found."""
        if isinstance(happening, Reading):
            self._send_reading(happening)
        else:
            self._send_label(happening)

    def send_later(self, readings: int, happenings: Iterator[Happening], after_us: int) -> None:
        """Send a few readings of so much later, of which no sample is taken.

        They carry event time past all that labels may still wait for.
        """
        until = self._readings + readings
        while self._readings < until:
            happening = next(happenings)
            if isinstance(happening, Reading):
                time_us = happening.time_us + after_us
                record = {**happening.record, self._times[happening.stream]: time_us}
                later = replace(happening, time_us=time_us, record=record, is_sampled=False)
                self._send_reading(later)

    def _send_reading(self, reading: Reading) -> None:
        self._readings += 1
        self._tally.note_sent(reading)
        self._sender.send(EVENTS, key=reading.asset, value=self._encoder.encode(reading))

    def _send_label(self, result: LabResult) -> None:
        label = {
            "event_id": result.event_id,
            "asset": result.asset,
            "value": result.value,
            "revision": 0,
            "time": result.time_us,
            "source": "lab",
            "selection": None,
        }
        self._tally.labels.sent += 1
        self._sender.send(LABELS, key=result.asset, value=self._label(label))


class LooseFeed:
    """Sends the readings of an asset with a past: as many in a demo, however long that is.

    Args:
        feed: Its own.
        length_s: How long the demo is.
    """

    def __init__(self, feed: Feed, loose: Loose, length_s: float) -> None:
        self._feed = feed
        self._loose = loose
        self._length_s = length_s
        self._readings = loose.readings()

    def send_until(self, elapsed_s: float) -> None:
        """Send all of the past, and of the present what is due."""
        share = min(1.0, elapsed_s / self._length_s)
        until = self._loose.past + share * self._loose.present
        self._feed.send_until(until, self._readings)

    def finish(self) -> None:
        """Send what is left of it."""
        self.send_until(self._length_s)

"""A plant that things happen to, and the alerts processor that hears of them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from feedback.stage import prediction
from tidemill.contracts.codec import codec
from tidemill.contracts.topics import (
    ALARMS,
    ALERTS_CLOCK,
    DRIFT,
    EVENTS,
    FEEDBACK,
    PREDICTIONS,
    RECEIPTS,
)
from tidemill.kernel.deadletters import REASON_HEADER, SUFFIX
from tidemill.kernel.records import Message
from tidemill.processors.alerts.limits import MINUTE_MS, Limits
from tidemill.processors.alerts.meeting import HEARTBEAT
from tidemill.processors.alerts.processor import Alerts, key_of
from tidemill.processors.alerts.standing import Standing, decode_standing

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tidemill.kernel.deciding import Handled

Record = dict[str, Any]  # Any: the values of an Avro record

ASSET, STREAM = "plant/hall/line/pump-1", "pump"
START_MS = 1_800_000_000_000
ALLOWED = {STREAM: 10 * MINUTE_MS}
DEAD = EVENTS + SUFFIX
BEGUN = Standing(HEARTBEAT, HEARTBEAT, alarm_id="heartbeat-0")


def drift(status: str = "OPEN", episode: str = "d1", **known: object) -> Record:
    """Return a change of a drift episode."""
    level = {"n": 100, "mean": 1.0, "sd": 0.5}
    return {
        "drift_id": episode,
        "asset": ASSET,
        "stream": STREAM,
        "kind": "MULTIVARIATE",
        "signal": "",
        "status": status,
        "started": START_MS * 1000,
        "detected": START_MS * 1000,
        "before": level,
        "after": level,
        "effect": 1.5,
        "autocorrelation": 0.5,
        "run_length": 100_000.0,
        "achieved_run_length": None,
        "ranked": [{"signal": "flow", "effect": 1.5}],
        **known,
    }


def refusal(number: int = 0, status: str = "REFUSED", asset: str = ASSET) -> Record:
    """Return a receipt."""
    return {
        "feedback_id": f"f{number}",
        "status": status,
        "reason": "it may not",
        "asset": asset,
        "kind": "CORRECTED",
        "actor": "ann",
    }


def word(kind: str, alarm_id: str, until_ms: int | None = None, **known: object) -> Record:
    """Return what a person says of an alarm."""
    return {
        "feedback_id": f"{kind}-{alarm_id}",
        "kind": kind,
        "asset": ASSET,
        "target_id": alarm_id,
        "until": None if until_ms is None else until_ms * 1000,
        "actor": "ann",
        "role": "operator",
        "time": START_MS * 1000,
        **known,
    }


class Room:
    """One partition; what happens is kept, so that it can happen again.

    Unless it is new, alerts has run there before.
    """

    def __init__(
        self,
        limits: Limits | None = None,
        *,
        allowed: Mapping[str, int] = ALLOWED,
        is_new: bool = False,
    ) -> None:
        self.allowed = allowed
        self.limits = limits or Limits()
        self.table = {} if is_new else {key_of(0, HEARTBEAT): BEGUN.encode()}
        self.now_ms = START_MS
        self.log: list[Message] = []
        self.told: list[Record] = []
        self.bytes: list[bytes] = []
        self._offsets: dict[str, int] = {}
        self.alerts = self.opened()

    def opened(self) -> Alerts:
        """Return the processor as its next life finds it."""
        standings = [decode_standing(value) for value in self.table.values()]
        return Alerts(0, self.allowed, self.limits, standings)

    def message(self, topic: str, value: bytes | None, reason: str = "") -> Message:
        """Return the next record of a topic."""
        offset = self._offsets[topic] = self._offsets.get(topic, -1) + 1
        headers = ((REASON_HEADER, reason.encode()),) if reason else ()
        return Message(topic, 0, offset, None, value, headers, self.now_ms)

    def take(self, message: Message) -> Handled:
        """Have a record decided, remembered, kept."""
        self.log.append(message)
        return self.again(message)

    def again(self, message: Message) -> Handled:
        """Have a record decided as the runtime does."""
        handled = self.alerts.decide(message)
        self.remember(handled)
        if handled.key is not None or handled.forgotten:
            self.alerts.keep(handled)
        for emit in handled.emits:
            assert emit.topic == ALARMS
            assert emit.value is not None
            self.bytes.append(emit.value)
            self.told.append(codec("Alarm").decode(emit.value))
        for key in handled.forgotten:
            self.table.pop(key, None)
        return handled

    def remember(self, handled: Handled) -> None:
        if handled.key is not None:
            self.table[handled.key] = handled.value
            self.table.update(handled.more)

    @staticmethod
    def decoded(values: Iterable[bytes]) -> list[Record]:
        """Return alarms as records."""
        return [codec("Alarm").decode(value) for value in values]

    def drift(self, status: str = "OPEN", episode: str = "d1", **known: object) -> Handled:
        value = codec("Drift").encode(drift(status, episode, **known))
        return self.take(self.message(DRIFT, value))

    def letters(self, count: int) -> None:
        for _ in range(count):
            self.take(self.message(DEAD, b"x", "domain"))

    def refuse(self, count: int = 1, **known: Any) -> None:  # Any: of `refusal`
        for number in range(count):
            value = codec("Receipt").encode(refusal(number, **known))
            self.take(self.message(RECEIPTS, value))

    def say(
        self, kind: str, alarm_id: str, until_ms: int | None = None, **known: object
    ) -> Handled:
        value = codec("Feedback").encode(word(kind, alarm_id, until_ms, **known))
        return self.take(self.message(FEEDBACK, value))

    def predict(self, assets: Iterable[str] = (ASSET,)) -> None:
        for asset in assets:
            value = codec("Prediction").encode(prediction(1, asset))
            self.take(self.message(PREDICTIONS, value))

    def hear(self, minutes: int, assets: Iterable[str] = (ASSET,)) -> None:
        """Let a prediction come every minute."""
        for _ in range(minutes):
            self.now_ms += MINUTE_MS
            self.predict(assets)

    def tick(
        self, minutes: float = 0.0, lag: int | None = 0, *, written_late: float = 0.0
    ) -> Handled:
        """Let time pass; the tick is written minutes after it was due."""
        self.now_ms += round(minutes * MINUTE_MS)
        lags = dict.fromkeys((PREDICTIONS, RECEIPTS, DEAD, DRIFT), lag)
        value = json.dumps({"lag": lags, "looked": self.now_ms}).encode()
        self.now_ms += round(written_late * MINUTE_MS)
        return self.take(self.message(ALERTS_CLOCK, value))

    def alarms(self, kind: str | None = None) -> list[tuple[str, bool]]:
        """Return the states that were told, with whether the condition stood; no heartbeats."""
        return [
            (record["state"], record["active"])
            for record in self.told
            if record["kind"] != "HEARTBEAT" and kind in {None, record["kind"]}
        ]

    @property
    def last(self) -> Record:
        """The last change that was told, heartbeats apart."""
        return [record for record in self.told if record["kind"] != "HEARTBEAT"][-1]

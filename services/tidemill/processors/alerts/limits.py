"""How much of something is an alarm, and for how long."""

from __future__ import annotations

from dataclasses import dataclass

SECOND_MS = 1_000
MINUTE_MS = 60 * SECOND_MS
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS
# Of the time after which a condition begins or ends for want of records: so much older than it is
# may be what is remembered of the last one.
STEPS = 4


@dataclass(frozen=True, slots=True)
class Limits:
    """What the alerts processor goes by; times in ms.

    Attributes:
        heartbeat_ms: Between two words that all was looked at.
        burst: Dead letters of one topic that are an alarm, if they come `within_ms`.
        refusals_ms: After so long without another one, refusals of an asset are over.
        together: Assets that fall silent, if they do `within_ms`, and are one alarm.
        longest_shelf_ms: Longer is nothing shelved.
        kept_ms: So long a condition that is over is remembered.
        given_up_ms: After so long a silent asset is watched no more, and what is over and nobody
            acknowledges is cleared.
        most: Conditions of a partition; refusals beyond are one condition.
    """

    heartbeat_ms: int = 5 * MINUTE_MS
    burst: int = 10
    within_ms: int = 5 * MINUTE_MS
    refusals_ms: int = HOUR_MS
    together: int = 5
    longest_shelf_ms: int = DAY_MS
    kept_ms: int = HOUR_MS
    given_up_ms: int = 30 * DAY_MS
    most: int = 50_000

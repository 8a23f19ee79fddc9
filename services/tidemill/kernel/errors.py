"""Failures. Each class answers one question: what becomes of the offset?"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class DeadLetterReason(StrEnum):
    """Why a record was set aside; a closed set, also a metric label."""

    UNDECODABLE = "undecodable"
    UNKNOWN_SCHEMA = "unknown-schema"
    CONTRACT = "contract"
    DOMAIN = "domain"
    UNKNOWN_EVENT = "unknown-event"
    LATE = "late"


class SnapshotRefusal(StrEnum):
    """Why a snapshot record was not accepted; a closed set, also a metric label."""

    UNREADABLE = "unreadable"
    UNSIGNED = "unsigned"
    ALTERED = "altered"
    MISPLACED = "misplaced"


class MeshError(Exception):
    """Base of every error a processor or the runtime may raise. Raise one of those below."""


# Characters of a message about a record: what it says must not outgrow the record itself.
LONGEST_MESSAGE = 500


class InvalidRecordError(MeshError):
    """The record is at fault: set it aside in the same transaction, move on.

    A message that quotes a long record is cut in its middle: a dead letter carries it.

    Operator action: read `tidemill.reason` on the dead letter, mend the producer, replay.
    """

    def __init__(self, reason: DeadLetterReason, message: str) -> None:
        super().__init__(_cut(message))
        self.reason = reason


def _cut(message: str) -> str:
    if len(message) <= LONGEST_MESSAGE:
        return message
    half = (LONGEST_MESSAGE - 5) // 2
    return f"{message[:half]} ... {message[-half:]}"


class DependencyUnavailableError(MeshError):
    """The world is at fault: wait, then deliver the same record again.

    Operator action: none while it recovers; the partition is paused, not lost.
    """

    def __init__(self, dependency: str, *, retry_after_s: float) -> None:
        super().__init__(f"{dependency} unavailable, retry in {retry_after_s:g} s")
        self.dependency = dependency
        self.retry_after_s = retry_after_s


class ServiceAwayError(DependencyUnavailableError):
    """Something beside Kafka is away, or is being put in order by others: wait however long it is.

    Operator action: see why it is away; records wait meanwhile, and nothing is lost.
    """


class InvariantError(MeshError):
    """A promise would break: halt before the damage is committed, exit 70.

    Operator action: keep topics and snapshots, read the position named; do not just restart.
    """


class RetentionError(InvariantError):
    """What is asked for was there once and is no longer retained: nothing was altered.

    Operator action: as for any `InvariantError`, unless whoever asked can do without.
    """


class ConfigError(MeshError):
    """The operator is at fault: never started, exit 78, every problem listed.

    Operator action: mend each problem named; each says what must hold and what was found.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)

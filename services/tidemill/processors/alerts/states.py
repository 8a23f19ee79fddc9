"""The states of an alarm, and what leads from one to another."""

from __future__ import annotations

from enum import Enum, StrEnum, auto
from typing import NamedTuple


class State(StrEnum):
    """What an alarm asks of people."""

    UNACKNOWLEDGED = "UNACKNOWLEDGED"
    ACKNOWLEDGED = "ACKNOWLEDGED"
    SHELVED = "SHELVED"
    CLEARED = "CLEARED"


class Phase(NamedTuple):
    """Where an alarm stands: its state, and whether its condition does.

    Unacknowledged without its condition is ISA-18.2's "return to normal unacknowledged".
    """

    state: State
    is_active: bool


class Signal(Enum):
    """What happens to an alarm; `NEWS` is its condition again, with something not yet told."""

    RAISED = auto()
    NEWS = auto()
    RETURNED = auto()
    ACKNOWLEDGED = auto()
    SHELVED = auto()
    UNSHELVED = auto()
    GIVEN_UP = auto()


NORMAL = Phase(State.CLEARED, is_active=False)
UNACKNOWLEDGED = Phase(State.UNACKNOWLEDGED, is_active=True)
ACKNOWLEDGED = Phase(State.ACKNOWLEDGED, is_active=True)
GONE = Phase(State.UNACKNOWLEDGED, is_active=False)
SHELVED = Phase(State.SHELVED, is_active=True)
SHELVED_GONE = Phase(State.SHELVED, is_active=False)
PHASES = (NORMAL, UNACKNOWLEDGED, ACKNOWLEDGED, GONE, SHELVED, SHELVED_GONE)

# What is not here is refused: nothing becomes of it.
_NEXT: dict[Signal, dict[Phase, Phase]] = {
    Signal.RAISED: {
        NORMAL: UNACKNOWLEDGED,
        UNACKNOWLEDGED: UNACKNOWLEDGED,
        ACKNOWLEDGED: ACKNOWLEDGED,
        GONE: UNACKNOWLEDGED,
        SHELVED: SHELVED,
        SHELVED_GONE: SHELVED,
    },
    Signal.NEWS: {
        NORMAL: UNACKNOWLEDGED,
        UNACKNOWLEDGED: UNACKNOWLEDGED,
        ACKNOWLEDGED: UNACKNOWLEDGED,
        GONE: UNACKNOWLEDGED,
        SHELVED: SHELVED,
        SHELVED_GONE: SHELVED,
    },
    Signal.RETURNED: {
        NORMAL: NORMAL,
        UNACKNOWLEDGED: GONE,
        ACKNOWLEDGED: NORMAL,
        GONE: GONE,
        SHELVED: SHELVED_GONE,
        SHELVED_GONE: SHELVED_GONE,
    },
    Signal.ACKNOWLEDGED: {UNACKNOWLEDGED: ACKNOWLEDGED, GONE: NORMAL},
    Signal.SHELVED: {
        UNACKNOWLEDGED: SHELVED,
        ACKNOWLEDGED: SHELVED,
        GONE: SHELVED_GONE,
        SHELVED: SHELVED,
        SHELVED_GONE: SHELVED_GONE,
    },
    Signal.UNSHELVED: {SHELVED: UNACKNOWLEDGED, SHELVED_GONE: NORMAL},
    Signal.GIVEN_UP: dict.fromkeys(PHASES, NORMAL),
}


def after(phase: Phase, signal: Signal) -> Phase | None:
    """Return where an alarm stands after a signal; None where the signal is refused.

    Source: ANSI/ISA-18.2-2016, section 5.3, alarm states, without suppression by design and out of
    service, which are no states of ours.
    """
    return _NEXT[signal].get(phase)

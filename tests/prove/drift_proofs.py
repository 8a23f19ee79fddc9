"""What can be proved of drift."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chaos.drift_peers import FULL as PEERS_FULL
from chaos.drift_peers import QUICK as PEERS_QUICK
from chaos.drift_peers import prove_beside
from chaos.drift_signals import FULL, QUICK, prove_signals
from prove.proof import Proof

if TYPE_CHECKING:
    from chaos.tables import Found
    from prove.proof import Context


def _signals(context: Context) -> Found:
    return prove_signals(QUICK if context.is_quick else FULL, context.seed, context.say)


def _peers(context: Context) -> Found:
    size = PEERS_QUICK if context.is_quick else PEERS_FULL
    return prove_beside(size, context.seed, context.say)


DRIFT_PROOFS = (
    Proof(
        "drift-signals",
        "A signal's false alarms keep the run length asked, and changes are found at once",
        "Stationary signals of four autocorrelations, and some that are not normal, are watched "
        "with one setting; every alarm is false. Then shifts, ramps and a doubled spread are "
        "planted: how long until the alarm, and how far from the truth it says it began.",
        _signals,
    ),
    Proof(
        "drift-peers",
        "Beside ADWIN, Page-Hinkley and KSWIN of River at one setting each that keeps the rate",
        "Each peer is given the fastest of its settings that keeps the rate at every "
        "autocorrelation, and beside it the fastest at each autocorrelation by itself; the same "
        "changes are planted in the same signals.",
        _peers,
    ),
)

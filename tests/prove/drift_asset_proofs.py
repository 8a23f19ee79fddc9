"""What can be proved of checks of whole assets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chaos.asset_sensors import Size, prove_sensors
from chaos.asset_skab import prove_skab
from chaos.asset_tep import prove_process
from prove.proof import Proof

if TYPE_CHECKING:
    from chaos.tables import Found
    from prove.proof import Context


def _skab(_: Context) -> Found:
    return prove_skab()


def _process(_: Context) -> Found:
    return prove_process()


def _sensors(context: Context) -> Found:
    if context.is_quick:
        size = Size(30_000, seeds=2, shifts=5, after=40_000, seed=context.seed, noise=3.0)
    else:
        size = Size(150_000, seeds=7, shifts=15, after=40_000, seed=context.seed)
    return prove_sensors(size, context.say)


DRIFT_ASSET_PROOFS = (
    Proof(
        "asset-skab",
        "A valve that closes, seen by all sensors together: settings of five files on the sixth",
        "The first 400 rows of each SKAB file are its reference. Settings are chosen by what they "
        "make of five files and tested on the sixth, six times over, beside Hotelling's T2, the "
        "squared prediction error of principal components, and calling everything anomalous.",
        _skab,
    ),
    Proof(
        "asset-process",
        "Three faults of a chemical process, found without false alarms",
        "Normal rows of the Tennessee Eastman process are the reference; the rows after them, and "
        "those of three other runs before their faults, may not be over a limit.",
        _process,
    ),
    Proof(
        "asset-sensors",
        "Fifty sensors: false alarms of calm assets, and which sensor is named when one moves",
        "Streams of known habits are watched as the drift processor watches an asset, for a run "
        "length of 100,000 events; then one sensor of fifty is shifted by a standard deviation.",
        _sensors,
    ),
)

"""The check of an asset on the Tennessee Eastman process: three faults, and normal rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from chaos.asset_baselines import spe, t2
from chaos.asset_rows import TEP_BEGIN, TEP_FAULTS, TEP_NORMAL, tep_rows
from chaos.balance import BrokenPromiseError
from chaos.tables import Found, Table
from tidemill.detection.asset import AssetCheck, AssetSettings

if TYPE_CHECKING:
    from numpy.typing import NDArray

REFERENCE = 640  # of 960 normal rows; all else as it comes
LEAST_FOUND, MOST_FALSE = 0.90, 0.02


class Process(NamedTuple):
    """What was over: of normal rows after the reference, and of each fault."""

    normal: float
    rows: int
    faults: dict[str, float]

    @property
    def mean(self) -> float:
        """Mean share of faulty rows that are over."""
        return sum(self.faults.values()) / len(self.faults)


def watched_process(reference: int = REFERENCE) -> Process | None:
    """Let each fault follow the normal rows; None where the data is not at hand.

    Normal are the rows of the normal file after the reference, and those of each fault before it
    begins: of other runs of the simulator.
    """
    normal = tep_rows(TEP_NORMAL)
    if normal is None:
        return None
    calm: list[NDArray[np.bool_]] = []
    faults: dict[str, float] = {}
    for name in TEP_FAULTS:
        rows = tep_rows(name)
        assert rows is not None
        check = AssetCheck(AssetSettings(normal.shape[1], reference=reference))
        before = check.observe(normal).over[reference:]
        over = check.observe(rows).over
        calm += [over[:TEP_BEGIN]] if calm else [before, over[:TEP_BEGIN]]
        faults[name] = float(over[TEP_BEGIN:].mean())
    joined = np.concatenate(calm)
    return Process(float(joined.mean()), joined.size, faults)


def _baseline(name: str) -> Process:
    """Judge the same rows by a baseline whose limit 99 % of its reference are below."""
    way = {"T2": t2, "SPE": spe}[name]
    normal = tep_rows(TEP_NORMAL)
    assert normal is not None
    known = normal[:REFERENCE]
    limit = float(np.quantile(way(known, known), 0.99))
    calm, faults = [way(known, normal[REFERENCE:])], {}
    for fault in TEP_FAULTS:
        rows = tep_rows(fault)
        assert rows is not None
        found = way(known, rows)
        calm.append(found[:TEP_BEGIN])
        faults[fault] = float((found[TEP_BEGIN:] > limit).mean())
    joined = np.concatenate(calm)
    return Process(float((joined > limit).mean()), joined.size, faults)


def hold(found: Process) -> None:
    """Hold what was found against what is promised.

    Raises:
        BrokenPromiseError: Too little of the faults, or too much of normal rows, is over.
    """
    if found.mean < LEAST_FOUND or found.normal > MOST_FALSE:
        msg = f"{LEAST_FOUND} of faults must be over, {MOST_FALSE} of normal rows, was {found}"
        raise BrokenPromiseError(msg)


def prove_process() -> Found:
    """Watch the process, at several lengths of the reference.

    Raises:
        BrokenPromiseError: Too little of the faults, or too much of normal rows, is over.
    """
    found = watched_process()
    if found is None:
        return Found({"Tennessee Eastman": "not at hand: nothing measured"})
    hold(found)
    rows = [_row(f"the check of an asset, {REFERENCE} rows of reference", found)]
    for reference in (480, 800, 960):
        other = watched_process(reference)
        assert other is not None
        rows.append(_row(f"the same, {reference} rows", other))
    rows += [
        _row(f"{name}, 99 % of its reference below the limit", _baseline(name))
        for name in ("T2", "SPE")
    ]
    head = ("what", "normal rows over", "of", *TEP_FAULTS, "mean of the faults")
    return Found(
        {"settings": "as they come, but for the length of the reference"},
        [Table("Share of rows over a limit; faulty ones after their beginning", head, rows)],
    )


def _row(name: str, found: Process) -> list[str]:
    shares = [f"{share:.3f}" for share in found.faults.values()]
    return [name, f"{found.normal:.4f}", f"{found.rows:,}", *shares, f"{found.mean:.3f}"]

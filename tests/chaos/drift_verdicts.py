"""What was told of drifts and answers, held against what happened."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chaos.balance import BrokenPromiseError
from chaos.drift_answers import answered, updates

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from chaos.drift_answers import Record
    from chaos.figures import Figures
    from chaos.mesh import Mesh

# How the first episode of each asset goes; it may be at odds with its sensors again later.
EXPECTED = {
    "fault": ("OPEN", "FAULT", "CLOSED"),
    "changed": ("OPEN", "PROCESS_CHANGE"),
    "silent": ("OPEN", "TIMED_OUT"),
    "power": ("OPEN", "PROCESS_CHANGE"),
}
LABELS = {"FAULT": "fault", "PROCESS_CHANGE": "process_change", "TIMED_OUT": "process_change"}
TAKEN = ("a-fault", "a-changed", "a-power")
UNKNOWN = ("unknown", "another asset's")
TOO_LATE = ("twice", "late", "over")


def check_told(told: Mapping[str, Sequence[Record]], asked: Collection[str]) -> Figures:
    """Hold the records of each asset's first episode against how it went.

    Raises:
        BrokenPromiseError: They are others, or come twice, or an asset asks that nothing befell.
    """
    found = {}
    for asset in asked:
        first = told[asset][0]
        records = [r for r in told[asset] if r["drift_id"] == first["drift_id"]]
        statuses = tuple(record["status"] for record in records)
        if statuses != EXPECTED[asset] or not first["held"]:
            msg = f"{asset} must be held and told of as {EXPECTED[asset]}, was {statuses}"
            raise BrokenPromiseError(msg)
        found[asset] = " ".join(statuses)
    if others := told.keys() - {*asked}:
        msg = f"nothing befell {others}, found {[told[asset] for asset in others]}"
        raise BrokenPromiseError(msg)
    words = "; ".join(f"{asset}: {said}" for asset, said in sorted(found.items()))
    return {"episodes": words}


def check_answers(mesh: Mesh) -> Figures:
    """Hold each answer's receipts, and that nothing was released but once and as was answered.

    Raises:
        BrokenPromiseError: An answer has none, or one that says otherwise; or had an effect that it
            must not have.
    """
    receipts = answered(mesh)
    wrong = {name: receipts[name] for name in TAKEN if receipts[name].statuses[-1] != "COUNTED"}
    wrong |= {name: receipts[name] for name in UNKNOWN if receipts[name].statuses != ("REFUSED",)}
    wrong |= {name: receipts[name] for name in TOO_LATE if receipts[name].statuses[-1:] == ()}
    if wrong:
        msg = f"answers must be counted, those to nothing refused; found {wrong}"
        raise BrokenPromiseError(msg)
    _check_released(mesh)
    late = {f"{name}: {receipts[name].statuses[-1]}" for name in TOO_LATE}
    return {
        "answers": f"{len(TAKEN)} counted, {len(UNKNOWN)} to no episode of the asset refused",
        "answers that came too late, without any effect": ", ".join(sorted(late)),
    }


def _check_released(mesh: Mesh) -> None:
    """Hold that each hold has one release at most, and that it says what was answered."""
    found: dict[str, list[str]] = {}
    for update in updates(mesh, "RELEASE"):
        found.setdefault(update["target_id"], []).append(update["label"])
    firsts: dict[str, Record] = {}
    for update in updates(mesh, "HOLD"):
        firsts.setdefault(update["asset"], update)
    for asset, statuses in EXPECTED.items():
        wanted = [LABELS[statuses[1]]]
        if found.get(firsts[asset]["origin"]) != wanted:
            msg = f"the hold of {asset} must be released as {wanted}, was {found}"
            raise BrokenPromiseError(msg)
    if doubled := {name: labels for name, labels in found.items() if len(labels) > 1}:
        msg = f"a hold must be released once, was {doubled}"
        raise BrokenPromiseError(msg)

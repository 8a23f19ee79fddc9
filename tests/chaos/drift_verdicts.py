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
REFUSED = ("unknown", "another asset's", "twice", "late")
# Its episode is closed: a question may outlast that, so it is told, and changes nothing here.
OVER = "over"


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
    wrong |= {name: receipts[name] for name in REFUSED if receipts[name].statuses != ("REFUSED",)}
    if wrong or not receipts[OVER].statuses:
        msg = f"answers must be counted, those to nothing that is open refused; found {wrong}"
        raise BrokenPromiseError(msg)
    _check_released(mesh)
    reasons = "; ".join(f"{name}: {receipts[name].reason}" for name in REFUSED)
    return {
        "answers": f"{len(TAKEN)} counted; to an episode that was over, without any effect: "
        f"{receipts[OVER].statuses[-1]}",
        "answers refused": f"{len(REFUSED)}, with a receipt each: {reasons}",
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

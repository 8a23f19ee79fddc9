"""What becomes of corrections of a model that has its fill of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fold.corrected import ASSET, TREE, Corrected, terms_of
from fold.history import KEY
from fold.plain_order import Plain
from fold.test_refolding import check_later
from tidemill.contracts.topics import EVENTS
from tidemill.fold.audit import replay, verify
from tidemill.fold.effects import FULL
from tidemill.testing.plants import LINEAR

if TYPE_CHECKING:
    from tidemill.models.controls import Controls

ROOM = 3


@pytest.fixture(autouse=True)
def _little_room(monkeypatch: pytest.MonkeyPatch) -> None:
    for place in ("models.controls", "fold.exchanging"):
        monkeypatch.setattr(f"tidemill.{place}.MOST_CORRECTIONS", ROOM)


def controls(plant: Corrected) -> Controls:
    return plant.learner.fold.fleet.of("pump", ASSET).models[0].state.decided


def told(plant: Corrected) -> dict[str, list[tuple[str, str | None]]]:
    """Return what was said of each feedback that takes something back, in order."""
    found: dict[str, list[tuple[str, str | None]]] = {}
    for receipt in plant.receipts():
        if receipt["feedback_id"].startswith("r"):
            said = (receipt["status"], receipt["reason"])
            found.setdefault(receipt["feedback_id"], []).append(said)
    return found


def taught(champion: object = LINEAR, *, examples: int = 12) -> Corrected:
    """Return a partition whose model learned examples of f0, f1, ..., each in an entry."""
    plant = Corrected(terms_of(champion))  # type: ignore[arg-type]  # pipelines as tests have them
    for number in range(examples):
        plant.apply([plant.example(f"f{number}")], plant.events(2))
    return plant


def take_back(plant: Corrected, numbers: range, *, corrects: bool = True) -> None:
    for number in numbers:
        said = plant.say("RETRACT", f"r{number}", target_id=f"f{number}")
        plant.apply([said], plant.events(1))
        if corrects:
            plant.correct()


@pytest.mark.parametrize("restarts", [False, True])
def test_what_was_told_compensated_for_lack_of_room_is_never_told_retracted(restarts: bool) -> None:
    plant = taught()
    take_back(plant, range(2))
    take_back(plant, range(2, 9), corrects=False)
    if restarts:
        plant.open(plant.terms)
    plant.correct()
    kept = controls(plant)
    assert len(kept.pending) + len(kept.edits) == ROOM
    said = told(plant)
    assert [said[f"r{n}"] for n in range(3)] == [[("RETRACTED", None)]] * 3
    assert [said[f"r{n}"] for n in range(3, 9)] == [[("COMPENSATED", FULL)]] * 6
    assert replay(plant.log, 0, KEY).findings == []
    assert replay(plant.log, 0).findings == []
    assert verify(plant.log, 0, KEY).findings == []


def test_what_was_done_for_lack_of_room_is_repeated_by_the_next_re_fold() -> None:
    plant = taught(TREE)
    take_back(plant, range(2))
    plant.apply([plant.say("RETRACT", "r2", target_id="f2")], plant.events(1))
    reset = plant.say("VETO", "r3", feature="flow")
    label = plant.revision("l2", 40.0, feedback="r4")
    plant.apply([reset, *plant.events(0), label], plant.events(5))
    assert controls(plant).vetoed == {"flow"}
    plant.correct()
    assert controls(plant).vetoed == {"flow"}
    assert [told(plant)[f"r{n}"] for n in (3, 4)] == [[("COMPENSATED", FULL)]] * 2
    assert replay(plant.log, 0, KEY).findings == []


def test_lack_of_room_is_noted_in_ledger_counts_and_audits() -> None:
    plant = taught()
    take_back(plant, range(2))
    take_back(plant, range(2, 5), corrects=False)
    assert [action["kind"] for action in plant.actions("compensate")] == ["full"] * 2
    assert plant.learner.report().corrections.compensated == {"full": 2}
    assert replay(plant.log, 0, KEY).counts["compensated"] == 2


def test_with_room_enough_everything_is_as_if_it_had_never_been() -> None:
    plant = taught()
    examples = [message for message in plant.log.topics["model.updates"] if message.offset < 3]
    take_back(plant, range(3))
    since = plant.log.ends[EVENTS]
    plant.apply(plant.events(9))
    check_later(plant, Plain(plant.terms, edits={e.offset: None for e in examples}), since)

"""Held spans of streams whose labels come apart from the events, or are later ones."""

from __future__ import annotations

import pytest

from fold.corrected import TREE, Corrected, terms_of
from fold.history import KEY
from fold.plain_order import Plain
from fold.test_held_spans import check_said, hold, release, updates_of, us
from tidemill.contracts.topics import EVENTS
from tidemill.fold.audit import replay
from tidemill.testing.plants import LINEAR


@pytest.mark.parametrize("verdict", ["fault", "process_change"])
def test_labels_that_come_late_are_left_out_and_learned_with_their_events(verdict: str) -> None:
    label = {"target": {"label": {"name": "wear", "kind": "regression", "ttl": "8h"}}}
    plant = Corrected(terms_of(TREE, stream=label))

    def labelled(count: int) -> None:
        """Let events come, and then the label of every other one."""
        events = plant.events(count, labelled=False)
        numbers = range(plant.number - count + 1, plant.number + 1, 2)
        said = [plant.example(event_id=f"e{n}", time=us(n)) for n in numbers]
        plant.apply(events, said)

    labelled(24)
    first = plant.number + 1
    labelled(12)
    plant.apply([plant.revision(f"e{first}", 7.0, time=us(first))])
    plant.apply([hold(plant, first)])
    held = plant.events(5, labelled=False)
    last, before = plant.number, [us(plant.number - 2), us(first + 1)]
    plant.apply(held, [plant.example(event_id=f"t{time}", time=time) for time in before])
    plant.correct()
    plant.apply([release(plant, verdict)])
    labelled(10)
    plant.correct()
    swapped = plant.log.ends[EVENTS]
    labelled(8)
    plant.apply(plant.events(3, labelled=False))
    updates = updates_of(plant.log)
    original, revised = (m for m, u in updates if u["event_id"] == f"e{first}")
    edits = {original.offset: revised.value, revised.offset: None}
    spans = [(us(first), us(last))] if verdict == "fault" else []
    plain = Plain(plant.terms, edits=edits, held=spans)
    assert check_said(plant, plain, swapped) == 11
    assert plant.actions("compensate") == []
    assert replay(plant.log, 0, KEY).findings == []


def test_labels_that_are_later_readings_are_learned_as_if_nobody_had_asked() -> None:
    ahead = {"target": {"ahead": {"field": "wear", "after": 3}}}
    x = {"vibration": 1.0, "temperature": 20.0, "flow": 0.5}
    said = []
    for is_asked in (True, False):
        plant = Corrected(terms_of(LINEAR, stream=ahead), seed=5)
        plant.apply(plant.events(20))
        start = plant.number
        if is_asked:
            plant.apply([hold(plant, start - 6, x=x)])
            plant.number = start
        plant.apply(plant.events(9))
        at = plant.number
        if is_asked:
            plant.correct()
            held = [tuple(each["quality"]) for each in plant.predictions()[-9:]]
            assert held == [("HELD",)] * 9
            plant.apply([release(plant, "process_change", x=x)])
            plant.number = at
            plant.correct()
            assert len(plant.actions("swap")) == 2
        plant.apply(plant.events(8))
        said.append([(each["value"], each["lineage"]) for each in plant.predictions()[-8:]])
        assert replay(plant.log, 0, KEY).findings == []
    assert said[0] == said[1]

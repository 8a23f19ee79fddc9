"""What a proof waits for is what the fold does: so many corrections as labels change, no more."""

from __future__ import annotations

from itertools import permutations

import pytest

from chaos.late_labels import corrections
from fold.test_one_label import Labelled
from tidemill.contracts.codec import codec
from tidemill.contracts.topics import UPDATES

# Each as its labeller wrote it: revision, label, and the label that it replaces.
BACK_AGAIN = ((0, 10.0, None), (1, 12.0, 10.0), (2, 10.0, 12.0))
ONWARDS = ((0, 10.0, None), (1, 12.0, 10.0), (2, 14.0, 12.0))


@pytest.mark.parametrize("order", list(permutations(range(3))))
@pytest.mark.parametrize("labels", [BACK_AGAIN, ONWARDS])
@pytest.mark.parametrize("waits", [False, True])
def test_as_many_corrections_are_settled_as_change_a_label_in_whatever_order(
    labels: tuple[tuple[int, float, float | None], ...], order: tuple[int, ...], *, waits: bool
) -> None:
    plant = Labelled()
    said = plant.asked()
    for number in order:
        revision, label, replaced = labels[number]
        plant.apply([plant.label(said, label, revision=revision, replaced=replaced)])
        if not waits:
            plant.correct()
    plant.correct()

    updates = [codec("Update").decode(message.value) for message in plant.log.topics[UPDATES]]
    settled = {
        offset
        for kind in ("swap", "compensate")
        for action in plant.actions(kind)
        for offset in action["updates"].split(",")
    }
    assert corrections(updates) == len(settled)

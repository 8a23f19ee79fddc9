"""When a model is anchored, so that a correction has somewhere to start from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from fold.corrected import ASSET, OTHER, Corrected, terms_of
from fold.history import KEY
from tidemill.contracts.topics import ANCHORS, EVENTS
from tidemill.fold.audit import replay
from tidemill.fold.books import Policy
from tidemill.processors.learner.correcting import Allowance
from tidemill.testing.plants import LINEAR

if TYPE_CHECKING:
    from tidemill.kernel.records import Message

EVERY = 20
POLICY = Policy(snapshot_every=5, anchor_every=EVERY, define_every=50)


def anchors(plant: Corrected, asset: str = ASSET) -> list[Message]:
    """Return the anchors of an asset's champion."""
    name = f"pump|{asset}|pump/champion".encode()
    return [each for each in plant.log.topics[ANCHORS] if each.key == name]


@pytest.mark.parametrize("every", [1, 20, 100])
def test_rare_labels_are_corrected_by_a_re_fold_like_frequent_ones(every: int) -> None:
    plant = Corrected(terms_of(LINEAR), policy=POLICY, allowance=Allowance(events=10 * EVERY))
    newest: dict[str, Any] = {}  # Any: fields of an update
    for number in range(600):
        labels = []
        if number % every == 0:
            at = {"topic": EVENTS, "partition": 0, "offset": max(0, number - 1)}
            newest = {"event_id": f"late-{number}", "event": at}
            labels.append(plant.example(**newest))
        plant.apply(labels, plant.events(1, labelled=False))
        if number > 300 and number % 60 == 0:
            again: dict[str, Any] = {"label": 1.0 + number, "revision": 1, "replaced": 0.5}
            plant.apply([plant.example(f"c{number}", **newest, **again)])
            plant.correct()

    told = [receipt["status"] for receipt in plant.receipts()]
    assert told == ["APPLIED"] * len(told)
    assert len(told) == 4
    assert replay(plant.log, 0, KEY).findings == []


def test_an_asset_without_labels_is_anchored_by_its_events() -> None:
    plant = Corrected(terms_of(LINEAR), policy=POLICY)
    for _ in range(4 * EVERY + 4):
        plant.apply(plant.events(1, labelled=False))
    assert len(anchors(plant)) == 4


def test_a_quiet_asset_is_anchored_by_what_a_re_fold_would_have_to_walk(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tidemill.fold.books.WIDE", 10)
    plant = Corrected(terms_of(LINEAR), policy=POLICY)
    for _ in range(10):
        plant.apply(plant.events(1))
        for _ in range(5):
            plant.apply(plant.events(8, asset=OTHER))
    assert 4 <= len(anchors(plant)) <= 8
    assert len(anchors(plant, OTHER)) >= 10

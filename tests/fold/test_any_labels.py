"""Whoever labels an event, in whatever order, and takes it back: its last word counts, once."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

import pytest

from fold.corrected import ASSET, TREE
from fold.history import KEY
from fold.plain_order import Plain
from fold.test_any_corrections import as_if
from fold.test_one_label import Labelled
from tidemill.contracts.codec import codec
from tidemill.contracts.topics import EVENTS, OUTCOMES, UPDATES
from tidemill.fold.audit import replay, verify
from tidemill.fold.books import Policy
from tidemill.testing.plants import LINEAR

FAMILIES = {"linear": LINEAR, "tree": TREE}


@dataclass
class Story:
    """Lets a plant and its people label what they like, and learners work in between."""

    plant: Labelled
    rng: random.Random
    said: list[str] = field(default_factory=list)
    revisions: dict[str, int] = field(default_factory=dict)

    def some(self) -> None:
        """Let something happen."""
        happenings = [self.flow, self.lab, self.person, self.person, self.overtake, self.take_back]
        self.rng.choice([*happenings, self.work, self.open_again])()

    def case(self) -> dict[str, Any]:
        """Return one of the last predictions, so that several speak of the same."""
        return self.rng.choice(self.plant.predictions()[-8:])

    def flow(self) -> None:
        self.plant.apply(self.plant.events(self.rng.randint(1, 5), labelled=False))

    def label(self, said: dict[str, Any], revision: int) -> None:
        more: dict[str, Any] = {"revision": revision, "replaced": 0.5} if revision else {}
        self.plant.apply([self.plant.label(said, self.rng.gauss(5, 3), **more)])

    def lab(self) -> None:
        """Let the plant label an event, or label it anew."""
        said = self.case()
        revision = self.revisions.get(said["event_id"], -1) + 1
        self.revisions[said["event_id"]] = revision
        self.label(said, revision)

    def overtake(self) -> None:
        """Let a correction come before the label that it corrects."""
        said = self.case()
        revision = self.revisions.get(said["event_id"], -1) + 2
        self.revisions[said["event_id"]] = revision
        self.label(said, revision)
        self.person(said)
        self.label(said, revision - 1)

    def person(self, said: dict[str, Any] | None = None) -> None:
        name = f"p{len(self.said)}"
        self.said.append(name)
        given = self.plant.label(said or self.case(), self.rng.gauss(5, 3), name)
        self.plant.apply([given], self.plant.events(self.rng.choice([0, 2]), labelled=False))

    def take_back(self) -> None:
        if self.said:
            name = f"p{len(self.said)}"
            target = self.rng.choice(self.said[-6:])
            self.said.append(name)
            self.plant.apply([self.plant.say("RETRACT", name, target_id=target)])

    def work(self) -> None:
        self.plant.correct(slices=self.rng.choice([1, 3, None]), budget_s=0.01)

    def open_again(self) -> None:
        self.plant.open(self.plant.terms)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("family", FAMILIES)
def test_the_last_word_on_each_event_is_learned_and_counted_once(family: str, seed: int) -> None:
    rng = random.Random(seed)
    policy = Policy(rng.choice([3, 9, 40]), rng.choice([1, 10, 1000]), define_every=7)
    plant = Labelled(FAMILIES[family], policy=policy, seed=seed)
    story = Story(plant, rng)
    story.flow()
    for _ in range(50):
        story.some()
    plant.correct()
    since = plant.log.ends[EVENTS]
    plant.apply(plant.events(8, labelled=False))
    edits, _ = as_if(plant.log, is_tree=False)
    plain = Plain(plant.terms, edits=edits).follow(plant.log)

    assert plant.actions("compensate") == []
    assert not plant.log.topics["model.updates.dlq"]
    for said in plant.predictions():
        if said["source"]["offset"] >= since:
            found = (said["value"], said["lineage"])
            assert found == plain.said[said["source"]["offset"]]
    state = plant.learner.fold.fleet.of("pump", ASSET).models[0].state
    assert state.metrics is not None
    assert state.metrics.metrics()["count"] == len(labelled(plant, edits))
    check_revisions(plant)
    for audit in (replay, verify):
        assert audit(plant.log, 0, KEY).findings == []


def labelled(plant: Labelled, edits: dict[int, Any]) -> set[str]:
    """Return the events of which a label is in force."""
    alive = [m for m in plant.log.topics[UPDATES] if edits.get(m.offset, m.value) is not None]
    updates = [codec("Update").decode(message.value) for message in alive]
    return {update["event_id"] for update in updates if update["kind"] == "EXAMPLE"}


def check_revisions(plant: Labelled) -> None:
    """Hold that every outcome of an event is above those before it."""
    last: dict[str, int] = {}
    for message in plant.log.topics[OUTCOMES]:
        outcome = codec("Outcome").decode(message.value)
        assert outcome["revision"] > last.get(outcome["event_id"], -1)
        last[outcome["event_id"]] = outcome["revision"]
    assert max(last.values()) > 1

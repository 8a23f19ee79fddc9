"""Whatever is corrected, in whatever order, from whatever base: as if it had always been so."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from fold.corrected import OTHER, TREE, Corrected, terms_of
from fold.history import KEY
from fold.plain_order import Plain, recorded_order
from tidemill.contracts.codec import codec
from tidemill.contracts.topics import EVENTS
from tidemill.fold.audit import replay
from tidemill.fold.books import Policy
from tidemill.testing.plants import LINEAR

if TYPE_CHECKING:
    from fold.history import ListLog
    from tidemill.kernel.records import Message

WINDOW = 15
FAMILIES = {"linear": LINEAR, "tree": TREE}


@dataclass
class Story:
    """Lets people say all sorts of things, and learners work in between."""

    plant: Corrected
    rng: random.Random
    ids: list[str] = field(default_factory=list)
    labels: dict[str, int] = field(default_factory=dict)
    vetoed: dict[str, str] = field(default_factory=dict)
    count: int = 0

    def some(self) -> None:
        """Let something happen."""
        happenings = [self.flow, self.flow, self.label, self.correct, self.revise, self.take_back]
        self.rng.choice([*happenings, self.veto, self.unveto, self.work, self.open_again])()

    def name(self) -> str:
        self.count += 1
        return f"f{self.count}"

    def flow(self) -> None:
        some = [*self.plant.events(self.rng.randint(1, 9)), *self.plant.events(1, asset=OTHER)]
        self.plant.apply(some)

    def label(self) -> None:
        name = self.name()
        self.labels[name] = 0
        self.plant.apply([self.plant.example(event_id=name)], self.plant.events(1))

    def correct(self) -> None:
        """Give an example by feedback."""
        self.ids.append(self.name())
        self.plant.apply([self.plant.example(self.ids[-1])])

    def revise(self) -> None:
        if not self.labels:
            return
        event = self.rng.choice([*self.labels])
        self.labels[event] += 1
        feedback = None
        if self.rng.random() < 0.5:
            feedback = self.name()
            self.ids.append(feedback)
        label = self.rng.gauss(9, 5)
        said = self.plant.revision(event, label, self.labels[event], feedback=feedback)
        self.plant.apply([said], self.plant.events(2))

    def take_back(self) -> None:
        if not self.ids:
            return
        target = self.rng.choice(self.ids)
        for feature in [f for f, by in self.vetoed.items() if by == target]:
            del self.vetoed[feature]
            self.ids.remove(target)
        name = self.name()
        if self.rng.random() < 0.5 and target in self.ids:
            self.ids.append(name)
        self.plant.apply([self.plant.say("RETRACT", name, target_id=target)])

    def veto(self) -> None:
        feature = self.rng.choice(["vibration", "flow"])
        if feature in self.vetoed:
            return
        self.vetoed[feature] = self.name()
        self.ids.append(self.vetoed[feature])
        self.plant.apply([self.plant.say("VETO", self.vetoed[feature], feature=feature)])

    def unveto(self) -> None:
        self.work()
        for feature, by in [*self.vetoed.items()][:1]:
            del self.vetoed[feature]
            self.ids.remove(by)
            self.plant.apply([self.plant.say("UNVETO", self.name(), feature=feature)])
            self.work()

    def work(self) -> None:
        self.plant.correct(slices=self.rng.choice([1, 3, None]), budget_s=0.01)

    def open_again(self) -> None:
        self.plant.open(self.plant.terms)


def as_if(log: ListLog, *, is_tree: bool) -> tuple[dict[int, Any], list[Any]]:
    """Return what is learned in the place of each update, and the vetoes: offset, events, bytes.

    Worked out by hand from all updates there are, without any state of a model.
    """
    updates, seen = [], 0
    for message in recorded_order(log):
        if message.topic == EVENTS:
            seen += b"north/1" in (message.value or b"")
        else:
            updates.append((message, codec("Update").decode(message.value), seen))
    dead: set[int] = set()
    for n, (message, update, _) in reversed([*enumerate(updates)]):
        if message.offset in dead:
            continue
        for other, earlier, _ in updates[:n]:
            is_target = update["kind"] == "RETRACT" and earlier["origin"] == update["target_id"]
            is_veto = update["kind"] == "UNVETO" and earlier["kind"] == "VETO"
            is_span = earlier["kind"] == "HOLD" and earlier["origin"] == update["target_id"]
            is_back = is_span and (update["kind"], update["label"]) == ("RELEASE", "process_change")
            if is_target or is_back or (is_veto and earlier["feature"] == update["feature"]):
                dead.add(other.offset)
    alive = [each for each in updates if each[0].offset not in dead]
    edits: dict[int, Any] = dict.fromkeys(dead)
    for event in {u["event_id"] for _, u, _ in alive if u["kind"] == "EXAMPLE"}:
        group = [(m, u) for m, u, _ in alive if u["event_id"] == event and u["kind"] == "EXAMPLE"]
        values = [in_force(group).value, *[None] * len(group)]
        for (message, _), value in zip(group, values, strict=False):
            edits[message.offset] = value
    vetoes = [(m.offset, n, u["feature"], m.value) for m, u, n in alive if u["kind"] == "VETO"]
    return edits, vetoes if is_tree else [offset for offset, *_ in vetoes]


def in_force(group: list[tuple[Message, Any]]) -> Message:
    """Return the last word on an event; of the plant's own only the highest revision counts."""
    top = max((u["revision"] for _, u in group if u["origin"] == "label"), default=0)
    return [m for m, u in group if u["origin"] != "label" or u["revision"] >= top][-1]


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("family", FAMILIES)
def test_any_corrections_lead_where_the_plain_order_leads(
    family: str, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tidemill.fold.editing.WINDOW", WINDOW)
    rng = random.Random(seed)
    policy = Policy(rng.choice([3, 9, 40]), rng.choice([1, 10, 1000]), define_every=7)
    plant = Corrected(terms_of(FAMILIES[family]), policy=policy, seed=seed)
    story = Story(plant, rng)
    story.flow()
    for _ in range(45):
        story.some()
    plant.correct()
    since = plant.log.ends[EVENTS]
    plant.apply(plant.events(12))
    is_tree = family == "tree"
    edits, vetoes = as_if(plant.log, is_tree=is_tree)
    plain = Plain(plant.terms, edits=edits, drops=() if is_tree else vetoes)
    plain.follow(plant.log, _restarting(vetoes) if is_tree else None)

    assert plant.actions("compensate") == []
    assert not plant.log.topics["model.updates.dlq"]
    for said in plant.predictions():
        if said["source"]["offset"] >= since:
            value, lineage = plain.said[said["source"]["offset"]]
            assert (said["value"], said["lineage"]) == (value, lineage)
    assert replay(plant.log, 0, KEY).findings == []


def _restarting(vetoes: list[Any]) -> Any:  # Any: what `Plain.follow` takes
    starts = [(max(0, seen - WINDOW), feature, value) for _, seen, feature, value in vetoes]

    def after_event(plain: Plain) -> None:
        if plain.events in {start for start, _, _ in starts}:
            plain.start_anew(*((f, v) for start, f, v in starts if start <= plain.events))

    return after_event

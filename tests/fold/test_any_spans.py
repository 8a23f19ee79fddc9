"""Whatever spans are held among whatever corrections: as if it had always been so."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from fold.corrected import ASSET, Corrected, terms_of
from fold.history import KEY
from fold.plain_order import Plain, recorded_order
from fold.test_any_corrections import Story, as_if
from fold.test_held_spans import FAMILIES, check_said, hold, release, us
from tidemill.contracts.codec import codec
from tidemill.contracts.topics import EVENTS
from tidemill.fold.audit import replay
from tidemill.fold.books import Policy
from tidemill.models.controls import FOR_EVER_US

if TYPE_CHECKING:
    from fold.history import ListLog
    from tidemill.kernel.records import Message


class Timed(Corrected):
    """A plant whose examples are of events that the asset has had."""

    times: dict[str, int] | None = None
    newest = us(0)

    def events(self, count: int, *, asset: str = ASSET, labelled: bool = True) -> list[Message]:
        found = super().events(count, asset=asset, labelled=labelled)
        self.newest = us(self.number) if asset == ASSET else self.newest
        return found

    def example(self, feedback: str | None = None, *, asset: str = ASSET, **fields: Any) -> Message:
        self.times = {} if self.times is None else self.times
        name = fields.setdefault("event_id", f"l{self.number}")
        time_us = self.times.setdefault(name, self.newest)
        return super().example(feedback, asset=asset, **{**fields, "time": time_us})


@dataclass
class Questions(Story):
    """Also asks of spans, and answers."""

    asked: list[str] = field(default_factory=list)

    def some(self) -> None:
        if self.rng.random() < 0.25:
            self.rng.choice([self.ask, self.answer, self.answer])()
        else:
            super().some()

    def ask(self) -> None:
        if len(self.asked) >= 6:
            return
        name = self.name()
        self.asked.append(name)
        self.ids.append(name)
        first = max(1, self.plant.number - self.rng.randint(-2, 25))
        until = None if self.rng.random() < 0.5 else us(first + self.rng.randint(0, 30))
        self.plant.apply([hold(self.plant, first, name, until=until)], self.plant.events(2))

    def answer(self) -> None:
        if not self.asked:
            return
        by, drift = self.name(), self.rng.choice(self.asked)
        self.ids.append(by)
        verdict = self.rng.choice(["fault", "process_change"])
        span = None
        if self.rng.random() < 0.7:
            last = max(1, self.plant.number - self.rng.randint(-6, 20))
            span = {"from": us(1), "to": us(last)}
        said = release(self.plant, verdict, drift, by, span=span)
        self.plant.apply([said], self.plant.events(1))


def spans_of(log: ListLog, edits: dict[int, Any]) -> list[tuple[int, int]]:
    """Return what is held in the end, by hand: from all updates, without any state of a model."""
    newest, found = 0, {}
    ends: dict[int, int] = {}
    for message in recorded_order(log):
        if message.topic == EVENTS:
            if ASSET.encode() in (message.value or b""):
                newest += 1
            continue
        update = codec("Update").decode(message.value)
        if message.offset in edits:
            continue
        if update["kind"] == "HOLD":
            until = FOR_EVER_US if update["until"] is None else update["until"]
            found[message.offset] = (update["span"]["from"], until, update["origin"])
        if update["kind"] == "RELEASE":
            for offset, (_, until, origin) in found.items():
                if origin == update["target_id"]:
                    said = None if update["span"] is None else update["span"]["to"]
                    end = newest_us(log, newest) if said is None else said
                    ends[offset] = min(ends.get(offset, until), end)
    return [(first, ends.get(offset, until)) for offset, (first, until, _) in found.items()]


def newest_us(log: ListLog, count: int) -> int:
    """Return the time of the asset's so many-th event; they come in order of time."""
    said = [codec("Prediction").decode(m.value) for m in log.topics["model.predictions"]]
    return int([each["time"] for each in said if each["asset"] == ASSET][count - 1])


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("family", ["linear", "tree"])
def test_any_spans_among_any_corrections_lead_where_the_plain_order_leads(
    family: str, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Vetoes of trees begin windows anew: that is another story.
    monkeypatch.setattr(Questions, "veto", Questions.flow)
    rng = random.Random(seed)
    policy = Policy(rng.choice([3, 9, 40]), rng.choice([1, 10, 1000]), define_every=7)
    plant = Timed(terms_of(FAMILIES[family]), policy=policy, seed=seed)
    story = Questions(plant, rng)
    story.flow()
    for _ in range(45):
        story.some()
    plant.correct()
    since = plant.log.ends[EVENTS]
    plant.apply(plant.events(12))
    edits, _ = as_if(plant.log, is_tree=False)
    held = spans_of(plant.log, edits)

    assert plant.actions("compensate") == []
    assert not plant.log.topics["model.updates.dlq"]
    assert check_said(plant, Plain(plant.terms, edits=edits, held=held), since) == 12
    assert replay(plant.log, 0, KEY).findings == []

"""A skip: what it passes over, which models it leaves whole, and how recovery goes on from it."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from fold.history import KEY, TERMS, History, features
from tidemill.contracts.topics import ANCHORS, EVENTS, LEDGER, SNAPSHOTS, UPDATES
from tidemill.fold.audit.starting import drained
from tidemill.fold.books import Policy
from tidemill.fold.ledger_log import read_entry
from tidemill.fold.recovery import recover
from tidemill.fold.replica import ROLLBACK, SKIP, Replica
from tidemill.fold.skipping import (
    choose,
    falling_skip,
    plain_skip,
    rebuild_what_remains,
    survey,
)
from tidemill.kernel.errors import ConfigError, DependencyUnavailableError, InvariantError
from tidemill.models.compiled import slow
from tidemill.testing.plants import event_value, update_value

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tidemill.fold.ledger import Entry
    from tidemill.fold.skipping import Standing
    from tidemill.kernel.records import Message
    from tidemill.models.state import ModelKey

NEVER = Policy(snapshot_every=1000, anchor_every=1000)
ALWAYS = Policy(snapshot_every=1, anchor_every=1000)
Steps = dict["ModelKey", tuple[int, bytes]]


class Story:
    """A history, and the random numbers it is made of."""

    def __init__(self, policy: Policy = NEVER) -> None:
        self.history = History(TERMS, policy=policy)
        self.rng = random.Random(7)
        self.number = 0

    def write(self, count: int, asset: str = "north/1") -> list[Message]:
        events = []
        for _ in range(count):
            self.number += 1
            value = event_value(asset, self.number, features(self.rng), self.rng.gauss(3, 1))
            events.append(self.history.event(value))
        return events

    def learn(self, count: int, asset: str = "north/1") -> None:
        self.history.commit([self.write(count, asset)])

    def teach(self, asset: str) -> None:
        self.number += 1
        x = {"vibration": 1.0, "temperature": 60.0, "flow": 0.5}
        value = update_value(asset, self.number, x, self.rng.gauss(3, 1))
        self.history.commit([[self.history.update(value)]])

    def standing(self) -> Standing:
        return drained(survey(self.history.log, 0, self.history.positions))

    def skip(self, to: str, topic: str = EVENTS) -> None:
        """Skip as the command does, without a model going back."""
        standing = self.standing()
        emits, positions = plain_skip(standing, choose(standing, topic, to, "ann"))
        self.history._write(emits)
        self.history.positions = positions

    def fall(self, to: str) -> Sequence[str]:
        """Skip and let models go back; return which do."""
        standing = self.standing()
        remains = drained(rebuild_what_remains(self.history.log, standing, KEY))
        chosen = choose(standing, EVENTS, to, "ann")
        emits, positions = falling_skip(standing, chosen, remains, KEY)
        self.history._write(emits)
        self.history.positions = positions
        return [fallen.key.asset for fallen in remains.fallen]

    def restart(self) -> Steps:
        """Start a worker anew; return where each model stands."""
        self.history.open(TERMS)
        return self.steps()

    def steps(self) -> Steps:
        fleet = self.history.learner.fold.fleet
        return {t.key: (t.state.version, t.state.lineage) for t in fleet}

    @property
    def entries(self) -> list[Entry]:
        return [read_entry(message).entry for message in self.history.log.topics[LEDGER]]


def by_asset(steps: Steps, asset: str) -> tuple[int, bytes]:
    return next(at for key, at in steps.items() if (key.asset, key.model) == (asset, CHAMPION))


CHAMPION = "pump/champion"


def test_records_ahead_are_passed_over_and_the_models_stay() -> None:
    story = Story()
    story.learn(5)
    before = story.steps()
    poison = story.write(3)

    story.skip(str(poison[-1].offset + 1))

    assert story.restart() == before
    assert story.history.positions[EVENTS] == poison[-1].offset + 1


def test_a_restart_after_a_skip_folds_across_it() -> None:
    story = Story()
    story.learn(5)
    story.write(3)
    story.skip("end")
    story.restart()
    story.learn(4)
    story.teach("north/2")

    before = story.steps()

    assert story.restart() == before
    (skipped,) = [e for e in story.entries if any(a.kind == SKIP for a in e.actions)]
    assert skipped.kind == "ACTION"
    assert dict(skipped.actions[0].detail) == {
        "topic": EVENTS,
        "from": "5",
        "to": "8",
        "actor": "ann",
    }


def test_what_retention_took_is_skipped_without_harm_where_all_models_are_saved() -> None:
    story = Story(ALWAYS)
    story.learn(5)
    before = story.steps()
    story.write(4)
    story.history.log.forget_before(EVENTS, 7)

    assert story.standing().gone == ()
    story.skip("beginning")

    assert story.restart() == before
    assert story.history.positions[EVENTS] == 7


def test_models_that_cannot_be_rebuilt_halt_recovery_with_the_choices() -> None:
    story = Story()
    story.learn(5)
    story.write(4)
    story.history.log.forget_before(EVENTS, 7)
    story.skip("beginning")

    with pytest.raises(InvariantError, match=r"no longer retained: .*restore the records") as halt:
        story.restart()

    assert "tidemill skip sensor.events --partition 0 --to beginning --fall-back" in str(halt.value)


def test_models_that_cannot_be_rebuilt_go_back_to_their_snapshots_and_work_goes_on() -> None:
    story = Story(Policy(snapshot_every=4, anchor_every=1000))
    story.learn(5)  # saved
    saved = by_asset(story.steps(), "north/1")
    story.learn(2)
    lost = by_asset(story.steps(), "north/1")
    story.write(4)
    story.history.log.forget_before(EVENTS, 8)

    fallen = story.fall("beginning")
    after = by_asset(story.restart(), "north/1")

    assert set(fallen) == {"north/1"}
    assert after[0] == lost[0] + 1, "a version never goes back"
    assert after[1] not in {saved[1], lost[1]}
    assert story.history.learner.refolded == 0
    details = [a.detail for a in story.entries[-1].actions if a.kind == ROLLBACK]
    assert {(d["model"], d["from"], d["to"]) for d in details} == {
        (f"pump|north/1|{model}", str(lost[0]), str(saved[0])) for model in (CHAMPION, "pump/plain")
    }

    story.learn(3)
    learned = story.steps()
    assert story.restart() == learned


def test_a_model_that_was_never_saved_begins_anew() -> None:
    story = Story()
    story.learn(5)
    lost = by_asset(story.steps(), "north/1")
    story.history.log.forget_before(EVENTS, 3)

    assert set(story.fall("beginning")) == {"north/1"}
    model = next(iter(story.history.open(TERMS).fold.fleet))

    assert model.state.version == lost[0] + 1
    assert model.state.structure == 1
    assert not slow(model.state.pipeline)["LinearRegression"].weights


def test_only_models_whose_inputs_are_gone_go_back_and_the_others_are_saved_with_them() -> None:
    story = Story()
    story.learn(5, "north/1")
    story.learn(5, "north/2")
    before = story.steps()
    story.history.log.forget_before(EVENTS, 5)

    assert set(story.fall("beginning")) == {"north/1"}
    after = story.restart()

    assert by_asset(after, "north/2") == by_asset(before, "north/2")
    assert story.history.learner.refolded == 0
    saved = {m.key for m in story.history.log.topics[SNAPSHOTS]}
    assert {m.key for m in story.history.log.topics[ANCHORS]} == saved
    assert len(saved) == 4


def test_events_that_left_no_trace_may_be_gone() -> None:
    story = Story()
    story.teach("north/1")
    value = event_value("north/1", story.number, {"flow": float("nan")})
    story.history.commit([[story.history.event(value)]])
    story.teach("north/1")
    before = story.steps()
    story.history.log.forget_before(EVENTS, 1)

    assert story.restart() == before
    assert story.history.learner.refolded == 2


def test_an_input_that_fell_silent_and_lost_its_markers_is_no_gap() -> None:
    story = Story(ALWAYS)
    story.learn(5)
    story.history.log.mark(UPDATES)
    story.history.positions[UPDATES] = 1
    story.history.log.forget_before(UPDATES, 1)

    story.restart()

    assert story.history.positions[UPDATES] == 1


@pytest.mark.parametrize("to", ["4", "12", "first", "-1", ""])
def test_a_skip_goes_forward_to_what_is_retained(to: str) -> None:
    story = Story()
    story.learn(5)
    story.write(6)

    with pytest.raises(ConfigError, match="an offset from 5 to 11"):
        choose(story.standing(), EVENTS, to, "ann")


def test_the_beginning_is_the_first_record_that_is_retained_and_not_read() -> None:
    story = Story(ALWAYS)
    story.learn(5)
    story.write(6)
    assert choose(story.standing(), EVENTS, "beginning", "ann").to == 5
    story.history.log.forget_before(EVENTS, 8)
    assert choose(story.standing(), EVENTS, "beginning", "ann").to == 8
    assert choose(story.standing(), EVENTS, "end", "ann").to == 11


def test_a_partition_that_was_never_read_has_nothing_to_skip() -> None:
    story = Story()
    story.history.log.topics[LEDGER].clear()
    story.history.log.ends[LEDGER] = 0

    with pytest.raises(ConfigError, match="--from-end"):
        story.standing()


def test_a_replica_does_not_cross_a_roll_back_as_if_nothing_had_happened() -> None:
    story = Story()
    story.learn(5)
    whole = story.history.log.copy()
    story.history.log.forget_before(EVENTS, 3)
    story.fall("beginning")
    story.history.log.topics[EVENTS] = whole.topics[EVENTS]
    story.history.log.begins.clear()
    replica = Replica(story.history.log, 0, {})
    *before, fall = [read_entry(message) for message in story.history.log.topics[LEDGER]]
    for placed in before:
        drained(replica.step(placed, story.history.positions))

    with pytest.raises(InvariantError, match="from its anchor"):
        drained(replica.step(fall, story.history.positions))


def test_a_skip_that_nobody_recorded_is_refused() -> None:
    story = Story()
    story.learn(5)
    story.write(3)
    offsets = {**story.history.positions, EVENTS: 8}

    with pytest.raises(DependencyUnavailableError, match=r"sensor\.events-0 from 5 to 8"):
        drained(recover(story.history.log, 0, offsets, terms=TERMS, signing=KEY))

"""Retiring an asset: what goes, what stays, and how recovery and audits cross it."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from fold.history import KEY, TERMS, History, features
from tidemill.contracts.topics import ANCHORS, EVENTS, LEDGER, SNAPSHOTS
from tidemill.fold.applying import Fold
from tidemill.fold.audit import Span, replay, verify
from tidemill.fold.audit.bounds import AtSequence
from tidemill.fold.audit.starting import drained
from tidemill.fold.books import Policy
from tidemill.fold.ledger_log import read_entry
from tidemill.fold.past import MOST_RETIRED, Floor, Past, Retired
from tidemill.fold.retirement import KIND
from tidemill.fold.retiring import Leaving, census, prepare
from tidemill.fold.retiring import retire as retire_asset
from tidemill.fold.skipping import rebuild_what_remains, survey
from tidemill.fold.snapshots import split_key
from tidemill.kernel.errors import ConfigError
from tidemill.models.state import ModelKey, ModelState
from tidemill.testing.plants import event_value, sample_terms

if TYPE_CHECKING:
    from tidemill.fold.ledger import Entry

NEVER = Policy(snapshot_every=1000, anchor_every=1000)
OFTEN = Policy(snapshot_every=4, anchor_every=6, define_every=5)
IN_CHUNKS = Policy(snapshot_every=1, anchor_every=50, chunk_bytes=300)
POLICIES = {"never saved": NEVER, "saved often": OFTEN, "in chunks": IN_CHUNKS}
GONE, STAYS = "north/1", "north/2"
Steps = dict[ModelKey, tuple[int, bytes]]


def by_asset(steps: Steps, asset: str) -> tuple[int, bytes]:
    return steps[ModelKey("pump", asset, "pump/champion")]


class Story:
    """A history in which assets are retired as the command does it."""

    def __init__(self, policy: Policy = OFTEN, seed: int = 5) -> None:
        self.history = History(TERMS, policy=policy)
        self.rng = random.Random(seed)
        self.number = 0

    def learn(self, asset: str, entries: int = 1, size: int = 3) -> None:
        for _ in range(entries):
            batch = []
            for _ in range(size):
                self.number += 1
                x, y = features(self.rng), self.rng.gauss(3, 1)
                batch.append(self.history.event(event_value(asset, self.number, x, y)))
            self.history.commit([batch])

    def retire(self, asset: str = GONE, stream: str | None = None) -> None:
        history = self.history
        leaving = Leaving(asset, "ann", stream)
        plan = prepare(history.log, 0, history.positions, leaving=leaving, signing=KEY)
        emits, positions = retire_asset(drained(plan), KEY)
        history._write(emits)
        history.positions = positions
        history.open(TERMS)

    def steps(self) -> Steps:
        fleet = self.history.learner.fold.fleet
        return {t.key: (t.state.version, t.state.lineage) for t in fleet}

    def restart(self) -> Steps:
        self.history.open(TERMS)
        return self.steps()

    @property
    def entries(self) -> list[Entry]:
        return [read_entry(message).entry for message in self.history.log.topics[LEDGER]]

    def kept(self) -> set[ModelKey]:
        """Return the models whose snapshots compaction would keep."""
        last = {message.key: message.value for message in self.history.log.topics[SNAPSHOTS]}
        return {ModelKey.decode(split_key(k or b"")[0]) for k, v in last.items() if v is not None}

    def check_audits(self) -> None:
        """Verify, and replay from every entry on."""
        log = self.history.log
        assert verify(log, 0, KEY).findings == []
        for start in range(len(self.entries) + 1):
            report = replay(log, 0, KEY, span=Span(AtSequence(start), None))
            assert report.findings == [], start


@pytest.mark.parametrize("policy", POLICIES)
def test_a_retired_asset_leaves_the_fleet_and_the_snapshots_and_nobody_else_does(
    policy: str,
) -> None:
    story = Story(POLICIES[policy])
    for _ in range(3):
        story.learn(GONE)
        story.learn(STAYS)
    before = story.steps()

    story.retire()

    assert story.steps() == {k: v for k, v in before.items() if k.asset == STAYS}
    assert {key.asset for key in story.kept()} == {STAYS}
    (action,) = [a for a in story.entries[-1].actions if a.kind == KIND]
    assert action.detail["actor"] == "ann"
    assert story.restart() == story.steps()
    story.check_audits()


@pytest.mark.parametrize("policy", POLICIES)
def test_an_asset_that_comes_back_starts_anew_above_every_version_it_had(policy: str) -> None:
    story = Story(POLICIES[policy])
    story.learn(GONE, entries=4)
    story.learn(STAYS)
    version, lineage = by_asset(story.steps(), GONE)
    plain = story.history.learner.fold.fleet.get(ModelKey("pump", GONE, "pump/plain"))
    assert plain is not None
    highest = max(version, plain.state.version)

    story.retire()
    story.learn(GONE, size=1)
    story.learn(STAYS)
    again, lineage_again = by_asset(story.steps(), GONE)
    assert highest < again <= highest + 2
    assert lineage_again != lineage
    tracked = story.history.learner.fold.fleet.get(ModelKey("pump", GONE, "pump/champion"))
    assert tracked is not None
    assert tracked.state.structure == 1
    assert tracked.state.recent.count <= 1

    story.learn(GONE)
    now = story.steps()
    assert story.restart() == now
    story.check_audits()

    story.retire()
    story.learn(GONE, size=1)
    assert by_asset(story.steps(), GONE)[0] > by_asset(now, GONE)[0]
    story.check_audits()


def test_how_far_a_retired_asset_had_come_is_known_after_terms_were_written_again() -> None:
    story = Story()
    story.learn(GONE, entries=3)
    highest = max(v for v, _ in story.steps().values())
    story.retire()
    for n in range(14):
        story.learn(STAYS if n % 2 else "south/1")
    first = next(m for m in story.history.log.topics[LEDGER] if read_entry(m).entry.sequence == 8)
    story.history.log.forget_before(LEDGER, first.offset)

    story.restart()
    story.learn(GONE, size=1)

    assert by_asset(story.steps(), GONE)[0] > highest
    assert story.restart() == story.steps()


def test_a_change_of_terms_keeps_how_far_a_retired_asset_had_come() -> None:
    story = Story()
    story.learn(GONE, entries=3)
    highest = max(v for v, _ in story.steps().values())
    story.retire()
    story.history.open(sample_terms())
    story.learn(GONE, size=1)
    assert by_asset(story.steps(), GONE)[0] > highest
    assert verify(story.history.log, 0, KEY).findings == []
    assert replay(story.history.log, 0, KEY).findings == []


def spoil(story: Story, asset: str) -> None:
    """Have every snapshot and anchor of an asset refused."""
    log = story.history.log
    for topic in (SNAPSHOTS, ANCHORS):
        for message in log.topics[topic]:
            if message.value and f"|{asset}|".encode() in (message.key or b""):
                log.put(message._replace(value=message.value[:-1] + b"\x00"))


@pytest.mark.parametrize("asset", [GONE, STAYS])
def test_a_state_that_was_refused_is_folded_again_across_the_retirement(asset: str) -> None:
    story = Story(Policy(snapshot_every=2, anchor_every=1000))
    story.learn(GONE, entries=2)
    story.learn(STAYS, entries=2)
    story.retire()
    story.learn(GONE, entries=2)
    story.learn(STAYS)
    now = story.steps()
    spoil(story, asset)

    assert story.restart() == now
    assert story.history.learner.refused


def test_what_an_asset_learned_before_it_was_retired_need_not_be_retained() -> None:
    story = Story(Policy(snapshot_every=2, anchor_every=1000))
    story.learn(GONE, entries=2)
    kept = story.history.log.ends[EVENTS]
    story.learn(STAYS, entries=2)
    story.retire()
    story.learn(STAYS)
    now = story.steps()
    spoil(story, STAYS)
    story.history.log.forget_before(EVENTS, kept)

    assert story.restart() == now


def test_a_skip_with_which_models_fall_leaves_retired_ones_alone() -> None:
    story = Story(Policy(snapshot_every=2, anchor_every=1000))
    story.learn(GONE)
    story.learn(STAYS)
    story.retire()
    story.learn(STAYS)
    spoil(story, STAYS)
    log = story.history.log
    log.forget_before(EVENTS, log.ends[EVENTS])
    standing = drained(survey(log, 0, story.history.positions))
    remains = drained(rebuild_what_remains(log, standing, KEY))
    assert {fallen.key.asset for fallen in remains.fallen} == {STAYS}


def test_an_audit_expects_no_snapshot_of_a_retired_asset_even_without_its_tombstones() -> None:
    story = Story(Policy(snapshot_every=1))
    story.learn(GONE)
    story.learn(STAYS)
    story.retire()
    log = story.history.log
    for message in [m for m in log.topics[SNAPSHOTS] if GONE.encode() in (m.key or b"")]:
        log.remove(message)
    assert verify(log, 0, KEY).findings == []


def test_a_replay_needs_no_state_of_an_asset_retired_before_all_that_is_retained() -> None:
    story = Story(Policy(snapshot_every=2, anchor_every=3, define_every=4))
    story.learn(GONE, entries=2)
    story.learn(STAYS, entries=2)
    story.retire()
    for _ in range(8):
        story.learn(STAYS)
    log = story.history.log
    sequence = story.entries[-6].sequence
    first = next(m for m in log.topics[LEDGER] if read_entry(m).entry.sequence == sequence)
    positions = read_entry(first).entry.positions or {}
    log.forget_before(LEDGER, first.offset)
    log.forget_before(EVENTS, positions[EVENTS])

    report = replay(log, 0, KEY)

    assert report.findings == []
    assert report.counts["folded"]


def test_an_asset_without_models_is_refused_and_asking_starts_none() -> None:
    story = Story()
    story.learn(STAYS)
    with pytest.raises(ConfigError, match="'nobody' has none of any stream"):
        story.retire("nobody")
    with pytest.raises(ConfigError, match="has none of stream saw"):
        story.retire(STAYS, stream="saw")
    assert len(story.restart()) == 2


def test_an_asset_of_which_nothing_was_ever_learned_is_refused() -> None:
    story = Story(NEVER)
    story.learn(STAYS)
    x = {"vibration": 1.0, "temperature": 5000.0, "flow": 0.5}
    story.history.commit([[story.history.event(event_value("odd", 99, x, 1.0))]])
    with pytest.raises(ConfigError, match="'odd' has none"):
        story.retire("odd")


def test_the_census_counts_what_the_learner_holds() -> None:
    story = Story()
    for asset in (GONE, STAYS, "south/1", GONE):
        story.learn(asset)
    story.retire()
    story.learn(GONE)
    found = drained(census(story.history.log, 0))
    assert {key: held.version for key, held in found.items()} == {
        key: version for key, (version, _) in story.steps().items()
    }
    assert max(held.entry for held in found.values()) == story.entries[-1].sequence


def test_the_assets_retired_last_are_remembered() -> None:
    past = Past()
    last = MOST_RETIRED + 3
    for n in range(last + 1):
        past = past.retiring("s", f"a{n}", Retired(n, Floor(n, 1)))
    again = Past.of(past.text())
    assert again == past
    assert len(again.assets) == MOST_RETIRED
    assert again.floor("s", f"a{last}", "s/champion") == Floor(last, 1)
    assert again.floor("s", "a0", "s/champion") == Floor()


def test_models_that_began_after_a_retirement_stay_when_it_is_crossed() -> None:
    fold = Fold(TERMS, 0)
    key = ModelKey("pump", GONE, "pump/champion")
    blueprint = fold.fleet.blueprint(key)
    assert blueprint is not None
    fold.fleet.restore(key, ModelState.fresh(key, blueprint), 7)
    assert fold.retire("pump", GONE, Retired(7, Floor(3, 1))) == []
    assert [tracked.key for tracked in fold.retire("pump", GONE, Retired(8, Floor(3, 1)))] == [key]

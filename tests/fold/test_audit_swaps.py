"""What an audit makes of corrections: it folds them again, and names the swap that was forged."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pytest

from fold.corrected import TREE, Corrected, terms_of
from fold.history import KEY, ListLog, with_flipped_bit
from fold.resealed import resealed
from fold.test_crossing_swaps import corrected
from fold.test_refolding import busy
from tidemill.contracts.codec import codec
from tidemill.contracts.topics import ANCHORS, LEDGER, OUTCOMES, SNAPSHOTS
from tidemill.fold.audit import replay, verify
from tidemill.fold.audit.bounds import AtSequence
from tidemill.fold.audit.findings import Kind
from tidemill.fold.audit.replay import Span
from tidemill.fold.books import Policy
from tidemill.fold.ledger import Action
from tidemill.fold.ledger_log import read_entry
from tidemill.models.controls import Veto
from tidemill.models.pickles import dump_state, load_state
from tidemill.models.running_metrics import NumberMetrics
from tidemill.testing.plants import LINEAR

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tidemill.fold.ledger import Entry
    from tidemill.fold.snapshots import SigningKey
    from tidemill.kernel.records import Message
    from tidemill.models.state import ModelState


@dataclass
class Reads(ListLog):
    """Topics that count how often each is read."""

    reads: Counter[str] = field(default_factory=Counter)

    def read(self, topic: str, *where: int) -> Iterator[list[Message]]:
        self.reads[topic] += 1
        yield from super().read(topic, *where)


@pytest.fixture(scope="module")
def log() -> ListLog:
    plant, _ = corrected()
    plant.apply(plant.events(6), [plant.example()])
    plant.apply(plant.events(4))
    return plant.log


def swap_entry(log: ListLog) -> tuple[Message, Entry]:
    """Return the last entry that swaps a model."""
    found = [(m, read_entry(m).entry) for m in log.topics[LEDGER]]
    return [pair for pair in found if any(a.kind == "swap" for a in pair[1].actions)][-1]


def test_corrections_replay_without_a_difference(log: ListLog) -> None:
    report = replay(log, 0, KEY)
    assert report.findings == []
    assert report.counts["swaps"] == 3
    assert verify(log, 0, KEY).findings == []


def test_without_the_key_the_re_fold_itself_goes_on(log: ListLog) -> None:
    report = replay(log, 0)
    assert report.findings == []
    assert report.counts["swaps"] == 3


def test_a_replay_may_begin_behind_a_swap_or_at_it(log: ListLog) -> None:
    _, entry = swap_entry(log)
    for sequence in range(entry.sequence - 2, entry.sequence + 3):
        report = replay(log, 0, KEY, span=Span(AtSequence(sequence)))
        assert report.findings == [], sequence


def test_vetoes_revisions_and_compensations_replay_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tidemill.fold.editing.WINDOW", 20)
    plant = Corrected(terms_of(TREE))
    first = plant.example(event_id="late")
    plant.apply([first], plant.events(12))
    busy(plant, 6)
    plant.apply([plant.say("VETO", "v", feature="vibration")], plant.events(2))
    plant.correct()
    plant.apply([plant.revision("late", 9.0)], plant.events(2))
    plant.correct()
    plant.allowance = replace(plant.allowance, events=1)
    plant.open(plant.terms)
    plant.apply([plant.say("RETRACT", "r", target_id="f2")], plant.events(2))
    plant.correct()
    plant.apply(plant.events(5))
    assert len(plant.actions("compensate")) == 1
    report = replay(plant.log, 0, KEY)
    assert report.findings == []
    assert report.counts["swaps"] == 2


def test_a_flipped_bit_in_the_entry_of_a_swap_is_named(log: ListLog) -> None:
    message, entry = swap_entry(log)
    assert message.value is not None
    for bit in range(0, 8 * len(message.value), 197):
        altered = with_flipped_bit(log, message, bit)
        found = replay(altered, 0, KEY).findings
        assert [f.kind for f in found][:1] == [Kind.LEDGER_ALTERED], bit
        assert found[0].place.first == message.offset
    assert entry.sequence


@pytest.mark.parametrize("topic", [ANCHORS, SNAPSHOTS])
def test_a_flipped_bit_in_the_state_of_a_swap_is_named(log: ListLog, topic: str) -> None:
    _, entry = swap_entry(log)
    record = next(m for m in log.topics[topic] if _sequence(m) == entry.sequence)
    assert record.value is not None
    for bit in range(3, 8 * len(record.value), 3571):
        altered = with_flipped_bit(log, record, bit)
        found = replay(altered, 0, KEY).findings
        assert found
        assert any(f.names(topic, record.offset) for f in found), bit


def _sequence(message: Message) -> int:
    return int(codec("Snapshot").decode(message.value)["sequence"])


def forged_swap(log: ListLog, lineage: bytes) -> ListLog:
    """Return the topics with another lineage in the last swap, every hash of them right."""
    _, target = swap_entry(log)
    action = target.actions[0]
    after = {action.detail["model"]}

    def change(entry: Entry) -> Entry:
        if entry.sequence < target.sequence:
            return entry
        models = tuple(
            replace(m, lineage=lineage) if f"{m.stream}|{m.asset}|{m.model}" in after else m
            for m in entry.models
        )
        actions = entry.actions
        if entry.sequence == target.sequence:
            detail = {**action.detail, "lineage": lineage.hex()}
            actions = (Action(action.kind, detail), *actions[1:])
        return replace(entry, models=models, actions=actions)

    forged = resealed(log, change)
    for topic in (ANCHORS, SNAPSHOTS):
        for message in [m for m in log.topics[topic] if (m.key or b"").decode() in after]:
            record = codec("Snapshot").decode(message.value)
            if record["sequence"] >= target.sequence:
                forged.put(message._replace(value=signed(message, {**record, "lineage": lineage})))
    return forged


def signed(message: Message, record: dict[str, Any]) -> bytes:
    """Return a saved state as whoever has the key would sign it."""
    assert message.key is not None
    unsigned = codec("Snapshot").encode({**record, "signature": b""})
    return codec("Snapshot").encode({**record, "signature": KEY.sign(message.key, unsigned)})


def test_a_swap_that_was_forged_by_whoever_has_the_key_is_named(log: ListLog) -> None:
    _, entry = swap_entry(log)
    forged = forged_swap(log, b"\7" * 32)
    for key in (KEY, None):
        found = replay(forged, 0, key).findings
        assert [(f.kind, f.sequence) for f in found] == [(Kind.SWAP_DIFFERS, entry.sequence)]


def forge_pipeline(state: ModelState, older: ModelState) -> None:
    state.pipeline = older.pipeline


def forge_refinement(state: ModelState, older: ModelState) -> None:
    state.refinement = older.refinement


def forge_metrics(state: ModelState, _: ModelState) -> None:
    state.metrics = NumberMetrics()
    state.metrics.observe(1.0, 1.0, naive=None, covered=None)


def forge_controls(state: ModelState, _: ModelState) -> None:
    state.controls = replace(state.decided, vetoes=(Veto("flow", ("flow",), "me"),))


FORGERIES = {
    "pipeline": forge_pipeline,
    "refinement": forge_refinement,
    "metrics": forge_metrics,
    "controls": forge_controls,
}


@pytest.fixture(scope="module")
def log_without_cases() -> ListLog:
    plant = Corrected(terms_of(LINEAR, stream={"feedback": {"compare": 0}}))
    busy(plant, 12)
    plant.apply([plant.say("RETRACT", "r", target_id="f2")], plant.events(30))
    plant.correct()
    plant.apply(plant.events(4))
    assert replay(plant.log, 0, KEY).findings == []
    return plant.log


@pytest.mark.parametrize("part", FORGERIES)
@pytest.mark.parametrize("kept", ["log", "log_without_cases"])
def test_a_forged_state_under_the_right_lineage_is_named(
    part: str, kept: str, request: pytest.FixtureRequest
) -> None:
    log: ListLog = request.getfixturevalue(kept)
    _, entry = swap_entry(log)
    name = entry.actions[0].detail["model"].encode()
    forged = log.copy()
    for topic in (ANCHORS, SNAPSHOTS):
        own = [m for m in log.topics[topic] if m.key == name]
        mine = next(m for m in own if _sequence(m) == entry.sequence)
        older = next(m for m in log.topics[ANCHORS] if m.key == name)
        record, other = (codec("Snapshot").decode(m.value) for m in (mine, older))
        state = load_state(record["state"])
        FORGERIES[part](state, load_state(other["state"]))
        forged.put(mine._replace(value=signed(mine, {**record, "state": dump_state(state)})))
    found = [f for f in replay(forged, 0, KEY).findings if f.sequence == entry.sequence]
    assert (found[0].kind, found[0].sequence) == (Kind.SWAP_DIFFERS, entry.sequence)


def test_an_anchor_that_was_taken_away_is_missed(log: ListLog) -> None:
    _, entry = swap_entry(log)
    bare = log.copy()
    for message in [m for m in bare.topics[ANCHORS] if _sequence(m) == entry.sequence]:
        bare.remove(message)
    for report in (verify(bare, 0, KEY), replay(bare, 0, KEY)):
        kinds = [(f.kind, f.place.topic, f.sequence) for f in report.findings]
        assert (Kind.SNAPSHOT_MISSING, ANCHORS, entry.sequence) in kinds


@pytest.mark.parametrize("later", [100, 1_600])
def test_the_entry_of_an_old_swap_is_not_looked_for_one_by_one(later: int) -> None:
    seldom = Policy(snapshot_every=100_000, anchor_every=100_000, define_every=100_000)
    plant = Corrected(terms_of(LINEAR), policy=seldom)
    plant.apply([plant.example("wrong")], plant.events(4))
    plant.apply([plant.say("RETRACT", "r", target_id="wrong")], plant.events(2))
    plant.correct()
    for _ in range(later):
        plant.apply(plant.events(1))
    log = Reads(plant.log.topics, plant.log.ends)
    report = replay(log, 0, KEY)
    assert report.findings == []
    assert report.counts["swaps"] == 1
    assert log.reads[LEDGER] < 50


@pytest.mark.parametrize("signing", [KEY, None], ids=["with the key", "without it"])
def test_a_stream_whose_outcomes_come_from_events_replays(signing: SigningKey | None) -> None:
    ahead = {"target": {"ahead": {"field": "wear", "after": 3}}}
    plant = Corrected(terms_of(LINEAR, stream=ahead))
    plant.apply([plant.example("wrong")], plant.events(20))
    plant.apply([plant.say("RETRACT", "r", target_id="wrong")], plant.events(2))
    plant.correct()
    plant.apply(plant.events(6))
    report = replay(plant.log, 0, signing)
    assert report.findings == []
    assert report.counts["swaps"] == 1
    told = [codec("Outcome").decode(m.value) for m in plant.log.topics[OUTCOMES]]
    assert [each["metrics"]["count"] for each in told] == [*range(1, len(told) + 1)]

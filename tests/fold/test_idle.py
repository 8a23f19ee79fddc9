"""Models that leave memory and come back: nothing that anybody can see depends on it."""

from __future__ import annotations

import random
import re
import tempfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from fold.history import KEY, OUTPUTS, History, ListLog, some_event, some_update
from tidemill.contracts.codec import codec
from tidemill.contracts.topics import ANCHORS, EVENTS, LEDGER, SNAPSHOTS
from tidemill.fold.audit import Span, replay, verify
from tidemill.fold.audit.bounds import AtSequence
from tidemill.fold.audit.starting import drained
from tidemill.fold.books import Policy
from tidemill.fold.idle import IdleModels, Room
from tidemill.fold.ledger_log import last_entry, read_entry
from tidemill.fold.recovery import gather_states
from tidemill.fold.replica import Replica
from tidemill.fold.retiring import Leaving, prepare
from tidemill.fold.retiring import retire as retire_asset
from tidemill.fold.shelf import SHELVED
from tidemill.fold.snapshots import split_key
from tidemill.kernel.errors import ConfigError, InvariantError
from tidemill.models.outputs import Answer
from tidemill.models.pickles import dump_state, load_state
from tidemill.processors.learner.processor import Learner, LearnerFactory
from tidemill.runtime.idle_states import IdleStates, check_folder
from tidemill.testing.plants import LOGISTIC, event_value, sample_terms, update_value

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, MutableMapping
    from pathlib import Path

    from tidemill.fold.terms import Terms

    Store = Callable[[], MutableMapping[bytes, bytes]]

QUICK_TREE = {"grace_period": 3, "delta": 0.4, "tau": 0.9}
STREAM = {
    "duplicates_within": 4,
    "features": {
        "vibration": {"range": [0, 50], "rate": 1000},
        "temperature": {"range": [-1000, 1000], "stuck_after": 4},
        "flow": {},
        "before": {"of": "vibration", "lag": 1},
    },
}
CHALLENGERS = {"tree": [{"tree.HoeffdingTreeRegressor": QUICK_TREE}]}
TERMS = {
    "linear": sample_terms(stream=STREAM),
    "two": sample_terms(challengers=CHALLENGERS, stream=STREAM),
    "small": sample_terms(challengers=CHALLENGERS, stream=STREAM, memory="1KiB"),
    "other": sample_terms(["linear_model.LinearRegression"], stream=STREAM),
}
PROBED = ("vibration", "temperature", "flow", "before")
UNEQUAL = {"state", "signature", "chunk", "chunks"}
POLICY = Policy(snapshot_every=4, anchor_every=6, define_every=5, chunk_bytes=900)

steps = st.lists(
    st.one_of(
        st.tuples(st.just("events"), st.integers(1, 4)),
        st.tuples(st.just("events"), st.integers(1, 4)),
        st.tuples(st.just("updates"), st.integers(1, 3)),
        st.tuples(st.just("open"), st.sampled_from(["linear", "other", "two"])),
        st.tuples(st.just("restart"), st.just(0)),
        st.tuples(st.just("retire"), st.sampled_from(["north/1", "north/2", "south/1"])),
    ),
    max_size=16,
)


class Lived(History):
    """A history whose learners hold few models in memory."""

    def __init__(self, terms: Terms, most: int | None, store: Store = dict) -> None:
        self._room = Room(most)
        self._store = store
        super().__init__(terms, policy=POLICY)

    def open(self, terms: Terms, *, from_end: bool = False, redefines: bool = True) -> Learner:
        factory = LearnerFactory(
            terms,
            KEY,
            self._policy,
            from_end=from_end,
            redefines=redefines,
            idle=lambda _: IdleModels(self._store(), self._room),
        )
        committed = self.positions if self.log.topics[LEDGER] else {}
        opened = drained(factory.open(0, {t: committed.get(t) for t in self.positions}, self.log))
        assert isinstance(opened.task, Learner)
        self.positions = dict(opened.positions)
        self._write(opened.first_emits)
        self.learner = opened.task
        return self.learner


@dataclass
class Life:
    """The same things done to a history with and without a limit."""

    history: Lived
    rng: random.Random
    terms: Terms
    number: int = 0
    known: Mapping[str, Terms] = field(default_factory=lambda: TERMS)

    def do(self, kind: str, what: str | int) -> None:
        history = self.history
        if kind == "open":
            self.terms = self.known[str(what)]
            history.open(self.terms)
        elif kind == "restart":
            history.open(self.terms)
        elif kind == "retire":
            self.retire(str(what))
        else:
            make = some_event if kind == "events" else some_update
            batch = [make(history, self.number + n, self.rng) for n in range(int(what))]
            self.number += int(what)
            history.commit([batch])

    def retire(self, asset: str) -> None:
        history = self.history
        leaving = Leaving(asset, "ann")
        try:
            plan = drained(prepare(history.log, 0, history.positions, leaving=leaving, signing=KEY))
        except ConfigError:
            return
        emits, positions = retire_asset(plan, KEY)
        history._write(emits)
        history.positions = positions
        history.open(self.terms)


def lived(
    done: list[tuple[str, str | int]], seed: int, most: int | None, first: str = "two"
) -> Lived:
    terms = TERMS[first]
    life = Life(Lived(terms, most), random.Random(seed), terms)
    for kind, what in done:
        life.do(kind, what)
    return life.history


def states(log: ListLog, topic: str) -> list[object]:
    """Return every snapshot, its state as it is once loaded, chunks put together.

    Bytes of equal states may differ once one of them was loaded, so into how many they are cut.
    """
    found: list[object] = []
    parts: list[bytes] = []
    for message in log.topics[topic]:
        key, chunk = split_key(message.key or b"")
        if message.value is None:
            found += [key] if chunk == 0 else []
            continue
        record = codec("Snapshot").decode(message.value)
        parts = [record["state"]] if chunk == 0 else [*parts, record["state"]]
        if len(parts) == record["chunks"]:
            kept = {k: v for k, v in record.items() if k not in UNEQUAL}
            found.append((kept, told(b"".join(parts))))
    return found


def told(state: bytes) -> list[object]:
    """Return what a saved state says of itself, and what its model answers and goes on to learn.

    River's models note names that they are only asked about, and windows that nothing entered yet
    may be noted or not: equal ones may differ in that.
    """
    loaded, rng = load_state(state), random.Random(4)
    answers = []
    for _ in range(12):
        x = {name: rng.uniform(0, 50) for name in PROBED if rng.random() < 0.9}
        answers.append(loaded.pipeline.predict_one(x))
        loaded.pipeline.learn_one(x, rng.gauss(3, 1))
    values = (loaded.lineage, loaded.version, loaded.structure, loaded.applied, loaded.at_budget)
    *recent, windows = loaded.recent.dump()
    past = [*recent, windows if loaded.recent.count else ()]
    return [*answers, *values, loaded.anchored, *past, loaded.refinement.dump()]


def folded(log: ListLog) -> list[object]:
    """Return what entries say of models; how large one was when it met its budget may differ."""
    entries = [read_entry(message).entry for message in log.topics[LEDGER]]
    return [(e.runs, e.models, e.emitted, e.snapshots, e.learned, e.fleet) for e in entries]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    done=steps,
    seed=st.integers(0, 99),
    most=st.integers(0, 3),
    first=st.sampled_from(["two", "two", "small"]),
)
@example(
    done=[
        *(("events", 1), ("events", 2), ("open", "linear"), ("open", "small")),
        *(("updates", 3), ("events", 1), ("open", "linear")),
    ],
    seed=45,
    most=0,
    first="two",
)
def test_resting_changes_no_output_no_ledger_byte_and_no_state(
    done: list[tuple[str, str | int]], seed: int, most: int, first: str
) -> None:
    plain, resting = lived(done, seed, None, first), lived(done, seed, most, first)
    for topic in OUTPUTS if first == "small" else (*OUTPUTS, LEDGER):
        assert resting.log.topics[topic] == plain.log.topics[topic]
    assert folded(resting.log) == folded(plain.log)
    for topic in (SNAPSHOTS, ANCHORS):
        assert states(resting.log, topic) == states(plain.log, topic)
    assert verify(resting.log, 0, KEY).findings == []
    assert replay(resting.log, 0, KEY).findings == []


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(done=steps, seed=st.integers(0, 99))
def test_a_replica_that_rests_says_of_every_entry_what_the_ledger_says(
    done: list[tuple[str, str | int]], seed: int
) -> None:
    log = lived(done, seed, None).log
    replica = Replica(log, 0, {}, IdleModels(room=Room(0)))
    ends = {topic: log.span(topic, 0)[1] for topic in (EVENTS, "model.updates")}
    for message in log.topics[LEDGER]:
        step = drained(replica.step(read_entry(message), ends))
        assert step.differences == ()
        assert replica.fold is not None
        standing = replica.fold.fleet.standing()
        assert (standing.models, standing.digest) == (
            step.placed.entry.learned,
            step.placed.entry.fleet,
        )


def touch(history: Lived, *assets: str) -> None:
    x = {"vibration": 1.0, "temperature": 60.0, "flow": 0.5}
    values = [
        event_value(asset, history.log.ends[EVENTS] + n, x, 1.0) for n, asset in enumerate(assets)
    ]
    history.commit([[history.event(value) for value in values]])


def test_saved_models_of_assets_that_are_quiet_leave_memory_and_come_back() -> None:
    history = Lived(TERMS["linear"], 2)
    touch(history, *(f"a{n}" for n in range(6)))
    fleet = history.learner.fold.fleet
    assert fleet.live == 6
    touch(history, "a0")
    assert (fleet.live, len(fleet), len(fleet.idle)) == (2, 6, 4)
    assert [t.key.asset for t in fleet._by_key.values()][:1] == ["a0"]
    touch(history, "a3", "a4", "a5")
    assert len(fleet) == 6
    assert sorted(t.state.version for t in fleet) == [1, 1, 2, 2, 2, 2]


def test_a_model_that_rests_and_wakes_again_and_again_forgets_nothing() -> None:
    history, plain = Lived(TERMS["linear"], 0), Lived(TERMS["linear"], None)
    for each in (history, plain):
        for n in range(12):
            touch(each, "a" if n % 3 == 0 else "b")
    assert len(history.learner.fold.fleet.idle)
    assert told_of(history) == told_of(plain)


def told_of(history: Lived) -> dict[str, list[object]]:
    return {t.key.asset: told(dump_state(t.state)) for t in history.learner.fold.fleet}


def test_a_model_that_learns_no_more_is_counted_while_it_rests() -> None:
    history = Lived(TERMS["small"], 0)
    for asset in ("a", "b", "b", "b", "b"):
        touch(history, asset)
    fleet = history.learner.fold.fleet
    assert fleet.live == 0
    assert fleet.frozen == len(fleet) == 4
    assert history.open(TERMS["small"]).report().at_budget == 4


def test_what_the_definition_says_now_holds_for_a_model_that_wakes() -> None:
    model = {"champion": list(LOGISTIC)}
    once = sample_terms(LOGISTIC, kind="binary")
    often = sample_terms(kind="binary", stream={"model": {**model, "repeat": {"true": 3}}})
    history = Lived(once, 0)
    x = {"vibration": 1.0, "temperature": 60.0, "flow": 0.5}
    for n in range(8):
        value = event_value("a" if n < 2 else "b", n, x, n % 2 == 0)
        history.commit([[history.event(value)]])
    fleet = history.open(often).fold.fleet
    assert fleet.live == 0
    (tracked,) = fleet.of("pump", "a").models
    assert tracked.state.refinement.refine(
        Answer(None, {"true": 0.5, "false": 0.5}, None)
    ) != Answer(None, {"true": 0.5, "false": 0.5}, None)


def test_a_model_that_never_learned_has_no_snapshot_to_delete() -> None:
    history = Lived(TERMS["two"], None)
    touch(history, "b")
    x = {"vibration": 1.0, "temperature": 5000.0, "flow": 0.5}
    history.commit([[history.event(event_value("a", 9, x, 1.0))]])
    history.open(TERMS["linear"])
    deleted = [m.key for m in history.log.topics[SNAPSHOTS] if m.value is None]
    assert deleted == [b"pump|b|pump/tree"]


def test_a_challenger_that_comes_later_is_saved_as_it_starts() -> None:
    history = Lived(TERMS["linear"], None)
    history.learner.books._saving.policy = history._policy = Policy(snapshot_every=6)
    touch(history, "a", "a")
    history.open(TERMS["two"])
    update = update_value("a", 1, {"vibration": 1.0}, 2.0, model="pump/champion")
    history.commit([[history.update(update)]])
    touch(history, "b", "b", "b")
    touch(history, "a")
    for _ in range(3):
        touch(history, "b")
        history.open(TERMS["two"])
    assert verify(history.log, 0, KEY).findings == []


def test_a_challenger_that_starts_by_an_instruction_has_its_assets_past() -> None:
    history = Lived(TERMS["linear"], None)
    history.learner.books._saving.policy = history._policy = Policy(snapshot_every=6)
    touch(history, "a")
    history.open(TERMS["two"])
    for cause, model in enumerate(("pump/champion", "pump/tree")):
        update = update_value("a", cause, {"vibration": 1.0}, 2.0, model=model)
        history.commit([[history.update(update)]])
    touch(history, "a")
    for _ in range(6):
        touch(history, "b")
        history.open(TERMS["two"])
    assert {t.state.recent.count for t in history.learner.fold.fleet if t.key.asset == "a"} == {2}


def test_a_recovery_leaves_nothing_on_the_shelf() -> None:
    stores: list[dict[bytes, bytes]] = []

    def store() -> dict[bytes, bytes]:
        stores.append({})
        return stores[-1]

    history = Lived(TERMS["linear"], None, store)
    for asset in ("a", "b", "c", "c", "c"):
        touch(history, asset)
    history.open(TERMS["linear"])
    assert {key for key in stores[-1] if key.startswith(SHELVED)} == set()
    assert stores[-1]


def test_dirty_models_never_leave_memory() -> None:
    history = Lived(TERMS["linear"], 0)
    history.learner.books._saving.policy = Policy(snapshot_every=100)
    touch(history, *(f"a{n}" for n in range(6)))
    touch(history, "a0")
    assert history.learner.fold.fleet.live == 6


def test_models_of_quiet_assets_are_not_loaded_at_a_start() -> None:
    history = Lived(TERMS["linear"], None)
    for n in range(9):
        touch(history, f"a{n}")
    fleet = history.open(TERMS["linear"]).fold.fleet
    assert len(fleet) == 9
    assert fleet.live <= 4
    touch(history, "a0")
    assert replay(history.log, 0, KEY, span=Span(AtSequence(0), None)).findings == []


def test_an_asset_that_never_learned_is_forgotten_and_starts_again() -> None:
    history = Lived(TERMS["linear"], 0)
    x = {"vibration": 1.0, "temperature": 5000.0, "flow": 0.5}
    history.commit([[history.event(event_value("a", 0, x, 1.0))]])
    assert len(history.learner.fold.fleet) == 0
    touch(history, "a")
    assert [t.state.version for t in history.learner.fold.fleet] == [1]


def test_partitions_of_one_worker_share_its_room() -> None:
    room = Room(10)
    one, two = IdleModels(room=room), IdleModels(room=room)
    assert one.excess(8) == -2
    assert two.excess(5) == 3
    assert one.excess(4) == -1
    del one
    assert two.excess(10) == 0


def test_a_store_that_lost_a_state_halts_the_worker() -> None:
    stores: list[dict[bytes, bytes]] = []

    def store() -> dict[bytes, bytes]:
        stores.append({})
        return stores[-1]

    history = Lived(TERMS["linear"], 0, store)
    touch(history, "a", "b")
    touch(history, "c", "c")
    touch(history, "c")
    stores[-1].clear()
    with pytest.raises(InvariantError, match=re.escape("pump|a|pump/champion")):
        touch(history, "a")


def test_states_on_disk_are_those_that_were_put_there() -> None:
    kept: dict[bytes, bytes] = {}
    states = IdleStates()
    rng = random.Random(3)
    for _ in range(300):
        name = b"n%d" % rng.randrange(20)
        if rng.random() < 0.3:
            assert states.pop(name, None) == kept.pop(name, None)
        else:
            states[name] = kept[name] = rng.randbytes(rng.randrange(5000))
    assert dict(states) == kept
    assert len(states) == len(kept)
    assert states.get(b"nothing") is None
    with pytest.raises(KeyError):
        del states[b"nothing"]


def test_the_states_of_idle_models_outlive_nothing(tmp_path: Path) -> None:
    states = IdleStates(tmp_path)
    states[b"a"] = b"1"
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ConfigError, match="--idle-folder: must be a folder"):
        check_folder(tmp_path / "missing")


def test_where_no_file_may_be_written_states_stay_in_memory(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    states = IdleStates()
    states[b"a"] = b"1"
    assert states[b"a"] == b"1"


def test_a_disk_that_fails_halts_the_worker() -> None:
    states = IdleStates()
    states.close()
    with pytest.raises(InvariantError, match="nothing is lost"):
        states[b"a"] = b"1"


def test_a_learner_on_disk_recovers_as_one_in_memory_does() -> None:
    done: list[tuple[str, str | int]] = [("events", 4), ("updates", 3), ("restart", 0)] * 4
    plain = lived(done, 1, None)
    terms = TERMS["two"]
    life = Life(Lived(terms, 1, IdleStates), random.Random(1), terms)
    for kind, what in done:
        life.do(kind, what)
    assert life.history.log.topics[LEDGER] == plain.log.topics[LEDGER]
    tail = drained(last_entry(plain.log, 0))
    assert tail is not None
    shelf, _ = drained(gather_states(plain.log, tail, signing=KEY, known={}))
    assert shelf.newest

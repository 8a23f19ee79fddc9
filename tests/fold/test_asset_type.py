"""New models that start as those of their asset type: equal to River, whatever befalls a worker."""

from __future__ import annotations

import copy
import random
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from river import linear_model, preprocessing

from fold.history import KEY, OUTPUTS
from fold.test_idle import STREAM, Life, Lived
from tidemill.contracts.codec import codec
from tidemill.contracts.definition import parse_definition
from tidemill.contracts.stream import ASSET_TYPE
from tidemill.contracts.topics import ANCHORS, EVENTS, LEDGER, PREDICTIONS, SNAPSHOTS, UPDATES
from tidemill.fold.applying import Fold
from tidemill.fold.audit import replay, verify
from tidemill.fold.books import Books, Policy
from tidemill.fold.ledger_log import read_entry
from tidemill.fold.snapshots import split_key
from tidemill.kernel.errors import ConfigError
from tidemill.kernel.records import Message
from tidemill.models.state import ModelKey
from tidemill.processors.learner.processor import Learner
from tidemill.testing.laws import check_processor
from tidemill.testing.plants import (
    LINEAR,
    event_value,
    sample_definition,
    sample_terms,
    update_value,
)

if TYPE_CHECKING:
    from tidemill.fold.terms import Terms

DETECTOR = ["preprocessing.MinMaxScaler", {"anomaly.HalfSpaceTrees": {"n_trees": 3, "height": 4}}]
TREE = [{"tree.HoeffdingTreeRegressor": {"grace_period": 3, "delta": 0.4, "tau": 0.9}}]


def model(**fields: object) -> dict[str, object]:
    return {"model": {"champion": list(LINEAR), "start_from": "stream", **fields}}


ALONE = sample_terms(stream=STREAM)
SHARED = sample_terms(stream={**STREAM, **model()})
TERMS = {
    "alone": ALONE,
    "shared": SHARED,
    "two": sample_terms(stream={**STREAM, **model(challengers={"tree": TREE})}),
    "other": sample_terms(stream={**STREAM, **model(champion=["linear_model.LinearRegression"])}),
    "ahead": sample_terms(
        stream={**STREAM, **model(), "target": {"ahead": {"field": "flow", "after": 2}}}
    ),
    "label": sample_terms(
        stream={
            **STREAM,
            **model(),
            "target": {"label": {"name": "wear", "kind": "regression", "ttl": "8h"}},
        }
    ),
    "none": sample_terms(stream={**STREAM, **model(champion=DETECTOR), "target": "none"}),
}

steps = st.lists(
    st.one_of(
        st.tuples(st.just("events"), st.integers(1, 4)),
        st.tuples(st.just("events"), st.integers(1, 4)),
        st.tuples(st.just("updates"), st.integers(1, 3)),
        st.tuples(st.just("open"), st.sampled_from(["alone", "shared", "two", "other"])),
        st.tuples(st.just("retire"), st.sampled_from(["north/1", "north/2", "south/1"])),
    ),
    max_size=14,
)


def lived(
    done: list[tuple[str, str | int]],
    seed: int,
    *,
    first: str = "two",
    restarts: int = 0,
    most: int | None = None,
) -> Lived:
    """Live; with `restarts`, as often a worker starts anew before a step, as chance has it."""
    terms = TERMS[first]
    life = Life(Lived(terms, most), random.Random(seed), terms, known=TERMS)
    chance = random.Random(restarts)
    for kind, what in done:
        if restarts and chance.random() < 0.5:
            life.do("restart", 0)
        life.do(kind, what)
    return life.history


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    done=steps,
    seed=st.integers(0, 99),
    disturbance=st.tuples(st.integers(1, 9), st.sampled_from([None, 0, 2])),
    first=st.sampled_from(["two", "shared", "ahead", "alone", "label", "none"]),
)
def test_restarts_and_rests_change_no_output_and_audits_find_nothing(
    done: list[tuple[str, str | int]], seed: int, disturbance: tuple[int, int | None], first: str
) -> None:
    restarts, most = disturbance
    plain = lived(done, seed, first=first)
    disturbed = lived(done, seed, first=first, restarts=restarts, most=most)
    for topic in OUTPUTS:
        assert disturbed.log.topics[topic] == plain.log.topics[topic]
    last = [read_entry(h.log.topics[LEDGER][-1]).entry for h in (plain, disturbed)]
    assert last[0].fleet == last[1].fleet
    assert verify(disturbed.log, 0, KEY).findings == []
    assert replay(disturbed.log, 0, KEY).findings == []


def some_x(rng: random.Random) -> dict[str, float]:
    return {"vibration": rng.uniform(0, 50), "temperature": rng.gauss(60, 9), "flow": rng.random()}


class Oracle:
    """Plain River: one model that learns everything, and copies of it, each made when needed."""

    def __init__(self) -> None:
        self.type: Any = preprocessing.StandardScaler() | linear_model.LinearRegression()
        self.own: dict[str, Any] = {}

    def ask(self, asset: str, x: dict[str, float]) -> float:
        found: float = (self.own.get(asset) or self.type).predict_one(x)
        return found

    def learn(self, asset: str, x: dict[str, float], y: float) -> None:
        if asset not in self.own:
            self.own[asset] = copy.deepcopy(self.type)
        for river in (self.own[asset], self.type):
            river.learn_one(x, y)


PLAIN_SHARED = sample_terms(stream=model())


@pytest.mark.parametrize("seed", range(4))
def test_every_prediction_is_that_of_river_copied_when_the_asset_first_learned(seed: int) -> None:
    rng, oracle = random.Random(seed), Oracle()
    history = Lived(PLAIN_SHARED, rng.choice([None, 1]))
    expected: list[float] = []
    for number in range(80):
        asset, x, y = f"a{min(rng.randrange(8), number // 6)}", some_x(rng), rng.gauss(3, 1)
        dice = rng.random()
        if dice < 0.2:
            value = update_value(asset, number, dict(x), y)
            history.commit([[history.update(value)]])
            oracle.learn(asset, x, y)
        else:
            label = None if dice < 0.3 else y
            at_fault = {**x, "temperature": 5000.0} if 0.3 < dice < 0.5 else x
            value = event_value(asset, number, dict(at_fault), label)
            history.commit([[history.event(value, key=asset.encode())]])
            known = {k: v for k, v in at_fault.items() if v < 5000}
            if at_fault is x:
                expected.append(oracle.ask(asset, known))
                if label is None:
                    oracle.own.setdefault(asset, copy.deepcopy(oracle.type))
                else:
                    oracle.learn(asset, x, y)
        if rng.random() < 0.1:
            history.open(PLAIN_SHARED)
    found = [codec("Prediction").decode(m.value) for m in history.log.topics[PREDICTIONS]]
    assert [each["value"] for each in found if not each["quality"]] == expected
    assert {each["asset"] for each in found} == {f"a{n}" for n in range(8)}


def touch(history: Lived, asset: str, y: float = 1.0, *, x: dict[str, float] | None = None) -> None:
    x = {"vibration": 1.0, "temperature": 60.0, "flow": 0.5} if x is None else x
    number = history.log.ends[EVENTS]
    history.commit([[history.event(event_value(asset, number, dict(x), y))]])


def of(history: Lived, asset: str) -> Any:
    return history.learner.fold.fleet.get(ModelKey("pump", asset, "pump/champion"))


def test_a_new_model_counts_on_from_what_it_starts_as_and_its_lineage_names_both() -> None:
    history = Lived(PLAIN_SHARED, None)
    for n in range(5):
        touch(history, "a", float(n))
    touch(history, "b")
    touch(history, "c")
    assert of(history, "a").state.version == 5
    assert of(history, ASSET_TYPE).state.version == 7
    assert (of(history, "b").state.version, of(history, "c").state.version) == (6, 7)
    assert len({of(history, each).state.lineage for each in ("a", "b", "c", ASSET_TYPE)}) == 4
    assert (of(history, "b").state.recent.count, of(history, "b").state.applied) == (1, {})


def test_a_type_learns_an_instruction_as_often_as_assets_do_and_a_new_model_has_applied_none() -> (
    None
):
    history = Lived(PLAIN_SHARED, None)
    x = {"vibration": 1.0, "temperature": 60.0, "flow": 0.5}
    for asset, cause in (("a", 9), ("a", 9), ("b", 3), ("a", 10)):
        history.commit([[history.update(update_value(asset, cause, dict(x), 2.0))]])
    assert (of(history, "a").state.version, of(history, "b").state.version) == (2, 2)
    assert of(history, ASSET_TYPE).state.version == 3
    assert [len(of(history, each).state.applied) for each in ("a", "b", ASSET_TYPE)] == [1, 1, 0]


def test_an_instruction_to_one_model_reaches_the_type_s_model_of_that_name_alone() -> None:
    history = Lived(TERMS["two"], None)
    x = {"vibration": 1.0, "temperature": 60.0, "flow": 0.5}
    update = update_value("a", 1, dict(x), 2.0, model="pump/tree")
    history.commit([[history.update(update)]])
    fleet = history.learner.fold.fleet
    assert {t.key.model: t.state.version for t in fleet if t.key.asset == ASSET_TYPE} == {
        "pump/champion": 0,
        "pump/tree": 1,
    }


def test_a_model_is_saved_and_anchored_with_the_entry_in_which_it_starts() -> None:
    history = Lived(PLAIN_SHARED, None)
    history.learner.books._saving.policy = Policy(snapshot_every=1000)
    for asset in ("a", "b", "a", "b"):
        touch(history, asset)
    entries = [read_entry(m).entry for m in history.log.topics[LEDGER]]
    names = [{name.split("|")[1] for name in entry.snapshots} for entry in entries]
    assert names == [set(), {"a", ASSET_TYPE}, {"b", ASSET_TYPE}, set(), set()]
    assert len([m for m in history.log.topics[ANCHORS] if b"|b|" in (m.key or b"")]) == 1


def test_no_state_of_an_asset_is_newer_than_that_of_its_type() -> None:
    history = lived([("events", 4), ("updates", 2)] * 8, 3)
    newest: dict[str, int] = defaultdict(lambda: -1)
    for message in history.log.topics[SNAPSHOTS]:
        key, chunk = split_key(message.key or b"")
        if message.value is not None and chunk == 0:
            asset, record = ModelKey.decode(key).asset, codec("Snapshot").decode(message.value)
            newest[asset] = max(newest[asset], record["sequence"])
    assert newest[ASSET_TYPE] == max(newest.values())


def test_a_stream_that_shares_no_more_lets_those_of_its_type_go_and_keeps_the_others() -> None:
    history = Lived(SHARED, None)
    for asset in ("a", "b"):
        touch(history, asset)
    kept = of(history, "b").state.lineage
    history.open(ALONE)
    assert of(history, ASSET_TYPE) is None
    assert of(history, "b").state.lineage == kept
    touch(history, "c")
    assert of(history, "c").state.version == 1
    history.open(SHARED)
    assert of(history, ASSET_TYPE).is_new
    touch(history, "c")
    assert of(history, ASSET_TYPE).state.version == 1
    assert verify(history.log, 0, KEY).findings == []
    assert replay(history.log, 0, KEY).findings == []


def test_a_type_at_its_budget_learns_no_more() -> None:
    history = Lived(sample_terms(stream=model(memory="1KiB")), None)
    touch(history, "a")
    frozen = of(history, ASSET_TYPE).state
    lineage, x = frozen.lineage, {"vibration": 9.0, "temperature": 70.0, "flow": 0.1}
    said = frozen.pipeline.predict_one(x)
    touch(history, "a", 40.0, x=x)
    assert frozen.lineage == lineage
    history.commit([[history.update(update_value("a", 1, dict(x), 90.0))]])
    assert frozen.lineage != lineage
    assert frozen.pipeline.predict_one(x) == said


def test_an_asset_that_was_retired_comes_back_as_its_type_above_every_version_it_had() -> None:
    terms = sample_terms(stream=model(champion=TREE, memory="1KiB"))
    life = Life(Lived(terms, None), random.Random(1), terms)
    for n in range(3):
        touch(life.history, "a", float(n))
    left = of(life.history, "a")
    taught = of(life.history, ASSET_TYPE).state.lineage
    life.retire("a")
    assert of(life.history, ASSET_TYPE).state.lineage == taught
    touch(life.history, "a")
    found = of(life.history, "a")
    assert found.state.version > left.state.version
    assert found.structure > left.structure
    predicted = [codec("Prediction").decode(m.value) for m in life.history.log.topics[PREDICTIONS]]
    versions = [(each["version"], each["structure"]) for each in predicted]
    assert versions == sorted(versions)
    assert versions[-1][0] > versions[-2][0]
    assert replay(life.history.log, 0, KEY).findings == []


def test_nothing_a_plant_sends_can_be_taken_for_the_asset_type() -> None:
    history = Lived(PLAIN_SHARED, None)
    touch(history, "a")
    x = {"vibration": 1.0, "temperature": 60.0, "flow": 0.5}
    history.commit(
        [
            [history.event(event_value(ASSET_TYPE, 7, dict(x), 1.0))],
            [history.update(update_value(ASSET_TYPE, 7, dict(x), 1.0))],
        ]
    )
    assert of(history, ASSET_TYPE).state.version == 1
    assert [len(history.log.topics[topic]) for topic in OUTPUTS] == [1, 1, 1, 0, 0]
    for topic in OUTPUTS[1:3]:
        headers = dict(history.log.topics[topic][0].headers)
        assert b"asset must" in b"".join(v for v in headers.values() if v)


def test_what_new_models_start_from_is_one_of_two_things_and_changes_no_model() -> None:
    text = sample_definition(stream=model(start_from="somewhere"))
    with pytest.raises(
        ConfigError, match=r"streams\.pump\.model\.start_from: must be 'nothing' or 'stream'"
    ):
        parse_definition(text)
    alone = sample_terms().definition
    shared = PLAIN_SHARED.definition
    assert alone.streams[0].start_from == "nothing"
    assert alone.canonical() != shared.canonical()
    assert "start_from" not in alone.canonical()  # as in ledgers of before there was the key
    for each in (alone, shared):
        assert type(each).from_canonical(each.canonical()).canonical() == each.canonical()
    plans = [Fold(terms, 0).plans["pump"] for terms in (sample_terms(), PLAIN_SHARED)]
    assert plans[0].blueprints[0].digest == plans[1].blueprints[0].digest


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 999), size=st.integers(0, 20))
def test_the_learner_keeps_the_laws_where_assets_share(seed: int, size: int) -> None:
    rng = random.Random(seed)
    records = []
    for n in range(size):
        asset, x, y = rng.choice("abc"), dict(some_x(rng)), rng.gauss(3, 1)
        if rng.random() < 0.2:
            x["temperature"] = 5000.0
        topic = UPDATES if rng.random() < 0.3 else EVENTS
        value = update_value(asset, n, x, y) if topic == UPDATES else event_value(asset, n, x, y)
        records.append(Message(topic, 0, n, asset.encode(), value))
    check_processor(lambda: learner(PLAIN_SHARED), records, max_state_bytes=120_000, repeat=3)


def learner(terms: Terms) -> Learner:
    fold = Fold(terms, 0)
    return Learner(fold, Books(fold, None, signing=KEY, policy=Policy()))

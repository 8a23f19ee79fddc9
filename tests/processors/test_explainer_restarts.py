"""An explainer goes on from wherever it is, or says what to do when it cannot."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest

from fold.history import KEY, TERMS, History
from processors.ledger_reader import Reader, small_history, x_of
from tidemill.contracts.codec import codec
from tidemill.contracts.topics import (
    EVENTS,
    EXPLAINER_SNAPSHOTS,
    EXPLANATIONS,
    IMPORTANCES,
    LEDGER,
)
from tidemill.fold.audit.starting import drained
from tidemill.fold.books import Policy
from tidemill.fold.skipping import choose, falling_skip, rebuild_what_remains, survey
from tidemill.kernel.errors import DependencyUnavailableError, InvariantError
from tidemill.models.state import ModelKey
from tidemill.processors.explainer.processor import ExplainerFactory
from tidemill.testing.plants import event_value, sample_terms

if TYPE_CHECKING:
    from fold.history import ListLog
    from tidemill.fold.terms import Terms
    from tidemill.kernel.records import Emit

NEVER = Policy(snapshot_every=1000, anchor_every=1000)


def learn(history: History, numbers: range, asset: str = "north/1") -> None:
    values = [event_value(asset, n, x_of(n), float(n % 6)) for n in numbers]
    history.commit([[history.event(value) for value in values]])


def explained(emits: list[Emit]) -> list[dict[str, Any]]:
    made = [emit.value for emit in emits if emit.topic == EXPLANATIONS]
    return [codec("Explanation").decode(value) for value in made]


def fall(history: History) -> None:
    """Let models go back whose records are gone, as `skip --fall-back` does."""
    standing = drained(survey(history.log, 0, history.positions))
    skip = choose(standing, EVENTS, "beginning", "ann")
    remains = drained(rebuild_what_remains(history.log, standing, KEY))
    assert remains.fallen
    emits, history.positions = falling_skip(standing, skip, remains, KEY)
    history._write(emits)
    history.open(TERMS)


TREE = [{"tree.HoeffdingTreeRegressor": {"leaf_prediction": "mean", "grace_period": 8}}]
CHAMPIONS: dict[str, list[Any]] = {  # Any: steps as `plant.yaml` writes them
    "scaled": ["preprocessing.StandardScaler", "linear_model.LinearRegression"],
    "from means": ["linear_model.LinearRegression"],
    "tree": TREE,
}


@pytest.fixture
def _looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tidemill.attribution.importance.LOOK_EVERY", 3)


def some_entries(terms: Terms, seed: int) -> ListLog:
    """Return a history of assets busy and quiet, whose sensors matter in turn."""
    rng = random.Random(seed)
    history = History(terms)
    number = 0
    for entry in range(14):
        batch = []
        for _ in range(rng.randint(1, 9)):
            number += 1
            asset = f"north/{min(rng.randint(0, 3 + entry), 6)}"
            x = {"vibration": rng.random(), "temperature": rng.gauss(0, 1), "flow": rng.random()}
            if rng.random() < 0.4:  # flagged, so that a new asset goes on following its type
                x["temperature"] = 5000.0
            y = 9 * x["flow" if entry % 4 < 2 else "vibration"] + rng.random()
            label = None if rng.random() < 0.3 else y
            batch.append(history.event(event_value(asset, number, x, label)))
        history.commit([batch])
    return history.log


@pytest.mark.usefixtures("_looks_often")
@pytest.mark.parametrize("lag", [1, 17, 1000])
@pytest.mark.parametrize("champion", CHAMPIONS)
@pytest.mark.parametrize("start", ["nothing", "stream"])
def test_a_restart_after_any_entry_goes_on_to_the_same_bits(
    champion: str, lag: int, start: str
) -> None:
    model = {"champion": CHAMPIONS[champion], "start_from": start}
    terms = sample_terms(CHAMPIONS[champion], stream={"model": model})
    log = some_entries(terms, lag)
    calm = Reader(log.copy(), terms, policy=Policy(snapshot_every=lag))
    expected = calm.read()
    reader = Reader(log, terms, policy=Policy(snapshot_every=lag))
    found: list[Emit] = []
    while reader.at < log.ends[LEDGER] - 1:
        found += reader.read(1)
        reader.open()
    told = [emit for emit in expected if emit.topic == IMPORTANCES]
    assert len(told) > 2
    assert [e for e in found if e.topic == EXPLANATIONS] == [
        e for e in expected if e.topic == EXPLANATIONS
    ]
    assert [e for e in found if e.topic == IMPORTANCES] == told
    if champion == "from means" and start == "nothing":
        assert all(each["reference"]["n"] == each["version"] for each in explained(found))


@pytest.mark.usefixtures("_looks_often")
def test_views_of_models_that_never_learn_go_on_through_restarts() -> None:
    history = History()
    reader = Reader(history.log, policy=NEVER)
    told = []
    for number in range(12):
        values = [event_value("north/1", 2 * number + n, x_of(n)) for n in range(2)]
        history.commit([[history.event(value) for value in values]])
        told += [e for e in reader.read() if e.topic == IMPORTANCES]
        reader.open()
    view = reader.task.mirror.views[ModelKey("pump", "north/1", "view")]
    assert view.importance.explanations == 24
    assert len(told) == 2


def test_models_that_learn_unexplained_go_on_through_restarts() -> None:
    terms = sample_terms(stream={"explanations": {"which": "on_request"}})
    history = History(terms)
    reader = Reader(history.log, terms, policy=NEVER)
    for number in range(0, 24, 3):
        learn(history, range(number, number + 3))
        assert reader.read() == []
        reader.open()
    champion = ModelKey("pump", "north/1", "pump/champion")
    fold = reader.task.mirror.replica.fold
    assert fold is not None
    tracked = fold.fleet.get(champion)
    assert tracked is not None
    assert tracked.state.version == 24


def test_the_models_an_explainer_began_with_are_saved_the_quiet_ones_too() -> None:
    history = History()
    learn(history, range(4), "north/2")
    for first in range(4, 34, 6):
        learn(history, range(first, first + 6))
    reader = Reader(history.log, from_end=True)
    reader.open()
    learn(history, range(40, 42), "north/2")
    assert [each["version"] for each in explained(reader.read())] == [4, 5]


def test_a_saved_state_that_is_missing_is_missed() -> None:
    history = History()
    reader = Reader(history.log)
    learn(history, range(8), "north/2")
    learn(history, range(8, 16))
    reader.read()
    topic = history.log.topics[EXPLAINER_SNAPSHOTS]
    quiet = [m for m in topic if m.key == b"pump|north/2|pump/champion"]
    assert quiet
    for message in quiet:
        history.log.remove(message)
    with pytest.raises(DependencyUnavailableError, match=r"records of explainer\.snapshots"):
        reader.open()


def test_another_ledger_in_the_place_of_the_one_followed_is_refused() -> None:
    reader, other = Reader(small_history().log), History()
    reader.read()
    for first in (6, 12, 18, 0):
        learn(other, range(first, first + 6))
    reader.log.topics[LEDGER] = other.log.topics[LEDGER]
    with pytest.raises(InvariantError, match="it is another or gone"):
        reader.open()


def test_models_that_went_back_are_followed_there() -> None:
    history = History(policy=NEVER)
    reader = Reader(history.log, policy=NEVER)
    learn(history, range(12))
    assert len(explained(reader.read())) == 12
    learn(history, range(12, 20))
    before = len(explained(reader.read()))
    history.log.forget_before(EVENTS, 15)
    fall(history)
    assert reader.read() == []
    reader.open()
    learn(history, range(20, 26))
    made = explained(reader.read())
    assert (before, [each["event_id"] for each in made]) == (8, [f"e{n}" for n in range(20, 26)])
    reader.open()
    learn(history, range(26, 30))
    assert len(explained(reader.read())) == 4
    reader.open()


def test_an_explainer_too_late_for_its_inputs_halts_and_may_begin_at_the_end() -> None:
    history = History()
    reader = Reader(history.log)
    learn(history, range(6))
    reader.read()
    for start in range(6, 36, 6):
        learn(history, range(start, start + 6))
    history.log.forget_before(EVENTS, 20)
    with pytest.raises(InvariantError, match=r"must be retained to be explained.*--from-end"):
        reader.open()

    late = Reader(history.log, from_end=True, committed=reader.committed)
    assert late.read() == []
    learn(history, range(40, 44))
    made = explained(late.read())
    assert [each["version"] for each in made] == [36, 37, 38, 39]
    late.open()
    learn(history, range(44, 46))
    assert len(explained(late.read())) == 2


@pytest.mark.parametrize("gap", [1, 2, 5])
def test_an_offset_from_before_the_first_entry_leaves_nothing_unexplained(gap: int) -> None:
    """Killed before it followed anything, with markers and aborted records before the genesis."""
    log = small_history().log
    log.topics[LEDGER] = [m._replace(offset=m.offset + gap) for m in log.topics[LEDGER]]
    log.ends[LEDGER] += gap

    made = [explained(Reader(log.copy(), committed=at).read()) for at in (None, 0, gap - 1, gap)]

    assert [each["event_id"] for each in made[0]] == [f"e{n}" for n in range(24)]
    assert made.count(made[0]) == len(made)


def test_an_explainer_whose_place_is_kept_does_not_jump_to_the_end() -> None:
    history = History()
    reader = Reader(history.log, from_end=True)
    learn(history, range(6))
    reader.read()
    learn(history, range(6, 12))
    late = Reader(history.log, from_end=True, committed=reader.committed)
    assert [each["event_id"] for each in explained(late.read())] == [f"e{n}" for n in range(6, 12)]


def test_states_of_a_retired_asset_are_forgotten() -> None:
    history = History()
    reader = Reader(history.log)
    learn(history, range(6))
    learn(history, range(6, 9), "north/2")
    reader.read()
    held = {m.key for m in history.log.topics[EXPLAINER_SNAPSHOTS] if m.value is not None}
    assert {b"pump|north/2|view", b"pump||view", b"||place"} <= held
    late = Reader(history.log, committed=reader.committed)
    assert late.task.refused == ()
    assert late.at == history.log.topics[LEDGER][-1].offset + 1


def test_a_breath_is_taken_after_each_explanation() -> None:
    history, breaths = History(), []
    learn(history, range(7))
    factory = ExplainerFactory(TERMS, KEY, NEVER, breathe=lambda: breaths.append(1))
    task = drained(factory.open(0, {LEDGER: None}, history.log)).task
    task.process_batch(history.log.topics[LEDGER])
    assert len(breaths) == 7

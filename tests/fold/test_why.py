"""One event and all that the topics say of it; what no topic says is made from the models."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from fold.history import KEY, TERMS, History, ListLog, make_history, with_flipped_bit
from processors.ledger_reader import Reader, small_history, x_of
from tidemill.contracts.codec import codec
from tidemill.contracts.topics import (
    ANCHORS,
    EVENTS,
    EXPLANATIONS,
    IMPORTANCES,
    LEDGER,
    PREDICTIONS,
    SNAPSHOTS,
)
from tidemill.fold.audit.bounds import first_entry
from tidemill.fold.plans import plan_stream
from tidemill.fold.why.gathering import Gatherer
from tidemill.fold.why.labels import Labels
from tidemill.fold.why.making import Maker
from tidemill.fold.why.present import PresentTopics
from tidemill.fold.why.search import Wanted, find_predictions, originals, why_unknown
from tidemill.kernel.errors import InvariantError
from tidemill.kernel.records import Position
from tidemill.testing.plants import event_value, sample_terms, update_value

if TYPE_CHECKING:
    from tidemill.contracts.answer import Answer
    from tidemill.fold.ledger import Entry
    from tidemill.fold.snapshots import SigningKey
    from tidemill.fold.terms import Terms
    from tidemill.fold.why.search import Found


def found(log: ListLog, name: str, asset: str | None = None) -> list[Found]:
    return find_predictions(log, [0], Wanted(name, asset))


def asked(log: ListLog, name: str, key: SigningKey | None = KEY) -> Answer:
    (one,) = found(log, name)
    return Gatherer(log, 0, key).answer(one)


def history_of(terms: Terms = TERMS, count: int = 12) -> History:
    history = History(terms)
    is_binary = terms.definition.streams[0].kind == "binary"
    for start in range(0, count, 4):
        labelled = [(n, n % 3 == 0 if is_binary else n % 6) for n in range(start, start + 4)]
        values = [event_value("north/1", n, x_of(n), y) for n, y in labelled]
        history.commit([[history.event(value) for value in values]])
    return history


def explained(log: ListLog) -> ListLog:
    copy = log.copy()
    Reader(copy).read()
    return copy


@pytest.mark.parametrize("seed", range(6))
def test_what_is_made_now_is_what_the_explainer_writes_to_the_last_bit(seed: int) -> None:
    log = make_history(seed)
    written = explained(log)
    by_source = {
        codec("Explanation").decode(m.value)["source"]["offset"]: m.value
        for m in written.topics[EXPLANATIONS]
    }
    assert len(by_source) > 10
    for offset, value in by_source.items():
        (one,) = found(log, f"{EVENTS}-0@{offset}")
        made = Gatherer(log, 0, KEY).answer(one)
        assert (made.explained_at, made.made is None) == (None, False)
        assert codec("Explanation").encode(made.explanation or {}) == value
        there = Gatherer(written, 0, KEY).answer(one)
        assert (there.made, there.absent) == (None, "")
        assert there.explanation == made.explanation


TREE = {"tree.HoeffdingTreeRegressor": {"leaf_prediction": "mean", "grace_period": 4}}
LOGISTIC: dict[str, Any] = {"linear_model.LogisticRegression": {}}


def reaches(entry: Entry, offset: int) -> bool:
    return (entry.positions or {}).get(EVENTS, 0) > offset


CHAMPIONS: list[tuple[str, dict[str, Any], str]] = [
    ("TREE_PATH", TREE, "regression"),
    ("TREE_PATH", {"forest.AMFRegressor": {"n_estimators": 3}}, "regression"),
    ("NEIGHBOURS", {"neighbors.KNNRegressor": {"n_neighbors": 3}}, "regression"),
    ("NAIVE_BAYES", {"naive_bayes.GaussianNB": {}}, "binary"),
    ("SAMPLED", {"ensemble.BaggingClassifier": {"model": LOGISTIC, "n_models": 3}}, "binary"),
]


@pytest.mark.parametrize(("method", "champion", "kind"), CHAMPIONS)
def test_it_is_the_same_whatever_the_method(
    method: str, champion: dict[str, Any], kind: str
) -> None:
    terms = sample_terms([champion], kind=kind)
    log = history_of(terms, 40).log
    Reader(log, terms).read()
    stored = {m.value for m in log.topics[EXPLANATIONS]}
    methods = set()
    for n in (13, 26, 39):
        (one,) = found(log, f"e{n}")
        placed = first_entry(log, 0, partial(reaches, offset=n))
        assert placed is not None
        made = Maker(log, 0, KEY).make(one, placed).value
        assert made in stored
        methods.add(codec("Explanation").decode(made)["method"])
    assert method in methods


def test_it_is_made_from_the_nearest_state_before_the_event() -> None:
    log = small_history().log
    made = asked(log, "e20").made
    assert made is not None
    assert (made.entry, made.first, made.folded, made.state_entry) == (4, 4, 6, 3)
    assert made.state is not None
    assert made.state.topic in {ANCHORS, SNAPSHOTS}


def test_without_the_key_it_is_made_from_genesis_on() -> None:
    made = asked(small_history().log, "e20", None).made
    assert made is not None
    assert (made.entry, made.first, made.folded, made.state) == (4, 0, 24, None)


def test_where_states_and_the_past_are_gone_it_says_so() -> None:
    log = small_history().log
    log.forget_before(EVENTS, 6)
    answer = asked(log, "e3")
    assert answer.explanation is None
    assert answer.readings is None
    assert answer.label is None
    assert answer.obstacle != ""
    assert asked(log, "e20", None).obstacle.startswith("genesis or its inputs are no longer")


def test_an_asset_without_a_state_from_before_the_event_cannot_be_explained() -> None:
    log = small_history().log
    log.forget_before(EVENTS, 6)
    for topic in (ANCHORS, SNAPSHOTS):
        log.topics[topic] = log.topics[topic][-1:]
    assert asked(log, "e7").obstacle != ""


def test_where_the_ledger_entry_is_gone_only_the_topics_speak() -> None:
    log = explained(small_history().log)
    log.topics[LEDGER] = []
    answer = asked(log, "e7")
    assert (answer.entry, answer.asked.name, answer.label) == (None, None, None)
    assert answer.explanation is not None
    log.topics[EXPLANATIONS] = []
    assert "ledger entry that applied the event is not retained" in asked(log, "e7").obstacle


@pytest.mark.parametrize("offset", [18, 20])
def test_an_altered_input_is_noticed_before_anything_is_explained(offset: int) -> None:
    log = small_history().log
    log = with_flipped_bit(log, log.topics[EVENTS][offset], 8 * 30)
    with pytest.raises(InvariantError, match=r"last bit before it explains one; .*audit replay"):
        asked(log, "e20")


def test_an_altered_prediction_is_noticed_before_it_is_explained() -> None:
    log = small_history().log
    message = next(m for m in log.topics[PREDICTIONS] if b"e20" in (m.value or b""))
    record = codec("Prediction").decode(message.value)
    log.put(message._replace(value=codec("Prediction").encode({**record, "value": 1.5})))
    with pytest.raises(InvariantError, match=f"{PREDICTIONS}-0@{message.offset} is another one"):
        asked(log, "e20")


def test_an_altered_ledger_entry_is_noticed() -> None:
    log = small_history().log
    log = with_flipped_bit(log, log.topics[LEDGER][3], 99)
    with pytest.raises(InvariantError, match="altered"):
        asked(log, "e14", None)


def test_an_explanation_of_another_model_is_noticed() -> None:
    log = explained(small_history().log)
    message = log.topics[EXPLANATIONS][20]
    record = {**codec("Explanation").decode(message.value), "version": 3}
    log.put(message._replace(value=codec("Explanation").encode(record)))
    with pytest.raises(InvariantError, match="differs in version"):
        asked(log, "e20")


@pytest.mark.parametrize(
    ("which", "why"),
    [
        ("on_request", "explanations are made on request only"),
        ({"every": 7}, "one event of 7 is explained"),
    ],
)
def test_where_the_definition_asks_for_none_one_is_made_on_request(which: object, why: str) -> None:
    terms = sample_terms(stream={"explanations": {"which": which}})
    log = history_of(terms).log
    Reader(log, terms).read()
    answer = asked(log, "e9")
    assert answer.absent == f"the definition says so: {why}"
    assert answer.made is not None


def test_why_the_topic_has_no_explanation_is_said() -> None:
    log = small_history().log
    assert asked(log, "e20").absent == "no explainer has explained anything on this partition"
    Reader(log).read(2)
    assert asked(log, "e20").absent == "the explainer has not come to it yet"
    log.forget_before(EXPLANATIONS, 3)
    assert asked(log, "e1").absent == "it lies before the first explanation that is retained"


def test_the_target_and_its_label_come_from_event_and_definition() -> None:
    answer = asked(small_history().log, "e20")
    assert (answer.asked.kind, answer.asked.name, answer.asked.unit) == ("regression", "wear", None)
    assert answer.label is not None
    assert (answer.label.value, answer.label.position) == (2.0, Position(EVENTS, 0, 20))
    assert answer.readings == x_of(20)


def test_a_definition_at_hand_spares_the_search_for_it() -> None:
    log = small_history().log
    (one,) = found(log, "e20")
    assert Gatherer(log, 0, KEY, known=[TERMS]).answer(one).asked.name == "wear"


def test_an_instruction_overrules_with_its_newest_revision() -> None:
    history = history_of()
    log = history.log
    numbered = [(5, 1, 7.0), (5, 2, 8.0), (4, 9, 1.0)]
    updates = [
        history.update(update_value("north/1", n, x_of(n), y, event_id=f"e{n}", revision=revision))
        for n, revision, y in numbered
    ]
    placed = update_value(
        "north/1", 6, x_of(6), 3.5, event={"topic": EVENTS, "partition": 0, "offset": 6}
    )
    foreign = update_value("south/1", 7, x_of(7), 3.5, event_id="e7")
    at = {"topic": EVENTS, "partition": 0, "offset": 2}
    other = update_value("north/1", 9, x_of(7), 9.5, event_id="e7", event=at, revision=2)
    wordy = update_value("north/1", 8, x_of(7), "seven", event_id="e7", revision=1)
    updates += [
        history.update(each) for each in (placed, foreign, wordy, other, b"\x04e5 is no update")
    ]
    history.commit([updates])
    five, six, seven = (asked(log, f"e{n}").label for n in (5, 6, 7))
    assert five is not None
    assert (five.value, five.revision, five.position) == (8.0, 2, updates[1].position)
    assert six is not None
    assert (six.value, six.position) == (3.5, updates[3].position)
    assert seven is not None
    assert seven.position == Position(EVENTS, 0, 7)


@pytest.mark.parametrize(("after", "steps"), [(3, 3), ("4s", 4)])
def test_a_label_ahead_is_the_reading_that_the_model_learned(after: object, steps: int) -> None:
    terms = sample_terms(stream={"target": {"ahead": {"field": "wear", "after": after}}})
    history = History(terms)
    clean: list[int] = []
    for n in range(40):
        asset, number = ("north/1" if n % 2 else "south/1"), n // 2
        x = {"vibration": math.nan if n % 10 == 7 else 1.0, "flow": 2.0}
        came_again = n % 10 == 9
        value = event_value(asset, number - 2 * came_again, x, float(n))
        history.commit([[history.event(b"\x00junk" if n % 12 == 4 else value)]])
        if asset == "north/1" and n % 10 != 7 and not came_again:
            clean.append(n)
    known = 0
    for at, n in enumerate(clean):
        label = asked(history.log, f"{EVENTS}-0@{n}").label
        later = clean[at + steps :]
        if not isinstance(after, int):
            later = [m for m in clean if m // 2 - n // 2 >= steps]
        assert (None if label is None else label.value) == (float(later[0]) if later else None)
        known += label is not None
    assert known > 5
    for flagged in (7, 19):
        assert asked(history.log, f"{EVENTS}-0@{flagged}").label is None


def test_a_later_event_without_a_reading_ends_the_wait() -> None:
    terms = sample_terms(stream={"target": {"ahead": {"field": "wear", "after": 1}}})
    history = History(terms)
    for n in range(3):
        y = None if n == 1 else float(n)
        history.commit([[history.event(event_value("north/1", n, x_of(n), y))]])
    assert asked(history.log, "e0").label is None
    second = asked(history.log, "e1").label
    assert second is not None
    assert second.value == 2.0


def test_what_was_not_learned_from_waits_for_nothing() -> None:
    features = {"vibration": {}, "temperature": {}, "flow": {"required": True}}
    target = {"ahead": {"field": "wear", "after": 1}}
    history = History(sample_terms(stream={"target": target, "features": features}))
    for n in range(3):
        x = x_of(n) if n else {"vibration": 1.0, "temperature": 60.0}
        history.commit([[history.event(event_value("north/1", n, x, float(n)))]])
    assert [p.prediction["quality"] for p in found(history.log, "e0")] == [["MISSING"]]
    assert asked(history.log, "e0").label is None
    assert asked(history.log, "e1").label is not None


def test_later_events_that_cannot_be_read_any_more_are_passed_over() -> None:
    terms = sample_terms(stream={"target": {"ahead": {"field": "wear", "after": 1}}})
    log = explained(history_of(terms).log)
    events = [*log.topics[EVENTS]]
    log.put(events[6]._replace(value=b"junk"))
    assert (asked(log, "e5").label or events[0]).position == events[7].position
    log.remove(log.topics[EVENTS][-1])
    assert asked(log, "e10").label is None
    last = asked(log, "e11")
    assert (last.label, last.readings) == (None, None)
    wordy = sample_terms(
        stream={"id": None, "features": {"event_id": {}}, "target": target_of("wear")}
    )
    plan = plan_stream(wordy.definition.streams[0])
    labels = Labels(log, 0, wordy, plan)
    (one,) = found(log, "e2")
    assert labels.label(one, labels.event(one.source)) is None


def target_of(field: str) -> dict[str, object]:
    return {"ahead": {"field": field, "after": 1}}


def test_where_the_definition_is_gone_none_can_be_made() -> None:
    log = small_history().log
    log.append(EXPLANATIONS, b"junk")
    log.forget_before(LEDGER, log.topics[LEDGER][2].offset)
    assert "start once with the plant.yaml that was in force" in asked(log, "e20").obstacle
    (one,) = found(log, "e20")
    assert Gatherer(log, 0, KEY, known=[TERMS]).answer(one).made is not None


def test_the_newest_views_of_asset_and_stream_go_with_it() -> None:
    history = History()
    for start in range(0, 240, 40):
        values = [
            event_value("north/1", n, {"flow": n % 7 / 7, "vibration": n % 3 / 3}, float(n % 7))
            for n in range(start, start + 40)
        ]
        history.commit([[history.event(value) for value in values]])
    log = explained(history.log)
    views = [codec("Importance").decode(m.value) for m in log.topics[IMPORTANCES]]
    log.append(IMPORTANCES, b"junk", key=b"north/1")
    answer = asked(log, "e5")
    assert answer.of_asset == [view for view in views if view["asset"] == "north/1"][-1]
    assert answer.of_stream == [view for view in views if view["asset"] is None][-1]


def test_an_anomaly_has_no_target_and_a_label_target_has_a_unit() -> None:
    trees = sample_terms([{"anomaly.HalfSpaceTrees": {"n_trees": 3}}], stream={"target": "none"})
    answer = asked(history_of(trees).log, "e9")
    assert (answer.asked.kind, answer.label) == ("anomaly", None)
    label = {"name": "wear", "kind": "regression", "unit": "mm", "ttl": "8h"}
    answer = asked(history_of(sample_terms(stream={"target": {"label": label}})).log, "e9")
    assert (answer.asked.name, answer.asked.unit, answer.label) == ("wear", "mm", None)


def test_only_predictions_with_the_id_are_decoded() -> None:
    log = small_history().log
    log.put(log.topics[PREDICTIONS][3]._replace(value=b"\x00\x00\x00\x00\x07no prediction"))
    log.append(PREDICTIONS, b"\x00\x00\x00\x00\x07\x06e20 is no prediction either")
    assert [each.source.offset for each in found(log, "e20")] == [20]


def test_several_assets_may_have_the_same_id() -> None:
    history = History()
    values = [event_value(asset, 1, x_of(1), 1.0) for asset in ("north/1", "south/1", "north/1")]
    history.commit([[history.event(value) for value in values]])
    both = found(history.log, "e1")
    assert [each.prediction["asset"] for each in both] == ["north/1", "south/1", "north/1"]
    assert [each.source.offset for each in originals(both)] == [0, 1]
    assert [each.source.offset for each in found(history.log, "e1", "south/1")] == [1]
    only = [each for each in both if each.prediction["quality"]]
    assert originals(only) == only


def test_a_search_tells_how_far_it_is_and_ends_with_the_partition_of_the_asset() -> None:
    log = small_history().log
    told: list[tuple[int, int]] = []
    find_predictions(log, [0], Wanted("e0", "north/1"), lambda *at: told.append(at))
    assert told[-1] == (0, log.topics[PREDICTIONS][-1].offset)
    assert len(find_predictions(log, [0, 7], Wanted("e0", "north/1"))) == 1


def test_an_event_without_an_id_of_its_own_is_found_by_where_it_stands() -> None:
    log = history_of(sample_terms(stream={"id": None})).log
    name = f"{EVENTS}-0-9"
    assert [each.source.offset for each in found(log, name)] == [9]
    assert found(log, name, "south/1") == []
    assert [each.source.offset for each in found(small_history().log, name)] == []


def test_where_there_is_no_prediction_it_says_why() -> None:
    history = history_of()
    history.commit([[history.event(b"\x00\x00\x00\x00\x07what is \x06xyz?")]])
    history.event(event_value("north/1", 99, x_of(9), 1.0))
    log = history.log
    where = f"{EVENTS}-0"

    def why(name: str) -> str:
        assert found(log, name) == []
        return why_unknown(log, [0], Wanted(name))

    assert (
        why(f"{where}@12")
        == "it was set aside: sensor.events.dlq-0@0; `tidemill dlq list` says why"
    )
    assert why("xyz").startswith("it was set aside: sensor.events.dlq-0@0")
    assert why(f"{where}@13") == "the learner has not come to it yet"
    assert why(f"{where}@14") == f"{where} ends before offset 14"
    assert why("e99") == "it was never sent, or the learner has not come to it yet"
    log.remove(log.topics[PREDICTIONS][3])
    assert "a marker of a transaction" in why(f"{where}@3")
    elsewhere = Wanted(f"{EVENTS}-0@3")
    assert "a marker" in why_unknown(PresentTopics(log, log.topics), [1, 0], elsewhere)
    log.forget_before(PREDICTIONS, 6)
    assert why(f"{where}@3") == "its prediction is no longer retained"
    assert why("e1") == "older predictions are no longer retained (partition 0)"
    log.forget_before(EVENTS, 2)
    assert why(f"{where}@1") == f"{where} is retained from offset 2 on only"


def test_a_topic_that_is_not_there_is_empty() -> None:
    log = small_history().log
    present = PresentTopics(log, {LEDGER})
    assert present.span(EXPLANATIONS, 0) == (0, 0)
    assert present.span(LEDGER, 0) == log.span(LEDGER, 0)
    assert [*present.read(LEDGER, 0, 0, 1)]


def test_every_entry_that_is_folded_is_told() -> None:
    log = small_history().log
    (one,) = found(log, "e20")
    told: list[int] = []
    Gatherer(log, 0, None, on_entry=lambda entry: told.append(entry.sequence)).answer(one)
    assert told == [0, 1, 2, 3, 4]

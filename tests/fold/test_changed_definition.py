"""Which changes of a definition make a new model, and which leave it and count from an entry on."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fold.history import History
from fold.resealed import entries_of
from fold.test_changed_terms import CHAMPION, contradictions, defining, versions
from fold.test_recovery import X, learn
from tidemill.contracts.codec import codec
from tidemill.contracts.definition import parse_definition
from tidemill.contracts.topics import PREDICTIONS
from tidemill.fold.terms import Terms
from tidemill.testing.plants import LINEAR, RECORD, RECORD_ID, event_value, sample_definition

Stream = dict[str, Any]  # Any: a part of the definition

FEATURES: dict[str, Stream] = {
    "vibration": {"unit": "mm/s"},
    "temperature": {"range": [-1000, 1000]},
    "flow": {},
}


def terms(streams: dict[str, Stream] | None = None, **stream: object) -> Terms:
    """Return the sample plant's terms, some keys of its stream changed, and further streams."""
    text = sample_definition(stream={"features": FEATURES, **stream})
    plant = json.loads(text)
    plant["streams"] |= streams or {}
    return Terms(parse_definition(json.dumps(plant)), {RECORD_ID: RECORD})


def model(*champion: object, **more: object) -> Terms:
    return terms(model={"champion": list(champion) or list(LINEAR), **more})


def sensor(name: str, **settings: object) -> Terms:
    return terms(features={**FEATURES, name: {**FEATURES.get(name, {}), **settings}})


SCALER, LINE = LINEAR
PLAIN = terms()

NEW = {
    "a feature added": sensor("is_faulty"),
    "a feature removed": terms(features={n: FEATURES[n] for n in ("vibration", "flow")}),
    "features in another order": terms(features=dict(reversed(FEATURES.items()))),
    "a derived feature added": sensor("flow_before", of="flow", lag=1),
    "another target": terms(target={"label": {"name": "wear", "kind": "regression", "ttl": "8h"}}),
    "a target that is ahead": terms(target={"ahead": {"field": "wear", "after": 1}}),
    "another parameter": model(SCALER, {LINE: {"intercept_lr": 0.5}}),
    "a step less": model(LINE),
    "another seed": terms(seed=7),
}

KEPT = {
    "a range": sensor("flow", range=[0, 0.1]),
    "a unit": sensor("flow", unit="l/s"),
    "a sensor required": sensor("flow", required=True),
    "stuck sensors": sensor("flow", stuck_after=5),
    "a rate": sensor("flow", rate=2.0),
    "lateness": terms(lateness="10s"),
    "duplicates": terms(duplicates_within=3),
    "a budget": model(memory="4MiB"),
    "a challenger": model(challengers={"plain": [LINE]}),
    "another stream": terms(
        {"other": {**json.loads(sample_definition())["streams"]["pump"], "event": "plant.Other"}}
    ),
    "no ids": terms(id=None),
}


def champion_of(history: History) -> tuple[int, bytes]:
    return versions(history.learner)["pump|north/1|pump/champion"]


@pytest.mark.parametrize("changed", NEW.values(), ids=NEW)
def test_other_features_target_or_pipeline_start_a_new_model_and_say_so(changed: Terms) -> None:
    history = History(PLAIN)
    learn(history, "north/1", entries=3)
    version, lineage = champion_of(history)

    learner = history.open(changed)

    assert learner.report().replaced == ("pump/champion",)
    now = learner.fold.fleet.get(CHAMPION)
    assert now is not None
    assert now.state.version == version + 1
    assert now.state.lineage != lineage
    entry = entries_of(history.log)[-1]
    assert entry == defining(history.log)[-1]
    assert [(m.model, m.version) for m in entry.models] == [("pump/champion", version + 1)]
    learn(history, "north/1", entries=2)
    assert versions(history.open(changed)) == versions(learner)
    assert history.learner.report().replaced == ()
    assert contradictions(history.log) == []


@pytest.mark.parametrize("changed", KEPT.values(), ids=KEPT)
def test_anything_else_counts_from_an_entry_on_and_keeps_the_model(changed: Terms) -> None:
    history = History(PLAIN)
    learn(history, "north/1", entries=3)
    before = champion_of(history)

    learner = history.open(changed)

    assert learner.report().replaced == ()
    assert champion_of(history) == before
    entry = entries_of(history.log)[-1]
    assert entry == defining(history.log)[-1]
    assert (entry.positions or {}).items() >= history.positions.items()
    learn(history, "north/1", entries=2)
    assert champion_of(history)[0] > 0
    assert versions(history.open(changed)) == versions(learner)
    assert contradictions(history.log) == []


def test_a_range_counts_from_the_record_on_before_which_it_was_put_in_force() -> None:
    history = History(PLAIN)

    def flags() -> list[str]:
        history.commit(
            [[history.event(event_value("north/1", history.log.ends["sensor.events"], X))]]
        )
        last = codec("Prediction").decode(history.log.topics[PREDICTIONS][-1].value)
        return list(last["quality"])

    assert flags() == []
    history.open(KEPT["a range"])
    assert flags()[0] == "OUT_OF_RANGE"
    history.open(PLAIN, redefines=True)
    assert flags() == []
    assert contradictions(history.log) == []

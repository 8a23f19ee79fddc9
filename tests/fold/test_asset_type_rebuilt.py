"""Models of an asset type, rebuilt and audited: from anywhere, after refusals, accusing none."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from fold.history import KEY, ListLog, with_flipped_bit
from fold.test_asset_type import PLAIN_SHARED, SHARED, lived, model, of, steps, touch
from fold.test_idle import Lived
from tidemill.contracts.codec import codec
from tidemill.contracts.stream import ASSET_TYPE
from tidemill.contracts.topics import ANCHORS, EVENTS, LEDGER, PREDICTIONS, SNAPSHOTS
from tidemill.fold.audit import Span, replay, verify
from tidemill.fold.audit.bounds import AtSequence
from tidemill.fold.audit.findings import Kind
from tidemill.fold.audit.starting import drained
from tidemill.fold.books import Policy
from tidemill.fold.ledger_log import read_entry
from tidemill.fold.retiring import Leaving, prepare
from tidemill.fold.skipping import choose, falling_skip, rebuild_what_remains, survey
from tidemill.kernel.errors import ConfigError, InvariantError
from tidemill.testing.plants import event_value, sample_terms, update_value

X = {"vibration": 1.0, "temperature": 60.0, "flow": 0.5}
AT_FAULT = {**X, "temperature": 5000.0}


def compacted(log: ListLog) -> ListLog:
    """Return the topics as they are once only the newest snapshot of each model is left."""
    newest = {message.key: message for message in log.topics[SNAPSHOTS]}
    found = log.copy()
    found.topics[SNAPSHOTS] = [m for m in log.topics[SNAPSHOTS] if newest[m.key] is m]
    return found


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(done=steps, seed=st.integers(0, 99), start=st.integers(0, 14), restarts=st.integers(0, 3))
@example(
    done=[("events", 1), ("events", 1), ("open", "alone"), ("open", "shared"), ("events", 1)],
    seed=0,
    start=5,
    restarts=0,
)
@example(done=[("updates", 1), ("events", 1)], seed=0, start=2, restarts=0)
@example(
    done=[*[("events", 1)] * 4, ("open", "alone"), ("open", "shared"), *[("events", 1)] * 4],
    seed=0,
    start=6,
    restarts=0,
)
def test_a_replay_from_anywhere_finds_nothing(
    done: list[tuple[str, str | int]], seed: int, start: int, restarts: int
) -> None:
    log = lived(done, seed, restarts=restarts).log
    for topics in (log, compacted(log)):
        assert replay(topics, 0, KEY, span=Span(AtSequence(start), None)).findings == []


def test_a_replay_takes_no_state_of_an_asset_that_is_newer_than_those_of_its_type() -> None:
    history = Lived(PLAIN_SHARED, None)
    history.learner.books._saving.policy = Policy(snapshot_every=2, anchor_every=6)
    for n in range(40):
        touch(history, "ab"[n % 2] if n < 30 else "c", float(n % 7))
    log = compacted(history.log)
    for start in range(0, 41, 3):
        assert replay(log, 0, KEY, span=Span(AtSequence(start), None)).findings == []


def test_a_replay_does_not_begin_between_the_start_of_an_asset_and_the_state_of_its_type() -> None:
    history = Lived(PLAIN_SHARED, None)
    history.learner.books._saving.policy = Policy(snapshot_every=2, anchor_every=6)
    for n in range(24):
        touch(history, "abc"[n % 3 if n > 5 else 0], float(n % 7))
    for topic in (SNAPSHOTS, ANCHORS):
        lost = [m for m in history.log.topics[topic] if b"|b|" in (m.key or b"")]
        assert lost
        for message in lost:
            history.log.remove(message)
    for start in range(8, 25, 2):
        found = replay(history.log, 0, KEY, span=Span(AtSequence(start), None)).findings
        assert {finding.kind for finding in found} == {Kind.SNAPSHOT_MISSING}


def test_where_no_state_is_old_enough_a_replay_says_so_and_accuses_nobody() -> None:
    history = Lived(PLAIN_SHARED, None)
    history.learner.books._saving.policy = Policy(snapshot_every=4, anchor_every=4, define_every=3)
    for n in range(24):
        touch(history, "ab"[n % 2], float(n % 7))
    log = compacted(history.log)
    log.topics[ANCHORS] = [m for m in log.topics[ANCHORS] if b"|a|" not in (m.key or b"")]
    first = next(m for m in log.topics[LEDGER] if read_entry(m).entry.sequence == 6)
    log.forget_before(LEDGER, first.offset)
    log.forget_before(EVENTS, (read_entry(first).entry.positions or {})[EVENTS])
    found = replay(log, 0, KEY).findings
    assert [finding.kind for finding in found] == [Kind.NOT_REPLAYABLE]


@pytest.mark.parametrize("offset", range(6))
def test_an_event_that_was_altered_is_named_and_no_other(offset: int) -> None:
    history = Lived(PLAIN_SHARED, None)
    x = {"vibration": 1.0, "temperature": 60.0, "flow": 0.5}
    for n in range(6):
        value = event_value("ab"[n % 2], n, dict(x), float(n))
        update = update_value("a", n, dict(x), 1.0)
        history.commit([[history.event(value)], [history.update(update)]])
    message = history.log.topics[EVENTS][offset]
    altered = with_flipped_bit(history.log, message, 8 * len(message.value or b"") - 20)
    found = verify(altered, 0, KEY).findings
    assert {(f.place.topic, f.place.first) for f in found} == {(EVENTS, message.offset)}


def test_an_asset_type_cannot_be_retired() -> None:
    history = Lived(PLAIN_SHARED, None)
    touch(history, "a")
    plan = prepare(
        history.log, 0, history.positions, leaving=Leaving(ASSET_TYPE, "ann"), signing=KEY
    )
    with pytest.raises(ConfigError, match="ASSET: must not be empty"):
        drained(plan)


def test_an_event_that_a_new_asset_only_answered_is_passed_over_where_its_type_is_ahead() -> None:
    history = Lived(PLAIN_SHARED, None)
    history.learner.books._saving.policy = Policy(snapshot_every=1000)
    touch(history, "a")
    touch(history, "a")
    touch(history, "b", x={"vibration": 1.0, "temperature": 5000.0, "flow": 0.5})
    touch(history, "c")
    now = {t.key: t.state.lineage for t in history.learner.fold.fleet if not t.is_new}
    history.open(PLAIN_SHARED)
    assert history.learner.refolded
    assert now == {t.key: t.state.lineage for t in history.learner.fold.fleet if not t.is_new}


@pytest.mark.parametrize("asset", [ASSET_TYPE, "a"])
def test_refused_states_lead_back_to_where_the_stream_began(asset: str) -> None:
    history = Lived(PLAIN_SHARED, None)
    for n in range(12):
        touch(history, "abc"[n % 3], float(n))
    before = {t.key: (t.state.version, t.state.lineage) for t in history.learner.fold.fleet}
    refuse(history.log, asset)
    history.open(PLAIN_SHARED)
    assert history.learner.refused
    assert before == {t.key: (t.state.version, t.state.lineage) for t in history.learner.fold.fleet}


def refuse(log: ListLog, asset: str) -> None:
    """Alter every saved state of an asset."""
    for topic in (SNAPSHOTS, ANCHORS):
        for message in log.topics[topic]:
            if message.value and f"|{asset}|".encode() in (message.key or b""):
                log.put(message._replace(value=message.value[:-1] + b"\0"))


def test_where_inputs_are_gone_a_refused_type_goes_back_and_its_assets_stay() -> None:
    history = Lived(PLAIN_SHARED, None)
    for n in range(12):
        touch(history, "abc"[n % 3], float(n))
    kept = {each: of(history, each).state.lineage for each in "abc"}
    refuse(history.log, ASSET_TYPE)
    history.log.forget_before(EVENTS, 4)
    with pytest.raises(InvariantError, match="no longer retained"):
        history.open(PLAIN_SHARED)

    standing = drained(survey(history.log, 0, history.positions))
    remains = drained(rebuild_what_remains(history.log, standing, KEY))
    assert [fallen.key.asset for fallen in remains.fallen] == [ASSET_TYPE]
    skip = choose(standing, EVENTS, "beginning", "ann")
    emits, history.positions = falling_skip(standing, skip, remains, KEY)
    history._write(emits)
    history.open(PLAIN_SHARED)
    assert {each: of(history, each).state.lineage for each in "abc"} == kept
    touch(history, "d")
    assert of(history, "d").state.version > 12


def test_a_new_asset_of_a_type_at_its_budget_learns_no_more_however_it_was_rebuilt() -> None:
    terms = sample_terms(stream=model(memory="1KiB"))
    history = Lived(terms, None)
    history.commit(
        [
            [
                history.event(event_value("a", 0, X, 1.0)),
                history.event(event_value("b", 1, AT_FAULT, 1.0)),
            ]
        ]
    )
    assert of(history, ASSET_TYPE).state.at_budget
    assert not of(history, "b").state.at_budget
    touch(history, "b")
    assert of(history, "b").state.at_budget
    before = of(history, "b").state.lineage
    history.open(terms)
    assert of(history, "b").state.lineage == before
    for start in range(3):
        assert replay(history.log, 0, KEY, span=Span(AtSequence(start), None)).findings == []


def spread(n: int) -> dict[str, float]:
    return {"vibration": 1.0 + n * 7 % 11, "temperature": 50.0 + n * 5 % 13, "flow": n % 3 / 3}


def test_an_altered_past_of_one_asset_does_not_accuse_another_that_starts_as_their_type() -> None:
    history = Lived(SHARED, None)
    for n in range(9):
        touch(history, "ac"[n % 2], float(n % 4), x=spread(n))
    unlabelled = history.event(event_value("a", 20, spread(20)))
    history.commit(
        [
            [
                unlabelled,
                history.event(event_value("a", 21, spread(21), 2.0)),
                history.event(event_value("b", 22, spread(22), 1.0)),
            ]
        ]
    )
    assert replay(history.log, 0, KEY).findings == []
    altered = event_value("a", 20, {**spread(20), "vibration": 33.0})
    assert unlabelled.value is not None
    assert len(altered) == len(unlabelled.value)
    history.log.put(unlabelled._replace(value=altered))
    found = {(f.place.topic, f.place.first) for f in replay(history.log, 0, KEY).findings}
    assert found == {(EVENTS, unlabelled.offset)}


def test_models_that_follow_their_type_accuse_nobody_by_their_lineage() -> None:
    history = Lived(PLAIN_SHARED, None)
    touch(history, "a")
    first = history.event(event_value("b", 10, AT_FAULT, 1.0))
    taught = history.event(event_value("a", 11, spread(1), 2.0))
    history.commit([[first, taught, history.event(event_value("b", 12, AT_FAULT, 1.0))]])
    history.log.put(taught._replace(value=event_value("a", 11, spread(2), 3.0)))
    found = {(f.place.topic, f.place.first) for f in verify(history.log, 0, KEY).findings}
    assert found == {(EVENTS, taught.offset)}


def test_nothing_is_predicted_for_an_asset_type() -> None:
    log = lived([("events", 4), ("updates", 2)] * 4, 3).log
    predicted = [codec("Prediction").decode(m.value)["asset"] for m in log.topics[PREDICTIONS]]
    assert predicted
    assert ASSET_TYPE not in predicted

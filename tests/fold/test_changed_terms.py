"""A changed definition: versions go on, old definitions stay away, the ledger tells it again."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from fold.history import CHALLENGERS, KEY, History, ListLog, some_event, some_update
from fold.resealed import entries_of, resealed
from fold.test_recovery import X, alter, learn, snapshots, spoil
from tidemill.contracts.codec import codec
from tidemill.contracts.topics import ANCHORS, EVENTS, LEDGER, PREDICTIONS, SNAPSHOTS
from tidemill.fold.audit import Kind, Span, replay, verify
from tidemill.fold.audit.bounds import AtSequence
from tidemill.fold.audit.starting import drained
from tidemill.fold.books import Policy
from tidemill.fold.ledger_log import find_terms, read_entry
from tidemill.fold.past import MOST_FLOORS, MOST_REPLACED, Floor, Past
from tidemill.fold.terms import KIND, Terms
from tidemill.kernel.errors import InvariantError
from tidemill.models.state import ModelKey, ModelState
from tidemill.testing.plants import RECORD, RECORD_ID, event_value, sample_terms

if TYPE_CHECKING:
    from tidemill.fold.audit.findings import Finding
    from tidemill.fold.ledger import Entry
    from tidemill.processors.learner.processor import Learner

PLAIN = sample_terms()
OTHER = sample_terms(challengers=CHALLENGERS)
SMALL = sample_terms(["linear_model.LinearRegression"])
TREE = sample_terms(["tree.HoeffdingTreeRegressor"])
CHAMPION = ModelKey("pump", "north/1", "pump/champion")
CHALLENGER = ModelKey("pump", "north/1", "pump/plain")
MORE_SCHEMAS = Terms(PLAIN.definition, {**PLAIN.schemas, RECORD_ID + 1: RECORD})


def contradictions(log: ListLog) -> list[Finding]:
    """Return what an audit of everything finds, and replays from any entry on."""
    reports = [verify(log, 0, KEY), replay(log, 0, KEY)]
    newest = entries_of(log)[-1].sequence
    reports += [replay(log, 0, KEY, span=Span(AtSequence(n))) for n in range(1, newest + 1)]
    return [finding for report in reports for finding in report.findings]


def versions(learner: Learner) -> dict[str, tuple[int, bytes]]:
    """Return where every model stands that has learned."""
    learner.fold.fleet.standing()
    return {
        tracked.key.encode().decode(): (tracked.state.version, tracked.state.lineage)
        for tracked in learner.fold.fleet
        if tracked.mark
    }


def defining(log: ListLog) -> list[Entry]:
    return [e for e in entries_of(log) if any(action.kind == KIND for action in e.actions)]


def predicted_versions(history: History) -> list[int]:
    return [codec("Prediction").decode(m.value)["version"] for m in history.log.topics[PREDICTIONS]]


def test_a_models_version_goes_on_where_another_pipeline_takes_its_place() -> None:
    history = History(PLAIN)
    learn(history, "north/1", entries=3)
    before = versions(history.learner)["pump|north/1|pump/champion"]
    fresh = ModelState.fresh(CHAMPION, SMALL_BLUEPRINT)

    learner = history.open(SMALL)
    tracked = learner.fold.fleet.get(CHAMPION)
    assert tracked is not None
    assert (tracked.state.version, tracked.state.lineage) == (before[0] + 1, fresh.lineage)
    assert tracked.state.structure == 1
    entry = entries_of(history.log)[-1]
    assert [(m.version, m.lineage) for m in entry.models] == [(before[0] + 1, fresh.lineage)]
    assert entry.snapshots == ("pump|north/1|pump/champion",)
    assert (entry.resume, entry.learned) == (entry.sequence, 1)

    learn(history, "north/1", entries=2)
    assert versions(history.open(SMALL)) == versions(learner)
    assert predicted_versions(history) == sorted(predicted_versions(history))
    assert contradictions(history.log) == []


SMALL_BLUEPRINT = next(iter(History(SMALL).learner.fold.plans["pump"].blueprints))


def test_a_trees_splits_count_on_in_what_replaces_it() -> None:
    history = History(TREE)
    rng = random.Random(3)
    for _ in range(4):
        values = []
        for n in range(300):
            x = {"vibration": rng.random(), "temperature": rng.random(), "flow": rng.random()}
            values.append(event_value("north/1", n, x, 10.0 * (x["flow"] > 0.5)))
        history.commit([[history.event(value) for value in values]])
    (tree,) = history.learner.fold.fleet
    assert tree.structure > 0
    (now,) = history.open(PLAIN).fold.fleet
    assert now.structure == tree.structure + 1
    assert contradictions(history.log) == []


def test_a_model_that_never_learned_starts_at_nothing_under_new_terms() -> None:
    history = History(PLAIN)
    history.commit([[history.event(event_value("north/1", 0, X, None))]])
    history.open(SMALL)
    assert [(m.version, m.seen) for m in entries_of(history.log)[-1].models] == [(0, 1)]
    learn(history, "north/1")
    assert [v for v, _ in versions(history.open(SMALL)).values()] == [3]
    assert contradictions(history.log) == []


def test_a_classifier_that_knows_no_class_yet_learns_whatever_its_version() -> None:
    one = sample_terms(["tree.HoeffdingTreeClassifier"], kind="binary")
    two = sample_terms([{"tree.HoeffdingTreeClassifier": {"grace_period": 50}}], kind="binary")
    history = History(one)
    history.commit([[history.event(event_value("a", n, X, n % 2 == 0)) for n in range(9)]])
    history.open(two)
    history.commit([[history.event(event_value("a", n, X, n % 2 == 0)) for n in range(9, 18)]])
    assert [v for v, _ in versions(history.open(two)).values()] == [19]
    assert contradictions(history.log) == []


def test_chunks_that_the_replaced_model_took_are_deleted() -> None:
    history = History(TREE, policy=Policy(snapshot_every=1, chunk_bytes=400))
    learn(history, "north/1", entries=2)
    before = {m.key for m in snapshots(history, "north/1")}
    history.open(SMALL)
    left = {m.key: m.value for m in history.log.topics[SNAPSHOTS]}
    kept = [key for key, value in left.items() if value]
    assert len(kept) < len(before)
    assert versions(history.open(SMALL)) == versions(history.learner)


def test_a_name_that_comes_back_goes_on_above_every_version_it_had() -> None:
    history = History(OTHER)
    learn(history, "north/1", entries=3)
    learn(history, "north/2", entries=1)
    highest = max(v for v, _ in versions(history.learner).values())
    history.open(PLAIN)
    learn(history, "north/1", entries=9)
    history.open(PLAIN)
    assert history.learner.fold.fleet.get(CHALLENGER) is None
    assert contradictions(history.log) == []

    history.open(OTHER, redefines=True)
    for asset in ("north/2", "north/1", "south/1"):
        learn(history, asset)
    came_back = [v for v in versions(history.learner).items() if v[0].endswith("pump/plain")]
    assert [v for _, (v, _) in came_back] == [highest + 1 + 3] * 3
    assert all(
        tracked.state.structure == 1
        for tracked in history.learner.fold.fleet
        if tracked.key.model == "pump/plain"
    )
    assert versions(history.open(OTHER)) == versions(history.learner)
    assert contradictions(history.log) == []


def test_what_was_before_is_known_however_long_ago_terms_were_written_first() -> None:
    history = History(OTHER, policy=Policy(snapshot_every=6, define_every=4))
    learn(history, "north/1", entries=2)
    history.open(PLAIN)
    put_in_force = entries_of(history.log)[-1].sequence
    for _ in range(6):
        learn(history, "north/1", entries=3)
        history.open(PLAIN)
    again = defining(history.log)[-1]
    assert again.sequence > put_in_force + 12
    past = Terms.of(again.actions[0]).past
    assert past.when_replaced(OTHER.definition_digest) == past.entry == put_in_force
    assert set(past.floors) == {("pump", "pump/plain")}
    history.log.forget_before(LEDGER, history.log.topics[LEDGER][again.sequence].offset)
    with pytest.raises(InvariantError, match=f"replaced at ledger entry {put_in_force} of"):
        history.open(OTHER)


def test_an_old_definition_halts_and_says_what_to_do() -> None:
    history = History(PLAIN)
    learn(history, "north/1", entries=2)
    history.open(SMALL)
    at = entries_of(history.log)[-1].sequence
    history.open(TREE)
    old, now = PLAIN.definition_digest[:12], TREE.definition_digest[:12]
    said = (
        f"definition {old} must not come back unasked: it was replaced at ledger entry {at} of "
        f"partition 0, in force is {now}; restart this worker with the new definition, or pass "
        "--redefine"
    )
    kept = dict(history.log.ends)
    with pytest.raises(InvariantError, match=said):
        history.open(PLAIN)
    with pytest.raises(InvariantError, match="must not come back unasked"):
        history.open(SMALL)
    assert history.log.ends == kept

    history.open(PLAIN, redefines=True)
    history.open(PLAIN)
    learn(history, "north/1")
    history.open(MORE_SCHEMAS)
    for gone in (SMALL, TREE):
        with pytest.raises(InvariantError, match="must not come back unasked"):
            history.open(gone)
    assert contradictions(history.log) == []


def test_workers_that_know_other_schemas_leave_the_terms_alone() -> None:
    history = History(MORE_SCHEMAS)
    learn(history, "north/1", entries=2)
    length = len(history.log.topics[LEDGER])
    assert history.open(PLAIN).fold.terms.digest == MORE_SCHEMAS.digest
    assert len(history.log.topics[LEDGER]) == length

    third = Terms(PLAIN.definition, {RECORD_ID + 2: RECORD})
    schemas = {**MORE_SCHEMAS.schemas, **third.schemas}
    assert history.open(third).fold.terms.schemas == schemas
    assert history.learner.fold.terms.past.replaced == ()
    assert history.open(MORE_SCHEMAS).fold.terms.schemas == schemas
    assert contradictions(history.log) == []


def test_a_refused_snapshot_of_a_replaced_model_is_rebuilt_across_the_change() -> None:
    history = History(PLAIN)
    for asset in ("north/1", "north/2", "south/1"):
        learn(history, asset, entries=3)
    history.open(SMALL)
    learn(history, "north/1", entries=1, size=1)
    before = versions(history.learner)
    for asset in ("north/1", "south/1"):
        spoil(history, asset)
    assert versions(history.open(SMALL)) == before
    dirty = {key.asset for key in history.learner.fold.fleet.dirty}
    assert dirty == {"north/1", "south/1"}
    learn(history, "north/2", entries=9)
    assert versions(history.open(SMALL)) == versions(history.learner)


def test_a_replaced_models_altered_snapshot_is_served_by_its_anchor() -> None:
    history = History(PLAIN)
    learn(history, "north/1", entries=3)
    history.open(SMALL)
    before = versions(history.learner)
    alter(history, snapshots(history, "north/1")[-1])
    history.log.forget_before(EVENTS, history.log.ends[EVENTS])
    assert versions(history.open(SMALL)) == before
    assert history.log.topics[ANCHORS]


def test_a_forged_version_of_a_replaced_model_is_found() -> None:
    history = History(PLAIN)
    learn(history, "north/1", entries=3)
    history.open(SMALL)
    at = entries_of(history.log)[-1]

    def forge(entry: Entry) -> Entry:
        if entry.sequence != at.sequence:
            return entry
        return replace(entry, models=tuple(replace(m, version=1) for m in entry.models))

    forged = resealed(history.log, forge)
    found = {f.kind for f in verify(forged, 0, KEY).findings}
    assert found == {Kind.SNAPSHOT_CONTRADICTS, Kind.LEDGER_CONTRADICTS}
    for topic in (SNAPSHOTS, ANCHORS):
        forged.topics[topic].clear()
    (finding,) = replay(forged, 0).findings
    assert (finding.kind, finding.sequence) == (Kind.FOLD_DIFFERS, at.sequence)


def test_a_quiet_models_terms_do_not_stand_in_the_way_of_a_later_start() -> None:
    history = History(OTHER, policy=Policy(snapshot_every=4, anchor_every=3, define_every=1000))
    learn(history, "north/1", entries=6)
    history.open(PLAIN)
    learn(history, "north/2", entries=3)
    history.open(OTHER, redefines=True)
    learn(history, "north/2", entries=3)
    history.log.forget_before(EVENTS, 6)
    newest = entries_of(history.log)[-1].sequence
    assert replay(history.log, 0, KEY, span=Span(AtSequence(newest))).findings == []


def test_no_state_of_a_later_time_under_the_same_definition_stands_in_for_a_lost_one() -> None:
    history = History(PLAIN, policy=Policy(snapshot_every=1))
    learn(history, "north/1", entries=4)
    history.open(SMALL)
    learn(history, "north/1")
    history.open(PLAIN, redefines=True)
    learn(history, "north/1")
    again = entries_of(history.log)[-2]
    for topic in (SNAPSHOTS, ANCHORS):
        saved = history.log.topics[topic]
        saved[:] = [m for m in saved if codec("Snapshot").decode(m.value)["sequence"] > 5]
    history.log.forget_before(EVENTS, 4)
    (finding,) = replay(history.log, 0, KEY, span=Span(AtSequence(3))).findings
    assert finding.kind == Kind.NOT_REPLAYABLE
    assert "no state of pump|north/1|pump/champion" in finding.found
    later = Span(AtSequence(again.sequence + 1))
    assert replay(history.log, 0, KEY, span=later).findings == []


def test_models_that_nothing_has_changed_are_forgotten_where_terms_change() -> None:
    history = History(PLAIN)
    x = {**X, "flow": float("nan")}
    history.commit([[history.event(event_value("north/1", 0, x, None))]])
    fold = history.learner.fold
    assert len(fold.fleet) == 1
    assert fold.adopt(OTHER, 2) == []
    assert len(fold.fleet) == 0


@pytest.mark.parametrize("seed", range(6))
def test_definitions_that_come_and_go_are_recovered_and_replayed_exactly(seed: int) -> None:
    rng = random.Random(seed)
    history = History(OTHER)
    terms, number = OTHER, 0
    highest: dict[ModelKey, int] = {}
    for _ in range(12):
        if rng.random() < 0.4:
            terms = rng.choice([PLAIN, OTHER, SMALL, TREE, MORE_SCHEMAS])
        history.open(terms, redefines=True)
        alive = versions(history.learner)
        assert versions(history.open(terms)) == alive
        for _ in range(rng.randint(1, 3)):
            make = rng.choice([some_event, some_event, some_update])
            history.commit([[make(history, number + i, rng) for i in range(rng.randint(1, 5))]])
            number += 5
        for entry in entries_of(history.log)[-4:]:
            for m in entry.models:
                key = ModelKey(m.stream, m.asset, m.model)
                highest[key] = max(highest.get(key, 0), m.version)
        for tracked in history.learner.fold.fleet:
            assert tracked.state.version >= highest.get(tracked.key, 0), tracked.key
    assert contradictions(history.log) == []


def test_an_altered_entry_that_recovery_does_not_rely_on_does_not_stop_it() -> None:
    history = History(PLAIN, policy=Policy(snapshot_every=1))
    learn(history, "north/1", entries=30)
    before = versions(history.learner)
    kept = history.log.copy()
    alter(history, history.log.topics[LEDGER][5])
    assert versions(history.open(PLAIN)) == before
    digest, end = PLAIN.digest, history.log.ends[LEDGER]
    assert drained(find_terms(history.log, 0, digest, end)).digest == digest

    for offset in (0, len(kept.topics[LEDGER]) - 1):
        history.log = kept.copy()
        alter(history, history.log.topics[LEDGER][offset])
        with pytest.raises(InvariantError, match="altered"):
            history.open(PLAIN)


def test_whichever_bit_of_an_entry_with_terms_is_spoiled_it_is_not_passed_over() -> None:
    history = History(PLAIN, policy=Policy(snapshot_every=1, define_every=4))
    learn(history, "north/1", entries=6)
    again = defining(history.log)[-1]
    assert again.sequence == 4
    message = history.log.topics[LEDGER][again.sequence]
    value = message.value or b""
    mark, digest = value.index(KIND.encode()), value.index(PLAIN.digest.hex().encode())
    for at in (mark - 1, mark, mark + 3, digest, digest + 63):
        spoiled = value[:at] + bytes([value[at] ^ 1]) + value[at + 1 :]
        history.log.put(message._replace(value=spoiled))
        with pytest.raises(InvariantError, match="altered"):
            drained(find_terms(history.log, 0, PLAIN.digest, history.log.ends[LEDGER]))
    history.log.put(message)
    assert read_entry(message).entry == again


def test_the_past_is_bounded_and_keeps_the_newest() -> None:
    past = Past()
    for n in range(3 * MOST_FLOORS):
        past = past.then(f"d{n}", f"d{n + 1}", entry=n, retired={("s", f"m{n}"): Floor(n, 1)})
    last = 3 * MOST_FLOORS - 1
    assert len(past.floors) == MOST_FLOORS
    assert past.floors["s", f"m{last}"] == Floor(last, 1)
    assert len(past.replaced) == MOST_REPLACED
    assert past.when_replaced(f"d{last}") == last
    assert past.when_replaced("d0") is None
    assert Past.of(past.text()) == past

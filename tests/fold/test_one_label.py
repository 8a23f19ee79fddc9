"""One event, one label in force, whoever says it: the later word replaces the earlier."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from fold.corrected import ASSET, TREE, Corrected, terms_of
from fold.history import KEY
from fold.plain_order import Plain
from fold.test_compensating import told
from tidemill.contracts.codec import codec
from tidemill.contracts.topics import EVENTS, FEEDBACK, OUTCOMES
from tidemill.fold.audit import replay, verify
from tidemill.models.labels import MOST_LABELLED
from tidemill.processors.learner.correcting import Allowance
from tidemill.testing.plants import LINEAR

if TYPE_CHECKING:
    from tidemill.kernel.records import Message

LATE = {"target": {"label": {"name": "wear", "kind": "regression", "ttl": "8h"}}}
FAMILIES = {"linear": LINEAR, "tree": TREE}
# One event after another, each answered, and the answers that a lab or a person gives of the first.
LAB, ANN, BOB = None, "ann", "bob"


class Labelled(Corrected):
    """A partition whose labels come apart from its events."""

    def __init__(self, champion: Any = LINEAR, **more: Any) -> None:
        super().__init__(terms_of(champion, stream=LATE), **more)
        self.flow(12)

    def flow(self, count: int) -> None:
        """Apply events, and a label of each from the plant."""
        self.apply(self.events(count, labelled=False))
        for said in self.predictions()[-count:]:
            if said["asset"] == ASSET:
                self.apply([self.label(said, self.rng.gauss(5, 2))])

    def label(self, said: dict[str, Any], y: float, by: str | None = LAB, **fields: Any) -> Message:
        """Write the label of a prediction, by the plant or by a person."""
        names = ("model", "version", "lineage", "value", "probabilities", "outcome", "quality")
        stored = {name: said[name] for name in (*names, "interval", "class_set", "naive")}
        about = {"event_id": said["event_id"], "time": said["time"], "x": said["features"]}
        return self.example(by, label=y, stored=stored, **about, **fields)

    def asked(self, count: int = 5) -> dict[str, Any]:
        """Return the prediction of an event that has no label yet."""
        self.apply(self.events(count, labelled=False))
        return self.predictions()[-count]

    def settle(self, said: Message) -> Message:
        """Apply an update and put it in force."""
        self.apply([said], self.events(2, labelled=False))
        self.correct()
        return said

    def given(self, said: dict[str, Any], y: float, by: str | None = LAB, **fields: Any) -> Message:
        """Put the label of a prediction in force."""
        return self.settle(self.label(said, y, by, **fields))

    def outcomes(self, event_id: str) -> list[tuple[int, float, float]]:
        """Return revision, label and count of the outcomes of an event."""
        found = [codec("Outcome").decode(m.value) for m in self.log.topics[OUTCOMES]]
        mine = [each for each in found if each["event_id"] == event_id]
        return [(each["revision"], each["label"], each["metrics"]["count"]) for each in mine]

    def check(self, edits: dict[int, Any]) -> None:
        """Hold what is predicted from here on against the plain order, and all against audits."""
        self.correct()
        since = self.log.ends[EVENTS]
        self.flow(9)
        plain = Plain(self.terms, edits=edits).follow(self.log)
        for said in self.predictions():
            if said["source"]["offset"] >= since:
                found = (said["value"], said["lineage"])
                assert found == plain.said[said["source"]["offset"]]
        for audit in (replay, verify):
            assert audit(self.log, 0, KEY).findings == []


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("first", "second"), [(LAB, ANN), (ANN, LAB), (ANN, BOB)])
@pytest.mark.parametrize("opens", [False, True])
def test_the_later_word_replaces_the_earlier(
    first: str | None, second: str | None, family: str, *, opens: bool
) -> None:
    plant = Labelled(FAMILIES[family])
    said = plant.asked()
    one = plant.given(said, 10.0, first)
    plant.flow(6)
    two = plant.label(said, 12.0, second)
    plant.apply([two], plant.events(1, labelled=False))
    if opens:
        plant.open(plant.terms)
    plant.correct()

    assert plant.outcomes(said["event_id"]) == [(0, 10.0, 13.0), (1, 12.0, 19.0)]
    if second is not None:
        assert told(plant, second) == ("APPLIED", None)
    if first is not None:
        assert told(plant, first) == ("RETRACTED", "a later label of its event replaced it")
    plant.check({one.offset: two.value, two.offset: None})


def test_a_word_taken_back_gives_way_to_the_one_before() -> None:
    plant = Labelled()
    said = plant.asked()
    lab, ann, bob = (plant.given(said, *word) for word in ((10.0,), (12.0, ANN), (14.0, BOB)))
    assert told(plant, ANN)[0] == "RETRACTED"
    plant.settle(plant.say("RETRACT", "r", target_id=BOB))

    assert told(plant, ANN) == ("APPLIED", "what had replaced it was taken back")
    assert told(plant, "r") == ("RETRACTED", None)
    assert told(plant, BOB)[0] == "APPLIED"
    edits = {lab.offset: ann.value, ann.offset: None, bob.offset: None}
    plant.check(edits)
    plant.settle(plant.say("RETRACT", "s", target_id=ANN))
    assert told(plant, ANN)[1] == "what had replaced it was taken back"
    plant.check({ann.offset: None, bob.offset: None})


def test_words_that_wait_together_leave_the_last_in_force() -> None:
    plant = Labelled()
    said = plant.asked()
    lab, ann = plant.label(said, 10.0), plant.label(said, 12.0, ANN)
    plant.apply([lab, ann], plant.events(2, labelled=False))
    bob = plant.label(said, 14.0, BOB)
    plant.apply([bob])
    plant.correct()

    assert told(plant, ANN) == ("RETRACTED", "a later label of its event replaced it")
    assert told(plant, BOB) == ("APPLIED", None)
    assert [revision for revision, *_ in plant.outcomes(said["event_id"])] == [0, 1, 2]
    plant.check({lab.offset: bob.value, ann.offset: None, bob.offset: None})


def test_the_plants_correction_replaces_a_persons_and_its_revision_goes_on() -> None:
    plant = Labelled()
    said = plant.asked()
    lab, ann = plant.given(said, 10.0), plant.given(said, 12.0, ANN)
    again = plant.given(said, 11.0, revision=1, replaced=10.0)

    assert plant.outcomes(said["event_id"]) == [(0, 10.0, 13.0), (1, 12.0, 13.0), (2, 11.0, 13.0)]
    assert told(plant, ANN)[0] == "RETRACTED"
    plant.check({lab.offset: again.value, ann.offset: None, again.offset: None})


def test_a_label_of_the_plant_that_was_overtaken_stays_out() -> None:
    plant = Labelled()
    said = plant.asked()
    newest = plant.label(said, 30.0, revision=2, replaced=20.0)
    plant.apply([newest], plant.events(2, labelled=False))
    ann = plant.label(said, 12.0, ANN)
    lower = plant.label(said, 20.0, revision=1, replaced=10.0)
    plant.apply([ann, lower, plant.label(said, 10.0)])
    plant.correct()
    edits: dict[int, Any] = {newest.offset: ann.value, ann.offset: None}
    plant.check({**edits, lower.offset: None, lower.offset + 1: None})


@pytest.mark.parametrize("second", [LAB, ANN])
def test_the_same_label_again_changes_nothing(second: str | None) -> None:
    plant = Labelled()
    said = plant.asked()
    plant.given(said, 10.0)
    plant.given(said, 12.0, BOB)
    again = plant.label(said, 12.0, second)
    plant.apply([again])
    assert not plant.learner.is_busy
    assert [revision for revision, *_ in plant.outcomes(said["event_id"])] == [0, 1]
    if second is not None:
        assert told(plant, second) == ("APPLIED", "the label is the same")
    plant.settle(plant.say("RETRACT", "r", target_id=BOB))
    # What said the same is the last word now.
    assert not plant.learner.is_busy
    state = plant.learner.fold.fleet.of("pump", ASSET).models[0].state
    assert state.decided.edits[-1].value == again.value


def test_one_event_of_three_words_is_one_of_256_where_no_re_fold_can_be_made() -> None:
    plant = Labelled(allowance=Allowance(events=1))
    said = plant.asked()
    plant.given(said, 10.0)
    plant.given(said, 12.0, ANN)
    assert told(plant, ANN)[0] == "COMPENSATED"
    assert plant.outcomes(said["event_id"]) == [(0, 10.0, 13.0), (1, 12.0, 13.0)]
    plant.check({})


def test_an_overtaken_label_is_not_learned_after_a_correction_that_was_compensated() -> None:
    plant = Labelled(allowance=Allowance(events=1))
    said = plant.asked()
    plant.given(said, 30.0, revision=1, replaced=10.0)
    overtaken = plant.given(said, 10.0)
    assert [each[:2] for each in plant.outcomes(said["event_id"])] == [(1, 30.0)]
    plant.check({overtaken.offset: None})


def test_what_was_labelled_too_long_ago_is_learned_beside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tidemill.models.labels.MOST_LABELLED", 5)
    plant = Labelled()
    said = plant.asked(20)
    plant.apply([plant.label(said, 10.0)])
    for other in plant.predictions()[-4:]:
        plant.apply([plant.label(other, 3.0)])
    plant.given(said, 12.0, ANN)
    assert [r for r, *_ in plant.outcomes(said["event_id"])] == [0, 1]
    for other in plant.predictions()[-9:-4]:
        plant.apply([plant.label(other, 3.0)])
    plant.apply([plant.label(said, 14.0, BOB)])
    assert not plant.learner.is_busy
    assert told(plant, BOB) == ("APPLIED", None)


def test_of_streams_whose_labels_come_with_the_events_nothing_is_kept() -> None:
    plant = Corrected(terms_of(LINEAR))
    plant.apply(plant.events(3), [plant.example("f", event_id="e")])
    state = plant.learner.fold.fleet.of("pump", ASSET).models[0].state
    assert state.labels is None
    assert MOST_LABELLED == 512
    assert FEEDBACK == "operator.feedback"


def test_where_labels_come_with_the_events_the_receipt_says_that_none_is_replaced() -> None:
    plant = Corrected(terms_of(LINEAR))
    plant.apply(plant.events(3))
    plant.apply([plant.example("c", event_id="e1")])
    status, reason = told(plant, "c")
    assert status == "APPLIED"
    assert reason is not None
    assert reason.startswith("learned beside the label that came with the events")


def test_a_label_too_large_to_wait_is_learned_once_and_counted_once() -> None:
    plant = Labelled()
    said = plant.asked()
    plant.given(said, 10.0)
    plant.given(said, 12.0, ANN, update_id="u" * 70_000)
    assert told(plant, ANN) == (
        "COMPENSATED",
        "what waits for a re-fold may have at most 65,536 bytes",
    )
    assert plant.outcomes(said["event_id"]) == [(0, 10.0, 13.0), (1, 12.0, 13.0)]
    plant.check({})

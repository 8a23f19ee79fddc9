"""`tidemill feedback send` and `retract` on a broker, where something answers with receipts."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from asking.topics import START_US
from local.steady import STEADY
from tidemill.cli import feedback_send
from tidemill.contracts.feedback_form import SEND_AGAIN
from tidemill.contracts.topics import EVENTS, FEEDBACK, PREDICTIONS, RECEIPTS
from tidemill.fold.retiring import Census, Held
from tidemill.local.kafka import running
from tidemill.models.state import ModelKey
from tidemill.runtime.feedback_waiting import Receipts
from tidemill.runtime.reach import partition_counts

from .command import MISCONFIGURED, Ran
from .feedback_plant import HOMES, Plant, receipt

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping
    from pathlib import Path

pytestmark = pytest.mark.broker

ANNA = ("--actor", "anna", "--role", "operator")
WAITED = ("--wait", "--timeout", "300")
STATUSES = {
    "RIGHT": "COUNTED",
    "WRONG": "REFUSED",
    "CORRECTED": "APPLIED",
    "IRRELEVANT": "HELD_FOR_EXPERT",
    "RETRACT": "RETRACTED",
    "HOLD": None,
}


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    folder = tmp_path_factory.mktemp("feedback")
    with running(folder / "kafka", settings=STEADY) as broker:
        yield Plant(folder, broker.bootstrap)


def by_kind(record: Mapping[str, Any]) -> str | None:
    return STATUSES[record["kind"]]


def written(plant: Plant) -> int:
    return len(plant.messages(FEEDBACK))


def file_of(folder: Path, *lines: object) -> Path:
    path = folder / "F.jsonl"
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    path.write_text("\n".join(texts) + "\n", "utf-8")
    return path


def from_anna(kind: str, **fields: object) -> dict[str, object]:
    return {"kind": kind, "actor": "anna", "role": "operator", **fields}


def sent(ran: Ran) -> list[dict[str, Any]]:
    assert ran.code == 0, ran
    found: list[dict[str, Any]] = json.loads(ran.out)["sent"]
    return found


def test_feedback_on_an_event_carries_what_its_prediction_says_and_goes_to_its_partition(
    plant: Plant,
) -> None:
    message, record = plant.sent(
        *("--kind", "IRRELEVANT", "--event", "e7", "--asset", "north/1", "--feature", "flow"),
        *("--comment", "it was washed"),
    )

    assert (message.partition, message.key) == (HOMES["north/1"], b"north/1")
    assert record["event"] == {"topic": EVENTS, "partition": 2, "offset": 107}
    assert (record["event_id"], record["asset"], record["stream"]) == ("e7", "north/1", "pump")
    assert (record["feature"], record["comment"]) == ("flow", "it was washed")
    assert (record["actor"], record["role"], record["kind"]) == ("anna", "operator", "IRRELEVANT")
    assert record["time"] > START_US - 10**12


def test_a_position_names_an_event_too(plant: Plant) -> None:
    _, record = plant.sent("--kind", "RIGHT", "--event", f"{EVENTS}-0@105")

    assert (record["event_id"], record["asset"]) == ("e5", "south/1")


@pytest.mark.parametrize(("typed", "value"), [("true", "true"), ("1", "1"), ("0.5", "0.5")])
def test_an_answer_that_was_typed_is_a_class_where_classes_are_predicted(
    plant: Plant, typed: str, value: str
) -> None:
    _, record = plant.sent(
        *("--kind", "CORRECTED", "--event", f"{EVENTS}-2@103", "--value", typed),
        *("--selection", "0.125"),
    )

    assert record["value"] == value
    assert record["selection"] == 0.125


def test_what_needs_no_event_goes_where_the_predictions_of_the_asset_are(plant: Plant) -> None:
    for asset, home in HOMES.items():
        message, record = plant.sent(
            *("--kind", "HOLD", "--asset", asset, "--until", "2026-01-01T00:01:00Z"),
            *("--scope", "pump/champion"),
        )
        assert (message.partition, record["asset"], record["event"]) == (home, asset, None)
        assert record["until"] == START_US + 60_000_000
        assert (record["stream"], record["scope"]) == ("pump", "pump/champion")


def test_an_asset_of_several_streams_needs_the_stream(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = ModelKey("press", "north/1", "press/champion")

    def census(log: object, partition: int) -> Generator[None, None, Census]:
        yield
        return {other: Held(1, 1, 1)} if partition == HOMES["north/1"] else {}

    monkeypatch.setattr("tidemill.fold.retiring.census", census)
    options = ("--kind", "FREEZE", "--asset", "north/1", "--actor", "eve", "--role", "x")
    ran = plant.run("send", *options)

    assert ran.code == MISCONFIGURED
    assert ran.said == "--stream: must be one of press, pump: north/1 has models of each"
    assert plant.sent(*options[:4], "--stream", "press")[1]["stream"] == "press"
    assert plant.sent("--kind", "HOLD", "--event", f"{EVENTS}-2@103")[1]["asset"] == "north/1"


def test_an_asset_without_predictions_is_where_its_models_are(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    def census(log: object, partition: int) -> Generator[None, None, Census]:
        yield
        key = ModelKey("pump", "west/7", "pump/champion")
        return {key: Held(1, 1, 1)} if partition == 1 else {}

    monkeypatch.setattr("tidemill.fold.retiring.census", census)
    message, record = plant.sent("--kind", "RESUME", "--asset", "west/7")

    assert (message.partition, record["stream"]) == (1, "pump")


def test_a_retraction_goes_where_its_feedback_is(plant: Plant) -> None:
    message, record = plant.sent("--kind", "RIGHT", "--event", f"{EVENTS}-2@101")
    ran = plant.run("retract", record["feedback_id"], *ANNA, "--comment", "a slip", "--json")

    (one,) = sent(ran)
    at, retraction = plant.said(one["feedback"]["feedback_id"])
    assert at.partition == message.partition == 2
    assert retraction["kind"] == "RETRACT"
    assert retraction["target_id"] == record["feedback_id"]
    assert (retraction["asset"], retraction["stream"]) == ("north/1", "pump")
    approval = plant.sent("--kind", "APPROVE", "--target", record["feedback_id"])[0]
    assert approval.partition == 2


def test_every_line_of_a_file_is_one_feedback_and_values_stay_as_they_are(
    plant: Plant, tmp_path: Path
) -> None:
    place = {"topic": EVENTS, "partition": 0, "offset": 110}
    path = file_of(
        tmp_path,
        from_anna("CORRECTED", event=place, value=True, selection=0.1 + 0.2, time=START_US + 1),
        "",
        from_anna("RIGHT", event_id="e11", asset="north/1", feedback_id="mine", comment=None),
        from_anna("RETRACT", target_id="mine"),
    )

    ran = plant.run("send", "--file", path, "--json")
    first, second, third = (each["feedback"] for each in sent(ran))

    assert json.loads(ran.out)["written"] == 3
    assert (first["value"], first["selection"]) == (True, 0.1 + 0.2)
    assert first["time"] == "2026-01-01T00:00:00.000001Z"
    assert plant.said(first["feedback_id"])[1]["value"] is True
    assert second["feedback_id"] == "mine"
    assert plant.said(third["feedback_id"])[0].partition == plant.said("mine")[0].partition == 2


def test_what_is_sent_twice_is_written_once(plant: Plant, tmp_path: Path) -> None:
    path = file_of(
        tmp_path,
        from_anna("RIGHT", event_id="e12", asset="north/1", time="2026-01-02T00:00:00Z"),
        from_anna("WRONG", event_id="e12", asset="south/1", feedback_id="only once"),
    )
    first = plant.run("send", "--file", path)
    before = written(plant)
    again = plant.run("send", "--file", path)
    other = file_of(
        tmp_path, from_anna("RIGHT", event_id="e12", asset="south/1", feedback_id="only once")
    )

    assert (first.code, again.code) == (0, 0)
    assert first.out.endswith(f"wrote 2 feedback to {FEEDBACK}\n")
    assert again.out.endswith(f"wrote 0 feedback to {FEEDBACK}, 2 were there already\n")
    assert written(plant) == before
    refused = plant.run("send", "--file", other)
    assert refused.code == MISCONFIGURED
    assert "feedback_id: must be new, or that of the same feedback" in refused.said
    assert refused.said.endswith("differs in kind")


def test_all_problems_of_a_file_are_listed_and_nothing_of_it_is_sent(
    plant: Plant, tmp_path: Path
) -> None:
    before = written(plant)
    form = file_of(
        tmp_path,
        from_anna("RIGHT", event_id="e1", asset="north/1"),
        "{",
        "[1]",
        from_anna("CORRECTED", event_id="e1"),
        from_anna("LIKED", event_id="e1"),
        from_anna("HOLD", asset="north/1", until="soon", colour="red"),
        {"kind": "RIGHT", "event_id": "e1"},
    )
    found = plant.run("send", "--file", form)
    assert found.code == MISCONFIGURED
    assert [problem.removeprefix(f"{form}, ")[:20] for problem in found.problems] == [
        "line 2: must be one ",
        "line 3: must be a JS",
        "line 4: value: must ",
        "line 5: kind: must b",
        "line 6: until: must ",
        "line 6: colour: must",
        "line 7: actor: must ",
        "line 7: role: must s",
    ]

    topics = file_of(
        tmp_path,
        from_anna("RIGHT", event_id="e1", asset="north/1"),
        from_anna("RIGHT", event_id="nobody"),
        from_anna("RIGHT", event_id="e1"),
        from_anna("FREEZE", asset="west/1"),
        from_anna("RETRACT", target_id="never said"),
        from_anna("RIGHT", event_id="e2", event={"topic": EVENTS, "partition": 0, "offset": 101}),
    )
    found = plant.run("send", "--file", topics)
    assert found.code == MISCONFIGURED
    lines = [problem.removeprefix(f"{topics}, ") for problem in found.problems]
    assert lines[0].startswith("line 2: event_id: must name an event with a prediction, was 'nob")
    assert lines[1].startswith(
        "line 3: event_id: must name one event, 'e1' names 2: "
        f"{EVENTS}-0@101 (pump of south/1), {EVENTS}-2@101 (pump of north/1)"
    )
    assert lines[2].startswith("line 4: asset: must have predictions or models, 'west/1' has none")
    assert lines[3].startswith("line 5: target_id: must be the id of a feedback in operator.feed")
    assert lines[4].startswith(f"line 6: event_id: must name the event at {EVENTS}-0@101, 'e1', w")
    assert len(lines) == 5
    assert written(plant) == before


def test_options_that_make_no_feedback_say_which(plant: Plant, tmp_path: Path) -> None:
    lone = plant.run("send", "--kind", "IRRELEVANT", "--actor", "anna")
    both = plant.run("send", "--file", tmp_path, "--kind", "RIGHT")
    late = plant.run("send", "--kind", "HOLD", *ANNA, "--asset", "north/1", "--until", "later")

    assert lone.code == both.code == late.code == MISCONFIGURED
    assert [problem.split(":")[0] for problem in lone.problems] == [
        "--role",
        "--event",
        "--feature",
    ]
    assert both.said.startswith("--file: must be given alone")
    assert late.said.startswith("--until: must be a time in ISO 8601 such as 2026-01-31T06:00:00Z")


def test_final_receipts_are_printed_as_they_come(plant: Plant, tmp_path: Path) -> None:
    path = file_of(
        tmp_path,
        from_anna("RIGHT", event_id="e20", asset="north/1"),
        from_anna("CORRECTED", event_id="e20", asset="south/1", value=True),
        from_anna("IRRELEVANT", event_id="e20", asset="south/1", feature="flow"),
    )
    with plant.answering(by_kind):
        ran = plant.run("send", "--file", path, *WAITED)

    assert ran.code == 0, ran
    lines = [line.split()[0] for line in ran.out.splitlines()]
    assert lines[:4] == ["sent", "sent", "sent", "wrote"]
    assert sorted(lines[4:]) == ["APPLIED", "COUNTED", "HELD_FOR_EXPERT"]
    assert "APPLIED" in ran.out
    assert (
        "CORRECTED of south/1, pump/champion version 312, the case reads 0.91 before and 0.5 "
        "after, 7 of the last 20 cases otherwise"
    ) in ran.out


def test_one_refusal_is_exit_1_and_says_why(plant: Plant) -> None:
    with plant.answering(by_kind):
        options = ("--kind", "WRONG", "--event", f"{EVENTS}-2@121", *ANNA, *WAITED)
        text, as_json = plant.run("send", *options), plant.run("send", *options, "--json")

    assert (text.code, as_json.code) == (1, 1)
    assert "REFUSED" in text.out
    assert text.out.endswith("WRONG of north/1: no such sensor\n")
    (one,) = json.loads(as_json.out)["sent"]
    assert (one["receipt"]["status"], one["receipt"]["reason"]) == ("REFUSED", "no such sensor")


class UntilAccepted(Receipts):
    """Receipts with a clock, in the place of `time`, that stands until one has been read."""

    time_ns = staticmethod(time.time_ns)
    opened: ClassVar[list[Receipts]] = []

    def __init__(self, *arguments: Any, **named: Any) -> None:  # Any: those of receipts
        super().__init__(*arguments, **named)
        self.opened[:] = [self]

    @classmethod
    def monotonic(cls) -> float:
        return 1e6 if any(each.accepted for each in cls.opened) else 0.0


def test_what_has_no_final_receipt_in_time_is_exit_1_and_named(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    with plant.answering(by_kind), monkeypatch.context() as patch:
        patch.setattr(feedback_send, "Receipts", UntilAccepted)
        patch.setattr(feedback_send, "time", UntilAccepted)
        ran = plant.run(
            "send", "--kind", "HOLD", "--asset", "north/1", *ANNA, "--wait", "--timeout", "2"
        )

    assert ran.code == 1
    name = ran.out.split()[1]
    assert ran.err.startswith(
        f"1 of 1 must have a final receipt within 2 s, found none: {name}; `tidemill feedback list`"
    )
    assert "1 of them were accepted and passed on" in ran.err
    assert "the feedback processor" not in ran.err
    assert "ACCEPTED" not in ran.out
    alone = plant.run(
        "send", "--kind", "HOLD", "--asset", "north/1", *ANNA, "--wait", "--timeout", "2"
    )
    assert "accepted and passed on" not in alone.err
    assert alone.err.endswith("the feedback processor has not come to yet\n")


def test_a_receipt_of_before_answers_what_was_sent_before(plant: Plant, tmp_path: Path) -> None:
    path = file_of(
        tmp_path, from_anna("RIGHT", event_id="e25", asset="north/1", feedback_id="again")
    )
    with plant.answering(by_kind):
        assert plant.run("send", "--file", path, *WAITED).code == 0
    again = plant.run("send", "--file", path, *WAITED)

    assert again.code == 0, again
    assert again.out.startswith("there already  again  RIGHT\n")
    assert "COUNTED  again RIGHT of north/1\n" in again.out


def test_what_came_too_early_is_sent_again_and_its_second_answer_is_waited_for(
    plant: Plant, tmp_path: Path
) -> None:
    line = from_anna("RIGHT", event_id="e26", asset="north/1", feedback_id="early")
    path = file_of(tmp_path, line)
    assert plant.run("send", "--file", path).code == 0
    message, record = plant.said("early")
    refusal = {**receipt(record, "REFUSED"), "reason": f"one more; {SEND_AGAIN}"}
    plant.put(RECEIPTS, refusal, message.partition)
    plant.flush()
    with plant.answering(by_kind):
        again = plant.run("send", "--file", path, *WAITED)
    third = plant.run("send", "--file", path, *WAITED)

    assert (again.code, third.code) == (0, 0)
    assert again.out.startswith("sent again  early  RIGHT\n")
    assert third.out.startswith("there already  early  RIGHT\n")
    assert "COUNTED  early RIGHT" in again.out
    assert "COUNTED  early RIGHT" in third.out


def test_a_case_of_the_queue_can_be_answered_with_its_selection(plant: Plant) -> None:
    def queue(count: int) -> list[dict[str, Any]]:
        ran = plant.run(
            "queue", "-f", plant.definition, "--asset", "south/1", "-n", count, "--json"
        )
        cases: list[dict[str, Any]] = json.loads(ran.out)["cases"]
        return cases

    case = queue(5)[0]
    _, record = plant.sent(
        *("--kind", "CORRECTED", "--event", case["position"], "--value", "true"),
        *("--selection", repr(case["selection"])),
    )

    assert (record["event_id"], record["selection"]) == (case["event_id"], case["selection"])
    assert case["event_id"] not in {each["event_id"] for each in queue(1000)}


def test_what_is_not_there_is_a_configuration_error(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = partition_counts(plant.bootstrap, {})
    options = ("--kind", "RIGHT", "--event", "e1", *ANNA, "--wait")
    for topic in (PREDICTIONS, FEEDBACK, RECEIPTS):
        left = {name: count for name, count in counts.items() if name != topic}
        monkeypatch.setattr(
            "tidemill.cli.feedback_send.partition_counts", lambda *_, left=left: left
        )
        ran = plant.run("send", *options)
        assert ran.code == MISCONFIGURED
        assert ran.said.startswith(f"{topic}: must exist")

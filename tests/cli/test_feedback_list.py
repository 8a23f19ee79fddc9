"""`tidemill feedback list`, `watch` and `queue` on a broker."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from asking.topics import START_US
from local.steady import STEADY
from tidemill.contracts.topics import EVENTS, FEEDBACK, LABELS, PREDICTIONS, RECEIPTS
from tidemill.local.kafka import running

from .command import MISCONFIGURED, Ran
from .feedback_plant import EVENTS_EACH, HOMES, Plant, receipt

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.broker

DEADLINE_S = 300.0
SECOND = 1_000_000
# Name, kind, asset, actor, event and the statuses of its receipts, in order of time.
SAID: tuple[tuple[str, str, str, str, str | None, list[str]], ...] = (
    ("f0", "CORRECTED", "north/1", "anna", "e0", ["ACCEPTED", "APPLIED"]),
    ("f1", "WRONG", "south/1", "ben", "e1", ["REFUSED"]),
    ("f2", "RIGHT", "north/1", "ben", "e2", ["COUNTED", "ACCEPTED"]),
    ("f3", "HOLD", "south/1", "anna", None, []),
    ("f4", "IRRELEVANT", "north/1", "anna", "e0", ["HELD_FOR_EXPERT", "APPLIED"]),
)


def feedback(n: int) -> dict[str, Any]:
    name, kind, asset, actor, event, _ = SAID[n]
    home = HOMES[asset]
    place = event and {"topic": EVENTS, "partition": home, "offset": 100 + int(event[1:])}
    return {
        "feedback_id": name,
        "kind": kind,
        "event_id": event,
        "event": place,
        "asset": asset,
        "stream": "pump" if event else None,
        "feature": "flow" if kind == "IRRELEVANT" else None,
        "value": 0.1 + 0.2 if kind == "CORRECTED" else None,
        "actor": actor,
        "role": "operator",
        "comment": "as agreed" if kind == "HOLD" else None,
        "until": START_US + SECOND if kind == "HOLD" else None,
        "selection": 0.1 if kind == "CORRECTED" else None,
        "time": START_US + n * SECOND,
    }


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    folder = tmp_path_factory.mktemp("feedback")
    with running(folder / "kafka", settings=STEADY) as broker:
        made = Plant(folder, broker.bootstrap)
        for n in reversed(range(len(SAID))):
            record = feedback(n)
            made.put(FEEDBACK, record, HOMES[record["asset"]])
            for status in SAID[n][-1]:
                made.put(RECEIPTS, receipt(record, status), HOMES[record["asset"]])
        for name in ("e10", "e11"):
            label = {"event_id": name, "asset": "north/1", "value": True, "time": START_US}
            made.put(LABELS, label, 1)
        # What cannot be decoded says nothing.
        for topic in (FEEDBACK, RECEIPTS, PREDICTIONS, LABELS):
            made.put_bytes(topic, b"\x00\x00", 0)
        made.flush()
        yield made


def listed(ran: Ran) -> list[dict[str, Any]]:
    assert ran.code == 0, ran
    found: list[dict[str, Any]] = json.loads(ran.out)["feedback"]
    return found


def test_feedback_is_listed_with_its_last_receipt_the_newest_last(plant: Plant) -> None:
    found = listed(plant.run("list", "--json"))

    last = [each["receipt"] and each["receipt"]["status"] for each in found]
    assert [each["feedback_id"] for each in found] == ["f0", "f1", "f2", "f3", "f4"]
    assert last == ["APPLIED", "REFUSED", "COUNTED", None, "APPLIED"]
    first = found[0]
    assert (first["value"], first["selection"]) == (0.1 + 0.2, 0.1)
    assert first["time"] == "2026-01-01T00:00:00Z"
    assert first["event"] == {"topic": EVENTS, "partition": 2, "offset": 100}
    assert first["position"]["topic"] == FEEDBACK
    assert first["receipt"]["effect"]["changed"] == 7
    assert first["receipt"]["lineage"] == "00" * 32
    assert first["receipt"]["position"]["partition"] == 2
    assert found[3]["until"] == "2026-01-01T00:00:01Z"


@pytest.mark.parametrize(
    ("options", "names"),
    [
        (["--asset", "north/1"], ["f0", "f2", "f4"]),
        (["--actor", "ben"], ["f1", "f2"]),
        (["--status", "applied"], ["f0", "f4"]),
        (["--status", "NONE"], ["f3"]),
        (["--status", "ACCEPTED"], []),
        (["--since", "2026-01-01T00:00:03"], ["f3", "f4"]),
        (["--since", "2026-01-01T01:00:03+01:00", "--actor", "anna"], ["f3", "f4"]),
        (["--event", "e0"], ["f0", "f4"]),
        (["--event", f"{EVENTS}-2@102"], ["f2"]),
    ],
)
def test_a_part_of_it_can_be_listed(plant: Plant, options: list[str], names: list[str]) -> None:
    assert [each["feedback_id"] for each in listed(plant.run("list", "--json", *options))] == names


def test_the_list_reads_as_a_person_reads(plant: Plant) -> None:
    ran = plant.run("list")

    assert ran.code == 0, ran
    assert ran.err == "5 feedback\n"
    lines = ran.out.splitlines()
    assert lines[0] == (
        "2026-01-01T00:00:00Z  anna (operator): CORRECTED 0.30000000000000004 on e0 of north/1 "
        "(pump)  f0"
    )
    assert lines[1].startswith("  APPLIED  f0 CORRECTED of north/1, pump/champion version 312, the")
    assert lines[3] == "  REFUSED  f1 WRONG of south/1: no such sensor"
    assert lines[6].endswith('HOLD until 2026-01-01T00:00:01Z of south/1 "as agreed"  f3')
    assert lines[7] == "  no receipt yet"


def test_what_is_retained_is_watched_to_the_end(plant: Plant) -> None:
    text = plant.run("watch", "--from-beginning", "-e", "--asset", "north/1")
    as_json = plant.run("watch", "--from-beginning", "-e", "--json")

    assert (text.code, as_json.code) == (0, 0)
    assert len(text.out.splitlines()) == 9
    assert "f1" not in text.out
    shown = [json.loads(line) for line in as_json.out.splitlines()]
    assert [each["topic"] for each in shown].count(FEEDBACK) == 5
    assert [e["status"] for e in shown if e["topic"] == RECEIPTS and e["feedback_id"] == "f4"] == [
        "HELD_FOR_EXPERT",
        "APPLIED",
    ]
    assert all(each["position"]["topic"] == each["topic"] for each in shown)


def test_what_comes_is_watched_until_ctrl_c(plant: Plant) -> None:
    # A run in the background of a shell ignores SIGINT, and passes that on.
    heard = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    code = heard + "from tidemill.cli import main; main()"
    options = ["feedback", "watch", "--json", "--from-beginning", "-b", plant.bootstrap]
    command = [sys.executable, "-c", code, *options]
    new = {**feedback(3), "feedback_id": "new"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        plant.put(RECEIPTS, receipt(new, "COUNTED"), 1)
        plant.flush()
        while (line := json.loads(process.stdout.readline()))["feedback_id"] != "new":
            pass
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=DEADLINE_S)

    assert line["status"] == "COUNTED"
    assert (process.returncode, err) == (0, b"")


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_a_reader_that_goes_away_ends_it_quietly(plant: Plant, form: list[str]) -> None:
    command = [sys.executable, "-m", "tidemill", "feedback", "watch", "--from-beginning", *form]
    with subprocess.Popen(
        [*command, "-b", plant.bootstrap], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        plant.put(RECEIPTS, receipt({**feedback(3), "feedback_id": "late"}, "COUNTED"), 1)
        plant.flush()
        assert process.wait(DEADLINE_S) == 0
        assert process.stderr.read() == b""


def test_wrong_options_of_a_list_are_a_configuration_error(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "--status: must be one of ACCEPTED, APPLIED," in plant.run("list", "--status", "x").said
    assert plant.run("list", "--since", "today").said.startswith("--since: must be a time in ISO")
    monkeypatch.setattr("tidemill.cli.feedback_list.partition_counts", lambda *_: {FEEDBACK: 3})
    ran = plant.run("watch")
    assert ran.code == MISCONFIGURED
    assert ran.said.startswith(f"{RECEIPTS}: must exist at {plant.bootstrap}; create it by")


def queue(plant: Plant, *options: object) -> dict[str, Any]:
    ran = plant.run("queue", "-f", plant.definition, "--json", *options)
    assert ran.code == 0, ran
    document: dict[str, Any] = json.loads(ran.out)
    return document


def test_the_queue_names_open_cases_with_what_was_predicted_and_a_probability(
    plant: Plant,
) -> None:
    found = queue(plant, "-n", "1000")

    assert found["predictions"] == 2 * EVENTS_EACH
    # Without a label, but e10 and e11, which have one, and what f0 and f2 said is right.
    assert (found["open"], found["assets"]) == (2 * EVENTS_EACH - 4, 2)
    names = {(each["asset"], each["event_id"]) for each in found["cases"]}
    assert len(names) == len(found["cases"]) == found["open"]
    assert not names & {("north/1", f"e{n}") for n in (0, 2, 10, 11)}
    assert ("south/1", "e1") in names  # what was refused says nothing
    case = next(e for e in found["cases"] if (e["asset"], e["event_id"]) == ("north/1", "e39"))
    assert case["position"] == f"{EVENTS}-2@139"
    assert case["time"] == "2026-01-01T00:00:39Z"
    assert case["probabilities"] == {"true": 0.39, "false": 0.61}
    assert case["outcome"] == "false"
    assert case["score"] == pytest.approx(1 - 0.22)
    assert case["selection"] == 1.0


def test_equal_cases_and_seed_give_an_equal_queue(plant: Plant) -> None:
    first = queue(plant, "-n", "10")

    assert queue(plant, "-n", "10") == first
    assert queue(plant, "-n", "10", "--seed", "1")["cases"] != first["cases"]
    assert 8 <= len(first["cases"]) <= 12
    assert all(0.0 < each["selection"] <= 1.0 for each in first["cases"])


def test_the_queue_may_be_of_the_last_hour_or_of_so_many_and_of_one_asset(plant: Plant) -> None:
    few = queue(plant, "-n", "1000", "--last", "10s", "--asset", "south/1")
    number = queue(plant, "-n", "1000", "--last", "7", "--stream", "pump")

    assert {each["event_id"] for each in few["cases"]} == {f"e{n}" for n in range(29, 40)}
    assert {each["asset"] for each in few["cases"]} == {"south/1"}
    assert (few["from"], few["to"]) == ("2026-01-01T00:00:29Z", "2026-01-01T00:00:39Z")
    assert number["predictions"] == 7


def test_the_queue_reads_as_a_person_reads(plant: Plant) -> None:
    ran = plant.run("queue", "-f", plant.definition, "-n", "1000", "--asset", "north/1")

    assert ran.code == 0, ran
    assert (
        "e39  north/1  pump  2026-01-01T00:00:39Z  false 0.61 true 0.39  score 0.780 (audit)  "
        "--selection 1.0\n"
    ) in ran.out
    assert ran.err == "36 of 36 open cases of 1 assets, in 40 predictions\n"


def test_what_cannot_be_asked_is_a_configuration_error(
    plant: Plant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    definition = ("-f", plant.definition)
    assert plant.run("queue", *definition, "--last", "0s").said.startswith("--last: must be a num")
    other = plant.run("queue", *definition, "--stream", "press").said
    assert other.startswith("--stream: must be one with target: label (pump), was press; ")
    document = json.loads(plant.definition.read_text())
    target = {"field": {"name": "is_faulty", "kind": "binary", "classes": [False, True]}}
    document["streams"]["pump"]["target"] = target
    (tmp_path / "plant.yaml").write_text(json.dumps(document))
    said = plant.run("queue", "-f", tmp_path / "plant.yaml").said
    assert said.startswith("streams: must have one with target: label, found none; the labels")
    monkeypatch.setattr("tidemill.cli.feedback_queue.partition_counts", lambda *_: {})
    assert plant.run("queue", *definition).said.startswith(f"{PREDICTIONS}: must exist at")

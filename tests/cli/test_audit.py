"""`tidemill audit`, on topics in memory."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from cli.command import MISCONFIGURED, Ran, run
from fold.history import ListLog, make_history, with_flipped_bit
from tidemill.cli import audit, audit_bounds
from tidemill.contracts.id_lock import LOCK_FILE, lock_text
from tidemill.contracts.topics import EVENTS, LEDGER, UPDATES
from tidemill.fold.audit.bounds import AtOffset, AtSequence, AtTime
from tidemill.kernel.errors import ConfigError
from tidemill.testing.plants import RECORD, RECORD_ID, sample_definition

if TYPE_CHECKING:
    from pathlib import Path

COMMANDS = ("verify", "replay")


class OpenedLog(ListLog):
    """Counts how often it is closed."""

    closed = 0

    def close(self) -> None:
        type(self).closed += 1


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """The key file of the histories."""
    path = tmp_path / "signing.key"
    path.write_text(bytes(range(32)).hex(), "ascii")
    path.chmod(0o600)
    return path


def serve(patch: pytest.MonkeyPatch, log: ListLog, partitions: int = 1) -> None:
    """Let the command find these topics at any broker."""
    opened = OpenedLog(log.topics, log.ends, log.begins)
    OpenedLog.closed = 0
    patch.setattr(audit, "partition_counts", lambda *_: {LEDGER: partitions})
    patch.setattr(audit, "KafkaLog", lambda _: opened)


def call(name: str, *arguments: object, key: Path | None = None) -> Ran:
    signed = [] if key is None else ["--signing-key", key]
    return run("audit", name, "-b", "localhost:1", *arguments, *signed)


def document(ran: Ran) -> dict[str, Any]:  # Any: JSON
    value: dict[str, Any] = json.loads(ran.out)  # Any: JSON
    return value


@pytest.mark.parametrize("name", COMMANDS)
def test_no_difference_is_exit_0(name: str, key: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    serve(monkeypatch, make_history(1))
    ran = call(name, key=key)
    assert ran.code == 0
    assert f"{name}: 0 differences" in ran.out
    assert OpenedLog.closed == 1


@pytest.mark.parametrize("name", COMMANDS)
def test_a_difference_is_exit_1_and_one_document_names_it(
    name: str, key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = make_history(1)
    message = log.topics[EVENTS][7]
    serve(monkeypatch, with_flipped_bit(log, message, 99))
    ran = call(name, "--json", key=key)
    assert ran.code == 1
    said = document(ran)
    assert (said["audit"], said["differences"]) == (name, 1)
    (partition,) = said["partitions"]
    (finding,) = partition["findings"]
    assert finding["kind"] == "input-altered"
    assert (finding["topic"], finding["partition"]) == (EVENTS, 0)
    assert finding["offset"] == message.offset


@pytest.mark.parametrize("name", COMMANDS)
def test_a_difference_is_said_in_words(
    name: str, key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = make_history(1)
    message = log.topics[EVENTS][7]
    serve(monkeypatch, with_flipped_bit(log, message, 99))
    ran = call(name, key=key)
    assert f"{EVENTS}-0@{message.offset}" in ran.out
    assert f"{name}: 1 difference" in ran.out


def test_without_a_key_the_report_says_what_was_not_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(monkeypatch, make_history(1))
    ran = call("verify", "--dir", tmp_path)
    assert ran.code == 0
    assert "no signing key was given" in ran.out


def test_a_span_bounds_the_replay(key: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    serve(monkeypatch, make_history(1))
    ran = call("replay", "--to", "4", "--json", key=key)
    assert document(ran)["partitions"][0]["last_sequence"] == 4


@pytest.mark.parametrize("chosen", [("--partition", "0"), ("--from", f"{EVENTS}-0@3")])
def test_only_the_partition_chosen_is_audited(
    chosen: tuple[str, str], key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(monkeypatch, make_history(1), partitions=4)
    ran = call("replay", *chosen, "--json", key=key)
    assert [each["partition"] for each in document(ran)["partitions"]] == [0]


def test_a_partition_that_is_not_there_is_refused(
    key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(monkeypatch, make_history(1))
    ran = call("verify", "--partition", "3", key=key)
    assert ran.code == MISCONFIGURED
    assert "must be from 0 to 0, was 3" in ran.said


def test_a_cluster_without_a_ledger_is_refused(key: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    serve(monkeypatch, make_history(1))
    monkeypatch.setattr(audit, "partition_counts", lambda *_: {})
    ran = call("verify", key=key)
    assert ran.code == MISCONFIGURED
    assert ran.said.startswith("model.ledger: must exist")


@pytest.mark.parametrize("name", COMMANDS)
def test_a_definition_at_hand_is_read_beforehand(
    name: str, key: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "avro").mkdir()
    (tmp_path / "avro" / "PumpReading.avsc").write_text(json.dumps(RECORD), "utf-8")
    (tmp_path / "avro" / LOCK_FILE).write_text(lock_text({RECORD_ID: RECORD}), "utf-8")
    (tmp_path / "plant.yaml").write_text(sample_definition(), "utf-8")
    serve(monkeypatch, make_history(1))
    ran = call(name, "-f", tmp_path / "plant.yaml", key=key)
    assert ran.code == 0


@pytest.mark.parametrize("name", COMMANDS)
def test_a_definition_that_cannot_be_read_is_refused(name: str, tmp_path: Path) -> None:
    ran = call(name, "-f", tmp_path / "none.yaml")
    assert ran.code == MISCONFIGURED
    assert "must be a readable" in ran.said


@pytest.mark.parametrize(
    ("text", "bound"),
    [
        (None, None),
        ("17", AtSequence(17)),
        (f"{EVENTS}-3@12", AtOffset(EVENTS, 3, 12)),
        (f"{UPDATES}-0@0", AtOffset(UPDATES, 0, 0)),
        ("2026-01-01T00:00:00Z", AtTime(1_767_225_600_000)),
        ("2026-01-01T00:00:00", AtTime(1_767_225_600_000)),
        ("2026-01-01T01:00:00+01:00", AtTime(1_767_225_600_000)),
        ("2026-01-01", AtTime(1_767_225_600_000)),
    ],
)
def test_a_bound_is_a_sequence_a_position_or_a_time(text: str | None, bound: object) -> None:
    assert audit_bounds.parse_bound("--from", text) == bound


@pytest.mark.parametrize("text", ["", "-1", "yesterday", "model.ledger-0@3", "sensor.events@3"])
def test_anything_else_is_no_bound(text: str) -> None:
    with pytest.raises(ConfigError, match="--to: must be a ledger sequence"):
        audit_bounds.parse_bound("--to", text)


def test_bounds_of_two_partitions_contradict_each_other() -> None:
    with pytest.raises(ConfigError, match="must name one partition"):
        audit_bounds.partitions_of(AtOffset(EVENTS, 0, 1), AtOffset(EVENTS, 2, 1))

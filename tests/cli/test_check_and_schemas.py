"""`tidemill check` and `schemas` say all that is wrong before anything starts."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING

import pytest

from runtime.fake_registry import serving
from runtime.plants import FIELDS, PRESS, TEXT, write_plant
from tidemill.runtime import reach

from .command import MISCONFIGURED, run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def nobody() -> Iterator[str]:
    """An address where nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{taken.getsockname()[1]}"


def test_a_plant_that_holds_passes(tmp_path: Path) -> None:
    ran = run("check", "-f", write_plant(tmp_path), "--dir", tmp_path)

    assert ran.code == 0, ran
    assert "no broker asked" in ran.out


def test_the_document_says_what_would_run(tmp_path: Path) -> None:
    ran = run("check", "-f", write_plant(tmp_path), "--dir", tmp_path, "--json")

    assert ran.code == 0
    assert json.loads(ran.out) == {
        "ok": True,
        "problems": [],
        "plant": "works",
        "partitions": 4,
        "bootstrap": None,
        "has_signing_key": False,
        "streams": [
            {
                "name": "press",
                "event": "plant.Press",
                "kind": "binary",
                "features": ["force", "count", "recipe"],
                "models": ["press/champion"],
            }
        ],
    }


def test_problems_of_definition_records_models_and_reach_come_together(
    tmp_path: Path, nobody: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reach, "_TIMEOUT_S", 0.5)
    text = TEXT.replace("tree.HoeffdingTreeClassifier", "tree.NoSuchTree")
    path = write_plant(tmp_path, text.replace("count: {}", "counter: {}"), lock=False)

    ran = run("check", "-f", path, "-b", nobody)
    assert ran.code == MISCONFIGURED
    assert "plant.Press: must have a locked id" in ran.said
    assert "streams.press.features.counter: must be a field of Press" in ran.said
    assert "streams.press.model.champion: tree.NoSuchTree: must be one of" in ran.said
    assert f"the broker at {nobody} must answer" in ran.said


def test_a_wrong_definition_is_one_document_too(tmp_path: Path) -> None:
    path = write_plant(tmp_path, TEXT.replace("[0, 100]", "[100, 0]"))

    ran = run("check", "-f", path, "--dir", tmp_path, "--json")
    document = json.loads(ran.out)
    assert (ran.code, document["ok"]) == (MISCONFIGURED, False)
    assert document["problems"][0].startswith("streams.press.features.force.range: must be")


def test_a_model_that_cannot_take_the_features_is_refused(tmp_path: Path) -> None:
    text = TEXT.replace("tree.HoeffdingTreeClassifier", "linear_model.LogisticRegression")

    ran = run("check", "-f", write_plant(tmp_path, text), "--dir", tmp_path)
    assert ran.code == MISCONFIGURED
    assert "linear_model.LogisticRegression: takes numbers only, but recipe is nominal" in ran.said


@pytest.mark.parametrize("given", ["novalue", "=x"])
def test_a_setting_that_is_no_pair_is_refused(tmp_path: Path, nobody: str, given: str) -> None:
    ran = run("check", "-f", write_plant(tmp_path), "-b", nobody, "-X", given)

    assert ran.code == MISCONFIGURED
    assert "-X: must be key=value" in ran.said


def test_a_record_that_is_not_registered_is_a_problem(tmp_path: Path) -> None:
    with serving() as registry:
        env = {"TIDEMILL_SCHEMA_REGISTRY_URL": registry.url}
        path = write_plant(tmp_path)

        ran = run("check", "-f", path, "--dir", tmp_path, env=env)
        assert "sensor.events-plant.Press: must be registered" in ran.said
        assert run("schemas", "register", "-f", path, "--execute", env=env).code == 0
        assert run("check", "-f", path, "--dir", tmp_path, env=env).code == 0


def test_a_signing_key_that_run_would_find_is_looked_at(tmp_path: Path) -> None:
    path, key, made = write_plant(tmp_path), tmp_path / "my.key", tmp_path / "signing.key"
    asked = ("check", "-f", path, "--dir", tmp_path)
    by_variable = {"TIDEMILL_SIGNING_KEY_FILE": str(key)}
    assert "no signing key asked" in run(*asked).out
    for ran in (run(*asked, "--signing-key", key), run(*asked, env=by_variable)):
        assert ran.code == MISCONFIGURED
        assert f"{key}: must be a readable key file" in ran.said

    assert run("keygen", key).code == 0
    for ran in (run(*asked, "--signing-key", key), run(*asked, env=by_variable)):
        assert (ran.code, "signing key holds" in ran.out) == (0, True), ran
    assert json.loads(run(*asked, "--json", env=by_variable).out)["has_signing_key"] is True

    key.chmod(0o644)
    assert "must be closed to others" in run(*asked, env=by_variable).said
    made.write_text("00" * 31)
    made.chmod(0o600)
    ran = run(*asked)
    assert (ran.code, "signing.key: must hold 32 bytes as hex" in ran.said) == (MISCONFIGURED, True)
    document = json.loads(run(*asked, "--json").out)
    assert (document["ok"], document["has_signing_key"]) == (False, False)


def test_locking_gives_new_records_an_id_and_twice_changes_nothing(tmp_path: Path) -> None:
    path = write_plant(tmp_path, lock=False)
    lock = tmp_path / "avro" / "ids.lock.json"

    first = run("schemas", "lock", "-f", path)
    assert (first.code, first.out) == (0, "1500001000 plant.Press\n")
    before = lock.read_bytes()
    second = run("schemas", "lock", "-f", path)
    assert (second.code, second.out) == (0, "")
    assert lock.read_bytes() == before
    assert json.loads(before) == {"ids": {"1500001000": PRESS}}


def test_check_of_schemas_names_what_cannot_be_read_any_more(tmp_path: Path) -> None:
    path = write_plant(tmp_path)
    assert run("schemas", "check", "-f", path).code == 0

    changed = {**PRESS, "fields": [*FIELDS, {"name": "new", "type": "double"}]}
    write_plant(tmp_path, TEXT, changed, lock=False)
    ran = run("schemas", "check", "-f", path)
    assert ran.code == 1
    assert "plant.Press: must have a locked id" in ran.err
    assert "plant.Press.new: must have a default" in ran.err


def test_our_own_schemas_are_checked_where_there_is_no_plant(tmp_path: Path) -> None:
    assert run("schemas", "check", "-f", tmp_path / "plant.yaml").code == 0


def test_our_own_schemas_get_ids_of_their_own_range(tmp_path: Path) -> None:
    (tmp_path / "Press.avsc").write_text(json.dumps(PRESS), "utf-8")

    assert run("schemas", "lock", "--own", tmp_path).out == "1500000000 plant.Press\n"
    assert run("schemas", "check", "--own", tmp_path).code == 0


def test_registration_is_only_said_until_it_is_executed(tmp_path: Path) -> None:
    path = write_plant(tmp_path)
    with serving() as registry:
        env = {"TIDEMILL_SCHEMA_REGISTRY_URL": registry.url}

        dry = run("schemas", "register", "-f", path, env=env)
        assert dry.code == 0
        assert "to register sensor.events-plant.Press" in dry.out
        assert "nothing was done" in dry.err
        assert registry.texts == []

        wet = run("schemas", "register", "-f", path, "--execute", env=env)
        assert "registered 1 sensor.events-plant.Press" in wet.out
        assert "plant.labels-tidemill.Label" in registry.subjects
        assert set(registry.compatibility.values()) == {"FULL_TRANSITIVE"}

        again = run("schemas", "register", "-f", path, "--execute", env=env)
        assert "unchanged 1 sensor.events-plant.Press" in again.out
        assert "registered" not in again.out.replace("unchanged", "")


def test_registering_needs_a_registry(tmp_path: Path) -> None:
    ran = run("schemas", "register", "-f", write_plant(tmp_path))

    assert ran.code == MISCONFIGURED
    assert "TIDEMILL_SCHEMA_REGISTRY_URL: must name the Schema Registry" in ran.said

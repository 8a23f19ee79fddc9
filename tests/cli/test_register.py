"""`tidemill schemas register` against the real registry: it refuses, and says what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from runtime.plants import FIELDS, PRESS, TEXT, write_plant
from tidemill.contracts.topics import EVENTS
from tidemill.runtime.registry import REGISTRY_VARIABLE, Registry

from .command import run

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.broker


def plant_of(folder: Path, name: str, *changed: dict[str, Any]) -> Path:  # Any: Avro in JSON
    """Write a plant whose record goes by a name that no other test uses; fields may change."""
    by_name = {field["name"]: field for field in [*FIELDS, *changed]}
    record = {**PRESS, "name": name, "fields": list(by_name.values())}
    return write_plant(folder, TEXT.replace("plant.Press", f"plant.{name}"), record)


@pytest.fixture
def env(registry_url: str) -> dict[str, str | None]:
    return {REGISTRY_VARIABLE: registry_url}


def test_nothing_is_registered_until_it_is_to_be_done(
    tmp_path: Path, env: dict[str, str | None], registry_url: str
) -> None:
    path = plant_of(tmp_path, "Dry")
    dry = run("schemas", "register", "-f", path, env=env)
    assert dry.code == 0
    assert f"to register {EVENTS}-plant.Dry\n" in dry.out
    assert Registry(registry_url).versions(EVENTS, "plant.Dry") == {}

    done = run("schemas", "register", "-f", path, "--execute", env=env)
    assert done.code == 0
    (schema_id,) = Registry(registry_url).versions(EVENTS, "plant.Dry")
    assert f"registered {schema_id} {EVENTS}-plant.Dry\n" in done.out
    assert "model.predictions-tidemill.Prediction\n" in done.out
    again = run("schemas", "register", "-f", path, "--execute", env=env)
    assert f"unchanged {schema_id} {EVENTS}-plant.Dry\n" in again.out
    assert "registered" not in again.out


@pytest.mark.parametrize(
    ("changed", "found"),
    [
        ({"name": "recipe", "type": ["null", "boolean"], "default": None}, "recipe"),
        ({"name": "torque", "type": "double"}, "torque"),
    ],
)
def test_what_is_not_compatible_is_refused_by_name_with_what_to_do(
    tmp_path: Path,
    registry_url: str,
    changed: dict[str, Any],  # Any: Avro in JSON
    found: str,
) -> None:
    env, name = {REGISTRY_VARIABLE: registry_url}, f"Refused{found.capitalize()}"
    run("schemas", "register", "-f", plant_of(tmp_path / "1", name), "--execute", env=env)
    path = plant_of(tmp_path / "2", name, changed)
    for flags in ((), ("--execute",)):
        refused = run("schemas", "register", "-f", path, *flags, env=env)
        assert refused.code == 1
        rule = f"{EVENTS}-plant.{name}: must be compatible with every version registered (FULL_TRAN"
        assert rule in refused.err
        assert found in refused.err.partition("found: ")[2]
        assert "give an added field a default" in refused.err
        assert "unchanged" in refused.out  # the others are looked at all the same
    assert len(Registry(registry_url).versions(EVENTS, f"plant.{name}")) == 1


def test_a_promoted_type_passes_where_the_plant_asks_for_it(
    tmp_path: Path, env: dict[str, str | None], registry_url: str
) -> None:
    assert run("schemas", "register", "-f", plant_of(tmp_path / "1", "Wider"), "--execute", env=env)
    double = {"name": "count", "type": ["null", "double"], "default": None}
    wider = plant_of(tmp_path / "2", "Wider", double)
    for flags in ((), ("--execute",)):
        refused = run("schemas", "register", "-f", wider, *flags, env=env)
        assert refused.code == 1
        assert "a promoted type passes with --backward" in refused.err
        assert run("schemas", "register", "-f", wider, "--backward", env=env).code == 0

    done = run("schemas", "register", "-f", wider, "--backward", "--execute", env=env)
    assert done.code == 0
    assert len(Registry(registry_url).versions(EVENTS, "plant.Wider")) == 2
    narrow = plant_of(tmp_path / "3", "Wider", {"name": "force", "type": ["null", "int"]})
    refused = run("schemas", "register", "-f", narrow, "--backward", "--execute", env=env)
    assert refused.code == 1
    assert "(BACKWARD_TRANSITIVE)" in refused.err

"""The commands and variables in docs/deployment.md exist; the example is what it says."""

from __future__ import annotations

import re
import shlex

import pytest

from cli.command import run
from tidemill.runtime.environment import VARIABLES

from .compose import references
from .kustomize import OVERLAYS, ROOT
from .test_kubernetes import MADE_BEFORE
from .workloads import parse

TEXT = (ROOT / "docs" / "deployment.md").read_text("utf-8")
BLOCKS = "".join(re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)).replace("\\\n", " ")
COMMANDS = [line for line in BLOCKS.splitlines() if line.startswith("tidemill ")]
EXAMPLE = ROOT / "examples" / "bottling"


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_shown_is_one(line: str) -> None:
    assert parse(shlex.split(line, comments=True)[1:])


def test_every_variable_shown_is_one() -> None:
    assert COMMANDS
    assert set(re.findall(r"TIDEMILL_\w+", TEXT)) <= set(VARIABLES)
    for name, _, _ in references():
        assert f"`{name}`" in TEXT


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_it_says_how_to_make_what_must_be_made_before(overlay: str) -> None:
    assert f"kubectl apply -k k8s/overlays/{overlay}" in BLOCKS
    for kind, name in MADE_BEFORE[overlay]:
        wanted = {
            "Secret": f"create secret generic {name} ",
            "ConfigMap": f"create configmap {name} ",
        }
        assert wanted[kind] in BLOCKS


def test_the_files_it_names_are_there() -> None:
    named = re.findall(r"`((?:k8s|docs|examples)/[\w./-]+)`", TEXT)
    assert named
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_the_example_plant_holds() -> None:
    path = EXAMPLE / "plant.yaml"
    assert run("check", "-f", path, "--dir", EXAMPLE).code == 0
    assert run("schemas", "check", "-f", path).code == 0

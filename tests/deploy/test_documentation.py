"""The commands and variables in docs/deployment.md exist; the example is what it says."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from cli.command import run
from tidemill.local.redis_configuration import redis_conf
from tidemill.runtime.environment import VARIABLES

from .compose import GIVEN, compose, references
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


def test_the_secret_it_makes_for_redis_says_what_compose_would() -> None:
    (line,) = re.findall(r"^(printf .+) \|$", BLOCKS, re.MULTILINE)
    environ = {"REDIS_PASSWORD": GIVEN["REDIS_PASSWORD"]}
    made = subprocess.run(["/bin/sh", "-c", line], env=environ, check=True, capture_output=True)
    secret = dict(one.split("=", 1) for one in made.stdout.decode().splitlines())

    worker = compose()["services"]["labeller-0"]["environment"]
    assert secret == {"password": GIVEN["REDIS_PASSWORD"], "url": worker["TIDEMILL_REDIS_URL"]}
    assert urlsplit(secret["url"]).password == secret["password"]


def test_the_user_it_recommends_for_redis_is_the_embedded_ones() -> None:
    (line,) = re.findall(r"^ACL SETUSER (.+)$", TEXT, re.MULTILINE)
    own = redis_conf(Path("/data"), 6379, "x", {}).splitlines()
    (user,) = (one.removeprefix("user ") for one in own if one.startswith("user tidemill "))
    assert re.sub(r">\S+", "PASSWORD", line) == re.sub(r"#\w{64}", "PASSWORD", user)


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

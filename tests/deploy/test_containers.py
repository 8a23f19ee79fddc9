"""What containers are told exists in the code: commands, flags, variables, ports, probes."""

from __future__ import annotations

import re
import tomllib
import urllib.request
from contextlib import suppress
from dataclasses import fields
from http import HTTPStatus
from importlib import import_module
from typing import TYPE_CHECKING
from urllib.error import HTTPError

import pytest
import yaml

from tidemill.cli.run import PROCESSORS as RUNNABLE
from tidemill.kernel.errors import ConfigError
from tidemill.runtime.clients import TRANSACTION_TIMEOUT_MS
from tidemill.runtime.environment import PREFIX, VARIABLES
from tidemill.runtime.faust_security import security_of
from tidemill.runtime.faust_service import END_WITHIN_S as CLIENTS_END_WITHIN_S
from tidemill.runtime.probes import LIVE_WITHIN_S, serve_probes
from tidemill.runtime.transactions import CALL_TIMEOUT_S
from tidemill.runtime.webhook_post import TIMEOUT_S

from .compose import compose, references
from .kustomize import OVERLAYS, RENDERERS, ROOT
from .workloads import (
    KEYED,
    PROCESSORS,
    Container,
    all_containers,
    of_compose,
    parse,
    pod_specs,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CONTAINERS = all_containers()
RUNNING = [each for each in CONTAINERS if each.argv[0] == "run"]
SETTINGS = {
    name: import_module(f"tidemill.processors.{name}.settings").Settings for name in PROCESSORS
}
DOCKERFILE = (ROOT / "Dockerfile").read_text("utf-8")
NOT_OURS = {"POD_NAME"}
TRANSACTION_S = TRANSACTION_TIMEOUT_MS / 1000 + CALL_TIMEOUT_S
ENDS_WITHIN_S = dict.fromkeys(PROCESSORS, TRANSACTION_S) | {
    "feedback": CLIENTS_END_WITHIN_S,
    "alerts": CLIENTS_END_WITHIN_S + TIMEOUT_S,
}


def named(each: Container) -> str:
    return f"{each.where} {each.name}"


class Well:
    """A service that is always well."""

    def loop_age_s(self) -> float:
        return 0.0

    def not_ready(self) -> str:
        return ""

    def exposition(self) -> bytes:
        return b""


@pytest.fixture(scope="module")
def probes() -> Iterator[str]:
    with serve_probes(Well(), host="127.0.0.1", port=0) as address:
        yield address


def status(address: str, path: str) -> int:
    url = f"http://{address}{path}"
    with suppress(HTTPError), urllib.request.urlopen(url, timeout=180) as told:
        return int(told.status)
    return int(HTTPStatus.NOT_FOUND)


def test_every_place_runs_topics_check_and_every_processor() -> None:
    places = [f"{overlay} by {how}" for overlay in OVERLAYS for how in RENDERERS]
    for place in ("compose", *places):
        ours = {each.argv[0] for each in CONTAINERS if each.where.startswith(place)}
        assert ours == {"topics", "check", "run"}, place
        run = {each.argv[1] for each in RUNNING if each.where.startswith(place)}
        assert run == set(PROCESSORS) == set(RUNNABLE), place


@pytest.mark.parametrize("container", CONTAINERS, ids=named)
def test_the_command_line_knows_every_command_and_flag(container: Container) -> None:
    assert container.options


def test_a_flag_that_does_not_exist_is_found() -> None:
    with pytest.raises(Exception, match="No such option"):
        parse(["run", "learner", "--instance-name=x"])


@pytest.mark.parametrize("container", CONTAINERS, ids=named)
def test_every_variable_is_known(container: Container) -> None:
    ours = {name for name in container.environ if name.startswith(PREFIX)}
    assert ours <= set(VARIABLES)
    assert set(container.environ) - ours <= NOT_OURS
    assert "TIDEMILL_BOOTSTRAP" in ours


@pytest.mark.parametrize("container", CONTAINERS, ids=named)
def test_topics_are_really_made_and_production_is_asked_for_where_it_is_one(
    container: Container,
) -> None:
    if container.argv[0] == "topics":
        is_production = container.where.startswith("production")
        assert container.options["execute"]
        assert container.options["production"] == is_production
        assert not container.options["short_retention"]


@pytest.mark.parametrize("container", CONTAINERS, ids=named)
def test_production_reaches_its_broker_encrypted_and_no_secret_is_an_argument(
    container: Container,
) -> None:
    pairs = dict(given.split("=", 1) for given in container.options["properties"] or ())
    is_production = container.where.startswith("production")
    assert pairs.get("security.protocol") == ("SSL" if is_production else None)
    assert all(name.endswith((".location", ".protocol")) for name in pairs)


@pytest.mark.parametrize("container", RUNNING, ids=named)
def test_fausts_client_has_a_word_for_all_that_is_said_of_security(container: Container) -> None:
    pairs = dict(given.split("=", 1) for given in container.options["properties"] or ())
    if not pairs:
        assert security_of(pairs) == {"security_protocol": "PLAINTEXT"}
        return
    with pytest.raises(ConfigError, match="must be readable") as refused:
        security_of(pairs)
    assert len(refused.value.problems) == 1, "no certificate lies here, and all else is understood"


@pytest.mark.parametrize("container", RUNNING, ids=named)
def test_the_settings_take_what_the_worker_is_given(container: Container, tmp_path: Path) -> None:
    given = container.options
    kind = SETTINGS[given["name"]]
    values = {
        "definition": tmp_path / "plant.yaml",
        "bootstrap": "kafka:9092",
        "signing_key": bytes(32),
        "redis_url": "redis://tidemill:secret@redis:6379/0",
        **{name: given[name] for name in ("instance", "probe_host", "probe_port")},
    }
    names = {field.name for field in fields(kind)}
    settings = kind(**{name: value for name, value in values.items() if name in names})
    assert settings.probe_host == "0.0.0.0", "probes come from outside the container"
    assert settings.probe_port


@pytest.mark.parametrize("container", RUNNING, ids=named)
def test_a_worker_has_the_secrets_that_its_settings_ask_for_and_no_others(
    container: Container,
) -> None:
    processor = container.argv[1]
    names = {field.name for field in fields(SETTINGS[processor])}
    assert ("signing_key" in names) == (processor in KEYED)
    assert ("TIDEMILL_SIGNING_KEY_FILE" in container.environ) == ("signing_key" in names)
    assert ("TIDEMILL_REDIS_URL" in container.environ) == ("redis_url" in names)


def test_no_two_workers_of_one_place_share_a_name() -> None:
    names = [each.options["instance"] for each in of_compose() if each.argv[0] == "run"]
    assert len(names) == len(set(names)) > 1
    for overlay in OVERLAYS:
        for each in RUNNING:
            if each.where.startswith(overlay):
                assert "--instance=$(POD_NAME)" in each.spec["args"]


@pytest.mark.parametrize("container", RUNNING, ids=named)
def test_probes_and_metrics_are_served_where_they_are_asked(
    container: Container, probes: str
) -> None:
    port = container.options["probe_port"]
    assert f"EXPOSE {port}\n" in DOCKERFILE
    if container.where == "compose":
        code = container.spec["healthcheck"]["test"][-1]
        compile(code, "healthcheck", "exec")
        asked = re.findall(r"http://127\.0\.0\.1:(\d+)(/\w+)", code)
        assert asked == [(str(port), "/readyz")]
    else:
        assert {"name": "probes", "containerPort": port} in container.spec["ports"]
        kinds = ("startupProbe", "livenessProbe", "readinessProbe")
        gets = [container.spec[kind]["httpGet"] for kind in kinds]
        assert {get["port"] for get in gets} == {"probes"}
        asked = [(str(port), get["path"]) for get in gets]
        assert [path for _, path in asked] == ["/livez", "/livez", "/readyz"]
    assert {status(probes, path) for _, path in asked} == {HTTPStatus.OK}
    assert status(probes, "/healthz") == HTTPStatus.NOT_FOUND


@pytest.mark.parametrize("how", RENDERERS)
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_worker_has_the_time_to_end_what_it_began(overlay: str, how: str) -> None:
    pods = dict(pod_specs(RENDERERS[how](overlay)))
    for name, ends_within_s in ENDS_WITHIN_S.items():
        assert pods[f"StatefulSet {name}"]["terminationGracePeriodSeconds"] > ends_within_s
    for each in of_compose():
        if each.argv[0] == "run":
            given = int(each.spec["stop_grace_period"].removesuffix("s"))
            assert given > ENDS_WITHIN_S[each.argv[1]]


@pytest.mark.parametrize("container", RUNNING, ids=named)
def test_a_live_probe_asks_often_enough_to_see_what_the_code_says(container: Container) -> None:
    if container.where != "compose":
        probe = container.spec["livenessProbe"]
        assert probe["periodSeconds"] * probe["failureThreshold"] <= LIVE_WITHIN_S


def test_the_image_runs_the_command_as_nobody_in_particular() -> None:
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["scripts"]
    entry = yaml.safe_load(re.findall(r"^ENTRYPOINT (.+)$", DOCKERFILE, re.MULTILINE)[-1])
    assert entry == list(scripts)
    (user,) = re.findall(r"^USER (\d+):(\d+)$", DOCKERFILE, re.MULTILINE)
    for overlay in OVERLAYS:
        for name, pod in pod_specs(RENDERERS["reading"](overlay)):
            if pod["containers"][0]["image"].startswith("tidemill:"):
                security = pod["securityContext"]
                assert (str(security["runAsUser"]), str(security["runAsGroup"])) == user, name


def test_what_the_image_is_built_from_is_there_and_not_ignored() -> None:
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().split() if line[0] == "!"}
    copied: set[str] = set()
    for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE):
        copied |= set(line.split()[:-1])
    assert copied == kept
    assert [name for name in sorted(copied) if not (ROOT / name).exists()] == []


def test_versions_of_the_images_are_those_of_the_project() -> None:
    release = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    lock = yaml.safe_load((ROOT / "services/tidemill/local/kafka.lock").read_text("utf-8"))
    images = {each["image"] for each in compose()["services"].values()}
    for overlay in OVERLAYS:
        for _, pod in pod_specs(RENDERERS["reading"](overlay)):
            images |= {each["image"] for each in pod["containers"]}
    assert {f"tidemill:{release}", f"apache/kafka:{lock['kafka']}"} < images
    others = {image.split(":")[0] for image in images}
    assert others == {"tidemill", "apache/kafka", "redis", "prom/prometheus"}
    assert len(images) == len(others), "the same version everywhere"
    (redis,) = (image for image in images if image.startswith("redis:"))
    assert re.fullmatch(r"redis:7\.2\.\d+-bookworm", redis), "the last line under a BSD licence"


def test_variables_of_the_compose_file_are_known_to_the_commands_run_beside_it() -> None:
    ours = {name for name, _, _ in references() if name.startswith(PREFIX)}
    assert ours <= set(VARIABLES)

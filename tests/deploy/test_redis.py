"""Redis in containers is the embedded one again: its rules, its user, its log of writes."""

from __future__ import annotations

import os
import random
import re
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
import yaml
from redis import Redis
from redis.exceptions import AuthenticationError, NoPermissionError, RedisError

from tidemill.local.ports import HOST, pick_port
from tidemill.local.redis_configuration import FIXED, redis_conf
from tidemill.local.redis_server import find_server
from tidemill.runtime.redis_client import RedisClient

from .compose import GIVEN, compose
from .kustomize import RENDERERS
from .workloads import all_containers, pod_specs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .kustomize import Object

SERVICE = compose()["services"]["redis"]
LAPTOP = {how: render("laptop") for how, render in RENDERERS.items()}
PORT = 6379
PASSWORD = GIVEN["REDIS_PASSWORD"]
URL = f"redis://tidemill:{PASSWORD}@redis:{PORT}/0"
EVERYWHERE = "bind * -::*"
DEADLINE_S = 120.0


def pod_of(objects: list[Object]) -> Object:
    return dict(pod_specs(objects))["StatefulSet redis"]


def container_of(objects: list[Object]) -> Object:
    (container,) = pod_of(objects)["containers"]
    return dict(container)


COMMANDS = {
    "compose": SERVICE["command"],
    **{f"laptop by {how}": container_of(objects)["args"] for how, objects in LAPTOP.items()},
}
each_place = pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS.keys())


def configuration(command: list[str]) -> list[str]:
    """Return the lines that the server reads."""
    shell, flag, script = command
    assert (shell, flag) == ("sh", "-c")
    first, *lines, last = script.strip().splitlines()
    assert (first, last) == ("exec redis-server - <<END", "END")
    return lines


@each_place
def test_it_is_configured_as_the_embedded_one_is(command: list[str]) -> None:
    lines = configuration(command)
    told = dict(line.split(" ", 1) for line in lines if not line.startswith("user "))
    embedded = {name: str(value) for name, value in FIXED.items()}
    shared = told.keys() & embedded.keys() - {"bind"}

    assert {name: told[name] for name in shared} == {name: embedded[name] for name in shared}
    assert shared == {"appendonly", "appendfsync", "save", "databases", "maxmemory-policy"}
    assert EVERYWHERE in lines
    assert (told["port"], told["dir"]) == (str(PORT), "/data")
    own = redis_conf(Path("/data"), PORT, PASSWORD, {}).splitlines()
    users = [
        re.sub(r"#\w{64}", ">$REDISCLI_AUTH", line) for line in own if line.startswith("user ")
    ]
    assert [line for line in lines if line.startswith("user ")] == users


@each_place
def test_the_password_is_in_no_argument(command: list[str]) -> None:
    assert PASSWORD not in " ".join(command)
    assert [word for word in command[-1].split() if "$" in word] == [">$REDISCLI_AUTH"]
    assert "$REDISCLI_AUTH" not in SERVICE["healthcheck"]["test"]


def test_the_password_has_no_default_and_comes_from_outside() -> None:
    assert SERVICE["environment"] == {"REDISCLI_AUTH": PASSWORD}
    for objects in LAPTOP.values():
        (variable,) = container_of(objects)["env"]
        assert variable["name"] == "REDISCLI_AUTH"
        assert variable["valueFrom"] == {
            "secretKeyRef": {"name": "tidemill-redis", "key": "password"}
        }


@pytest.fixture(scope="module", params=list(COMMANDS.values()), ids=list(COMMANDS))
def started(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[int]:
    """The very script, run by a shell, but for interface, port and folder; yields the port."""
    port, folder = pick_port(random.Random()), tmp_path_factory.mktemp("data")
    script = request.param[-1].replace(f"port {PORT}", f"port {port}")
    script = script.replace("dir /data", f"dir {folder}").replace(EVERYWHERE, f"bind {HOST}")
    program = find_server(os.environ).program
    environ = os.environ | {
        "PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}",
        "REDISCLI_AUTH": PASSWORD,
    }
    with (folder / "console").open("wb") as console:
        process = subprocess.Popen(["sh", "-c", script], env=environ, stdout=console)
    try:
        await_answer(port)
        yield port
    finally:
        process.kill()
        process.wait()


def client(port: int, **user: Any) -> Redis:  # Any: what redis-py takes
    return Redis(HOST, port, protocol=2, driver_info=None, **user)


def await_answer(port: int) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        with client(port, username="tidemill", password=PASSWORD) as asked:
            try:
                asked.ping()
            except RedisError:
                time.sleep(0.05)
            else:
                return
    raise AssertionError(f"no Redis at {port} after {DEADLINE_S:g} s")


def test_the_mesh_is_taken_by_the_server_that_the_script_starts(started: int) -> None:
    url = urlsplit(URL)
    asked = RedisClient(
        url._replace(netloc=url.netloc.replace(f"redis:{PORT}", f"{HOST}:{started}")).geturl()
    )
    try:
        asked.check()
        assert asked.run(lambda redis: redis.set("tidemill:a", b"1"))
        assert (
            asked.run(
                lambda redis: redis.eval("return redis.call('get', KEYS[1])", 1, "tidemill:a")
            )
            == b"1"
        )
    finally:
        asked.close()


def test_nobody_gets_in_without_the_password_nor_beyond_our_keys(started: int) -> None:
    with client(started) as stranger, pytest.raises(AuthenticationError):
        stranger.ping()
    with (
        client(started, username="tidemill", password="wrong") as stranger,
        pytest.raises(AuthenticationError),
    ):
        stranger.ping()
    with client(started, username="tidemill", password=PASSWORD) as known:
        with pytest.raises(NoPermissionError):
            known.set("another:a", b"1")
        with pytest.raises(NoPermissionError):
            known.config_get("dir")


def test_what_does_not_fit_is_refused_before_the_container_is_killed() -> None:
    limits = {"compose": SERVICE["mem_limit"].removesuffix("m")}
    for how, objects in LAPTOP.items():
        limit = container_of(objects)["resources"]["limits"]["memory"]
        limits[f"laptop by {how}"] = limit.removesuffix("Mi")
    for place, command in COMMANDS.items():
        (memory,) = re.findall(r"^maxmemory (\d+)mb$", command[-1], re.MULTILINE)
        assert 2 * int(memory) < int(limits[place]), (
            "while it rewrites its log it may need it twice"
        )


def test_what_it_writes_outlives_its_container() -> None:
    assert SERVICE["volumes"] == ["redis:/data"]
    assert "redis" in compose()["volumes"]
    for objects in LAPTOP.values():
        assert container_of(objects)["volumeMounts"] == [{"name": "data", "mountPath": "/data"}]


def test_the_container_is_closed_and_is_the_images_own_user() -> None:
    assert SERVICE["read_only"]
    assert SERVICE["cap_drop"] == ["ALL"]
    assert SERVICE["security_opt"] == ["no-new-privileges:true"]
    assert SERVICE["user"] == "999:999"
    for objects in LAPTOP.values():
        security = pod_of(objects)["securityContext"]
        names = ("runAsUser", "runAsGroup", "fsGroup")
        assert {security[name] for name in names} == {999}


def test_only_the_labeller_reaches_it() -> None:
    document = compose()
    assert "ports" not in SERVICE
    assert document["networks"]["redis"]["internal"]
    near = {
        name for name, each in document["services"].items() if "redis" in each.get("networks", ())
    }
    assert near == {"redis", "labeller-0"}
    for objects in LAPTOP.values():
        (policy,) = (each["spec"] for each in objects if each["kind"] == "NetworkPolicy")
        assert policy["podSelector"]["matchLabels"] == {"app.kubernetes.io/name": "redis"}
        assert policy["policyTypes"] == ["Ingress"]
        (rule,) = policy["ingress"]
        (source,) = rule["from"]
        assert source == {"podSelector": {"matchLabels": {"app.kubernetes.io/name": "labeller"}}}
        assert [port["port"] for port in rule["ports"]] == [PORT]


def test_only_the_labeller_is_given_its_address() -> None:
    for each in all_containers():
        is_labeller = each.argv[:2] == ("run", "labeller")
        assert ("TIDEMILL_REDIS_URL" in each.environ) == is_labeller, each.where
        if is_labeller and each.where == "compose":
            assert each.environ["TIDEMILL_REDIS_URL"] == URL
        elif is_labeller:
            (variable,) = (one for one in each.spec["env"] if one["name"] == "TIDEMILL_REDIS_URL")
            source = {"secretKeyRef": {"name": "tidemill-redis", "key": "url"}}
            assert variable["valueFrom"] == source


def test_it_listens_where_the_address_says() -> None:
    for objects in LAPTOP.values():
        assert container_of(objects)["ports"] == [{"name": "clients", "containerPort": PORT}]
        (service,) = (
            each["spec"]
            for each in objects
            if (each["kind"], each["metadata"]["name"]) == ("Service", "redis")
        )
        (port,) = service["ports"]
        assert (port["port"], port["targetPort"]) == (PORT, "clients")
        labels = {"app.kubernetes.io/name": "redis"}
        assert service["selector"] == labels


def test_it_is_ready_once_its_log_is_read_and_alive_before() -> None:
    asked = ["redis-cli", "-e", "--user", "tidemill", "ping"]
    assert SERVICE["healthcheck"]["test"] == ["CMD", *asked]
    for objects in LAPTOP.values():
        container = container_of(objects)
        assert container["readinessProbe"]["exec"]["command"] == asked
        for probe in ("startupProbe", "livenessProbe"):
            assert container[probe]["tcpSocket"] == {"port": "clients"}


def test_production_brings_none_of_it() -> None:
    for render in RENDERERS.values():
        text = yaml.safe_dump(render("production"))
        assert "name: redis\n" not in text
        assert "image: redis" not in text

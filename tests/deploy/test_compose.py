"""docker-compose.yml starts with what it needs and refuses to start without."""

from __future__ import annotations

import pytest

from tidemill.local.configuration import FIXED

from .compose import GIVEN, MissingError, compose, references
from .kustomize import ROOT
from .workloads import KEYED, PROCESSORS, of_compose

SERVICES = compose()["services"]
OURS = {name: each for name, each in SERVICES.items() if each["image"].startswith("tidemill:")}


def test_it_asks_for_the_needed_variables_only() -> None:
    needed = {name for name, rule, _ in references() if rule == ":?"}
    assert needed == set(GIVEN)
    assert {name for name, rule, _ in references() if rule == ":-"} == {"PLANT"}
    assert all(rest for _, _, rest in references()), "what is missing must be said"


@pytest.mark.parametrize("missing", sorted(GIVEN))
def test_it_refuses_to_start_without(missing: str) -> None:
    with pytest.raises(MissingError, match=missing):
        compose({name: value for name, value in GIVEN.items() if name != missing})
    with pytest.raises(MissingError, match=missing):
        compose({**GIVEN, missing: ""})


def test_the_signing_key_has_no_default_and_is_no_variable_of_a_container() -> None:
    document = compose({**GIVEN, "TIDEMILL_SIGNING_KEY_FILE": "/keys/mine"})
    assert document["secrets"] == {"signing_key": {"file": "/keys/mine"}}
    keyed = {each.name for each in of_compose() if each.argv[:2] in {("run", one) for one in KEYED}}
    for name, each in document["services"].items():
        if name in keyed:
            assert each["secrets"] == ["signing_key"]
            assert each["environment"]["TIDEMILL_SIGNING_KEY_FILE"] == "/run/secrets/signing_key"
        else:
            assert "secrets" not in each, name
            assert "TIDEMILL_SIGNING_KEY_FILE" not in each.get("environment", {}), name


@pytest.mark.parametrize("name", sorted(OURS))
def test_our_containers_may_write_nothing_and_gain_nothing(name: str) -> None:
    each = OURS[name]
    assert each["read_only"]
    assert each["cap_drop"] == ["ALL"]
    assert each["user"] == GIVEN["MESH_USER"]
    assert "no-new-privileges:true" in each["security_opt"]
    assert all(volume.endswith(":ro") for volume in each["volumes"])


def test_its_kafka_keeps_offsets_in_segments_as_short_as_the_embedded_one() -> None:
    given = SERVICES["kafka"]["environment"]["KAFKA_OFFSETS_TOPIC_SEGMENT_BYTES"]
    assert int(given) == FIXED["offsets.topic.segment.bytes"]


def test_nothing_is_reached_from_another_machine() -> None:
    ports = [port for each in SERVICES.values() for port in each.get("ports", ())]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_what_is_mounted_from_the_tree_is_there() -> None:
    volumes = [volume for each in SERVICES.values() for volume in each.get("volumes", ())]
    paths = {volume.split(":")[0] for volume in volumes if volume.startswith(".")}
    assert "./examples/bottling" in paths
    assert [path for path in sorted(paths) if not (ROOT / path).exists()] == []


def test_each_starts_after_what_it_needs() -> None:
    def after(name: str) -> dict[str, str]:
        needed = SERVICES[name].get("depends_on", {})
        return {each: how["condition"] for each, how in needed.items()}

    assert all("healthcheck" in SERVICES[name] for name in ("kafka", "redis"))
    assert after("topics") == {"kafka": "service_healthy"}
    assert after("check") == {"topics": "service_completed_successfully"}
    workers = {each.name: each.argv[1] for each in of_compose() if each.argv[0] == "run"}
    assert set(workers.values()) == set(PROCESSORS)
    for name, processor in workers.items():
        own = {"redis": "service_healthy"} if processor == "labeller" else {}
        assert after(name) == {"check": "service_completed_successfully", **own}


def test_clients_inside_find_the_broker_where_it_listens() -> None:
    environ = SERVICES["kafka"]["environment"]
    assert "PLAINTEXT://kafka:9092" in environ["KAFKA_ADVERTISED_LISTENERS"].split(",")
    assert "PLAINTEXT://:9092" in environ["KAFKA_LISTENERS"].split(",")
    assert {each["environment"]["TIDEMILL_BOOTSTRAP"] for each in OURS.values()} == {"kafka:9092"}
    (port,) = SERVICES["kafka"]["ports"]
    outside = port.split(":")[-1]
    assert f"HOST://localhost:{outside}" in environ["KAFKA_ADVERTISED_LISTENERS"].split(",")
    assert f"HOST://:{outside}" in environ["KAFKA_LISTENERS"].split(",")

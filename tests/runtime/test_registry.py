"""A registry's ids: looked up by who writes, registered on deploy, failures in plain words."""

from __future__ import annotations

import socket

import pytest

from tidemill.kernel.errors import ConfigError
from tidemill.runtime.registry import Registry, registered, subject, writers

from .fake_registry import serving
from .plants import PRESS

TOPIC = "sensor.events"


def test_a_record_has_a_subject_of_its_own_on_a_shared_topic() -> None:
    assert subject(TOPIC, PRESS) == "sensor.events-plant.Press"


def test_what_is_registered_is_found_again_under_the_same_id() -> None:
    with serving() as fake:
        registry = Registry(fake.url)

        assert registry.find(TOPIC, PRESS) is None
        schema_id = registry.register(TOPIC, PRESS)
        assert registry.find(TOPIC, PRESS) == schema_id
        assert registered(Registry(fake.url), TOPIC, PRESS) == schema_id
        assert registry.schema(schema_id) == PRESS
        assert registry.schema(schema_id + 1) is None
        assert fake.compatibility == {"sensor.events-plant.Press": "FULL_TRANSITIVE"}


def test_a_refusal_names_the_subject_and_the_rule() -> None:
    with serving() as fake:
        fake.refuses = True

        with pytest.raises(ConfigError, match=r"sensor\.events-plant\.Press: must be compatible"):
            Registry(fake.url).register(TOPIC, PRESS)


def test_a_writer_never_registers() -> None:
    registry = Registry("mock://two")

    with pytest.raises(ConfigError, match="must be registered; run `tidemill schemas register"):
        registered(registry, TOPIC, PRESS)
    assert registry.find(TOPIC, PRESS) is None


def test_a_registry_that_does_not_answer_is_a_configuration_error() -> None:
    with socket.socket() as taken:  # bound and not listening: connections are refused
        taken.bind(("127.0.0.1", 0))
        registry = Registry(f"http://127.0.0.1:{taken.getsockname()[1]}")

        with pytest.raises(ConfigError, match=r"http://127.0.0.1:\d+ must answer, found"):
            registry.find(TOPIC, PRESS)


def test_a_url_that_is_none_is_a_configuration_error() -> None:
    with pytest.raises(ConfigError, match="must be the registry's URL"):
        Registry("not a url")


def test_every_version_of_a_record_is_known_by_its_id() -> None:
    newer = {**PRESS, "fields": [*PRESS["fields"], {"name": "more", "type": "int", "default": 0}]}
    with serving() as fake:
        registry = Registry(fake.url)
        first = registry.register("sensor.events", PRESS)
        second = registry.register("sensor.events", newer)
        name = "plant.Press"

        assert registry.versions("sensor.events", name) == {first: PRESS, second: newer}
        assert registry.versions("plant.labels", name) == {}


TREE = {"type": "record", "name": "T", "fields": [{"name": "n", "type": ["null", "T"]}]}


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ([{"name": "t", "type": TREE}], "plant.T must not hold itself"),
        ([{"name": "l", "type": {"type": "array", "items": "null"}}], "must take at least a byte"),
        ([{"name": "o", "type": "plant.Other"}], "that defines every type it names"),
    ],
)
def test_a_version_that_no_reader_should_be_given_is_refused_with_its_id(
    fields: list[object], problem: str
) -> None:
    worse = {**PRESS, "fields": [*PRESS["fields"], *fields]}
    with serving() as fake:
        registry = Registry(fake.url)
        first = registry.register(TOPIC, PRESS)
        assert writers(registry, TOPIC, ["plant.Press"]) == {first: PRESS}
        second = registry.register(TOPIC, worse)

        with pytest.raises(ConfigError) as refusal:
            writers(registry, TOPIC, ["plant.Press"])
    (found,) = refusal.value.problems
    assert found.startswith(f"sensor.events-plant.Press, id {second}: ")
    assert problem in found


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('"string"', "must be the record plant.Press, was 'string'"),
        ("null", "must be an Avro schema that defines every type it names"),
        ('{"type": "enum", "name": "plant.Press", "symbols": ["A"]}', "must be the record"),
        ('{"type": "record", "name": "plant.Pump", "fields": []}', "was plant.Pump"),
        ('{"type": "record", "name": "plant.Press", "fields": [1]}', "must be an Avro schema"),
        ('syntax = "proto3";', "must be an Avro schema"),
    ],
)
def test_what_is_not_the_record_is_refused(text: str, problem: str) -> None:
    with serving() as fake:
        fake.texts.append(text)
        fake.subjects[f"{TOPIC}-plant.Press"] = [1]

        with pytest.raises(ConfigError, match="id 1: ") as refusal:
            writers(Registry(fake.url), TOPIC, ["plant.Press"])
    assert problem in str(refusal.value)


def test_every_problem_of_every_record_is_told_at_once() -> None:
    with serving() as fake:
        fake.texts += ['"int"', '"long"']
        fake.subjects |= {f"{TOPIC}-plant.A": [1], f"{TOPIC}-plant.B": [2]}

        with pytest.raises(ConfigError) as refusal:
            writers(Registry(fake.url), TOPIC, ["plant.A", "plant.B"])
    assert [problem.partition(":")[0] for problem in refusal.value.problems] == [
        "sensor.events-plant.A, id 1",
        "sensor.events-plant.B, id 2",
    ]

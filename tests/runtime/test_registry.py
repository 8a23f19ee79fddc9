"""A registry's ids: looked up by who writes, registered on deploy, failures in plain words."""

from __future__ import annotations

import socket

import pytest

from tidemill.kernel.errors import ConfigError
from tidemill.runtime.registry import Registry, registered, subject

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

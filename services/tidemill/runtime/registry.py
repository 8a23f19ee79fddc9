"""A Schema Registry's ids for the plant's records and ours."""

from __future__ import annotations

import json
from contextlib import closing
from typing import TYPE_CHECKING

from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.error import SchemaRegistryError
from httpx2 import HTTPError

from tidemill.contracts.codec import record_name
from tidemill.contracts.plant_schemas import check_writer
from tidemill.kernel.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tidemill.contracts.codec import JsonSchema

REGISTRY_VARIABLE = "TIDEMILL_SCHEMA_REGISTRY_URL"
COMPATIBILITY = "FULL_TRANSITIVE"
BACKWARD = "BACKWARD_TRANSITIVE"
_TIMEOUT_S = 10
_RETRIES = 2
_NOT_FOUND = 404
_CONFLICT = 409


class UnreachableError(ConfigError):
    """The registry does not answer, or not as one."""


class RefusedError(ConfigError):
    """A schema that the registry does not take beside the versions it has."""


class Registry:
    """One registry; subjects follow TopicRecordNameStrategy, so that events may share a topic."""

    def __init__(self, url: str) -> None:
        self._url = url
        try:
            self._asking().close()
        except (ValueError, TypeError) as error:
            reason = f"must be the registry's URL, was {url}: {error}"
            raise ConfigError([f"{REGISTRY_VARIABLE}: {reason}"]) from error

    def _asking(self) -> SchemaRegistryClient:
        """Return a client, to be closed: it is asked seldom, and keeps a connection."""
        return SchemaRegistryClient.new_client(
            {"url": self._url, "timeout": _TIMEOUT_S, "max.retries": _RETRIES}
        )

    def find(self, topic: str, schema: JsonSchema) -> int | None:
        """Return the id of `schema` on `topic`, or None where it is not registered.

        Raises:
            ConfigError: The registry does not answer as one.
        """
        try:
            with closing(self._asking()) as client:
                found = client.lookup_schema(subject(topic, schema), _avro(schema))
        except SchemaRegistryError as error:
            if error.http_status_code == _NOT_FOUND:
                return None
            raise self._failure(error) from error
        except HTTPError as error:
            raise self._failure(error) from error
        return found.schema_id

    def register(self, topic: str, schema: JsonSchema, *, level: str = COMPATIBILITY) -> int:
        """Register `schema` on `topic` under a level of compatibility; return its id.

        Raises:
            RefusedError: It is not compatible with what is registered.
            ConfigError: The registry does not answer as one.
        """
        name = subject(topic, schema)
        try:
            with closing(self._asking()) as client:
                client.set_compatibility(subject_name=name, level=level)
                return client.register_schema(name, _avro(schema))
        except SchemaRegistryError as error:
            if error.http_status_code == _CONFLICT:
                raise refused(name, level, error.error_message) from error
            raise self._failure(error) from error
        except HTTPError as error:
            raise self._failure(error) from error

    def schema(self, schema_id: int) -> JsonSchema | None:
        """Return the schema with this id, or None where there is none.

        Raises:
            ConfigError: The registry does not answer as one.
        """
        try:
            with closing(self._asking()) as client:
                found = client.get_schema(schema_id)
        except SchemaRegistryError as error:
            if error.http_status_code == _NOT_FOUND:
                return None
            raise self._failure(error) from error
        except HTTPError as error:
            raise self._failure(error) from error
        return json.loads(found.schema_str or "null")

    def versions(self, topic: str, name: str) -> dict[int, JsonSchema]:
        """Return every registered version of a record on a topic by id; empty where there is none.

        What is not JSON, a schema of another kind, comes as its text.

        Raises:
            ConfigError: The registry does not answer as one.
        """
        try:
            with closing(self._asking()) as client:
                versions = client.get_versions(f"{topic}-{name}")
                found = [client.get_version(f"{topic}-{name}", version) for version in versions]
        except SchemaRegistryError as error:
            if error.http_status_code == _NOT_FOUND:
                return {}
            raise self._failure(error) from error
        except HTTPError as error:
            raise self._failure(error) from error
        known: dict[int, JsonSchema] = {}
        for each in found:
            assert each.schema_id is not None
            text = each.schema.schema_str or "null"
            try:
                known[each.schema_id] = json.loads(text)
            except ValueError:
                known[each.schema_id] = text
        return known

    def _failure(self, error: Exception) -> UnreachableError:
        return UnreachableError([f"{REGISTRY_VARIABLE}: {self._url} must answer, found {error}"])


def refused(name: str, level: str, found: str) -> RefusedError:
    """Return the error for a schema that breaks the rule of its subject."""
    wants = (
        "give an added field a default, keep the types of those there are, rename by an alias; a "
        "promoted type passes with --backward, for the plant's own records"
        if level == COMPATIBILITY
        else "give an added field a default, rename by an alias, only widen types"
    )
    reason = f"must be compatible with every version registered ({level}), found: {found}; {wants}"
    return RefusedError([f"{name}: {reason}"])


def registered(registry: Registry, topic: str, schema: JsonSchema) -> int:
    """Return the id of `schema` on `topic`.

    Raises:
        ConfigError: It is not registered: that is done on deploy, never by who writes records.
    """
    found = registry.find(topic, schema)
    if found is None:
        reason = "must be registered; run `tidemill schemas register --execute`"
        raise ConfigError([f"{subject(topic, schema)}: {reason}"])
    return found


def writers(registry: Registry, topic: str, records: Iterable[str]) -> dict[int, JsonSchema]:
    """Return every registered version of some records on a topic by id, fit to be read by.

    Raises:
        ConfigError: With everything that is wrong with them, or the registry does not answer.
    """
    found: dict[int, JsonSchema] = {}
    problems: list[str] = []
    for name in records:
        versions = registry.versions(topic, name)
        problems += [
            f"{topic}-{name}, id {schema_id}: {problem}; delete this version in the registry"
            for schema_id, schema in versions.items()
            for problem in check_writer(schema, name)
        ]
        found |= versions
    if problems:
        raise ConfigError(problems)
    return found


def subject(topic: str, schema: JsonSchema) -> str:
    """Return the subject of a record on a topic: TopicRecordNameStrategy."""
    return f"{topic}-{record_name(schema)}"


def _avro(schema: JsonSchema) -> Schema:
    return Schema(json.dumps(schema, separators=(",", ":")), "AVRO")

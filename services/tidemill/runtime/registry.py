"""A Schema Registry's ids for the plant's records and ours."""

from __future__ import annotations

import json
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
_TIMEOUT_S = 10
_RETRIES = 2
_NOT_FOUND = 404
_CONFLICT = 409


class Registry:
    """One registry; subjects follow TopicRecordNameStrategy, so that events may share a topic."""

    def __init__(self, url: str) -> None:
        self._url = url
        try:
            self._client = SchemaRegistryClient.new_client(
                {"url": url, "timeout": _TIMEOUT_S, "max.retries": _RETRIES}
            )
        except (ValueError, TypeError) as error:
            reason = f"must be the registry's URL, was {url}: {error}"
            raise ConfigError([f"{REGISTRY_VARIABLE}: {reason}"]) from error

    def find(self, topic: str, schema: JsonSchema) -> int | None:
        """Return the id of `schema` on `topic`, or None where it is not registered.

        Raises:
            ConfigError: The registry does not answer as one.
        """
        try:
            found = self._client.lookup_schema(subject(topic, schema), _avro(schema))
        except SchemaRegistryError as error:
            if error.http_status_code == _NOT_FOUND:
                return None
            raise self._failure(error) from error
        except HTTPError as error:
            raise self._failure(error) from error
        return found.schema_id

    def register(self, topic: str, schema: JsonSchema) -> int:
        """Register `schema` on `topic` under FULL_TRANSITIVE; return its id.

        Raises:
            ConfigError: The registry refuses it or does not answer as one.
        """
        name = subject(topic, schema)
        try:
            self._client.set_compatibility(subject_name=name, level=COMPATIBILITY)
            return self._client.register_schema(name, _avro(schema))
        except SchemaRegistryError as error:
            if error.http_status_code == _CONFLICT:
                reason = f"must be compatible ({COMPATIBILITY}) with what is registered, {error}"
                raise ConfigError([f"{name}: {reason}"]) from error
            raise self._failure(error) from error
        except HTTPError as error:
            raise self._failure(error) from error

    def schema(self, schema_id: int) -> JsonSchema | None:
        """Return the schema with this id, or None where there is none.

        Raises:
            ConfigError: The registry does not answer as one.
        """
        try:
            found = self._client.get_schema(schema_id)
        except SchemaRegistryError as error:
            if error.http_status_code == _NOT_FOUND:
                return None
            raise self._failure(error) from error
        except HTTPError as error:
            raise self._failure(error) from error
        return json.loads(found.schema_str or "null")

    def versions(self, topic: str, name: str) -> dict[int, JsonSchema]:
        """Return every registered version of a record on a topic by id; empty where there is none.

        Raises:
            ConfigError: The registry does not answer as one.
        """
        try:
            found = [
                self._client.get_version(f"{topic}-{name}", version)
                for version in self._client.get_versions(f"{topic}-{name}")
            ]
        except SchemaRegistryError as error:
            if error.http_status_code == _NOT_FOUND:
                return {}
            raise self._failure(error) from error
        except HTTPError as error:
            raise self._failure(error) from error
        known: dict[int, JsonSchema] = {}
        for each in found:
            assert each.schema_id is not None
            try:
                known[each.schema_id] = json.loads(each.schema.schema_str or "null")
            except ValueError as error:
                reason = f"must be an Avro schema, is {each.schema.schema_type}: {error}"
                raise ConfigError([f"{topic}-{name}, id {each.schema_id}: {reason}"]) from error
        return known

    def _failure(self, error: Exception) -> ConfigError:
        return ConfigError([f"{REGISTRY_VARIABLE}: {self._url} must answer, found {error}"])


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

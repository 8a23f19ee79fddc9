"""Schemas of the plant that came up while a worker runs: looked up in the lock and the registry."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tidemill.contracts.avro import full_name
from tidemill.contracts.id_lock import LOCK_FILE, read_lock
from tidemill.contracts.plant_schemas import check_writer
from tidemill.contracts.topics import EVENTS
from tidemill.kernel.errors import DependencyUnavailableError
from tidemill.runtime.registry import Registry, UnreachableError, writers

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from pathlib import Path

    from tidemill.contracts.codec import JsonSchema
    from tidemill.runtime.plant_files import Plant

# An id that nobody knew is not asked for again for so long.
ASK_AGAIN_S = 10.0
# So many of them are remembered: anyone can write any bytes.
MOST_REMEMBERED = 10_000
RETRY_S = 2.0


def schemas_of(
    plant: Plant, definition: Path, registry_url: str | None
) -> tuple[dict[int, JsonSchema], PlantSchemas]:
    """Return what a plant's events may be written with: known as of this start, and found later.

    Args:
        definition: The plant's file, beside which its schemas lie.
        registry_url: The Schema Registry, if there is one.

    Raises:
        ConfigError: A version there must not be read by, or the registry does not answer.
    """
    records = list(dict.fromkeys(stream.event for stream in plant.definition.streams))
    registry = None if registry_url is None else Registry(registry_url)
    registered = {} if registry is None else writers(registry, EVENTS, records)
    lock = definition.parent / plant.definition.schemas / LOCK_FILE
    return {**plant.writer_schemas, **registered}, PlantSchemas(lock, registry, records)


class PlantSchemas:
    """Finds schemas by id; see `tidemill.kernel.processor.SchemaSource`.

    What must not be read by is passed over, as if it were not there: at its start a worker names
    it, but while it runs nobody is to stop it from elsewhere.

    Args:
        lock: The file of the plant's locked ids; read anew each time.
        registry: The Schema Registry, if there is one.
        records: Full names of the records that the plant's streams read.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        lock: Path,
        registry: Registry | None,
        records: Sequence[str],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._lock = lock
        self._registry = registry
        self._records = records
        self._clock = clock
        self._known: dict[int, JsonSchema] = {}
        self._asked: dict[int, float] = {}

    def __call__(self, ids: Collection[int], /) -> dict[int, JsonSchema]:
        """Return those of the ids that there is a schema for.

        Raises:
            DependencyUnavailableError: The registry does not answer.
        """
        now = self._clock()
        long_ago = now - ASK_AGAIN_S
        missing = [n for n in ids if n not in self._known]
        if any(self._asked.get(n, long_ago) <= long_ago for n in missing):
            self._known |= {**self._locked(), **self._registered()}
            if len(self._asked) > MOST_REMEMBERED:
                self._asked.clear()
            self._asked.update(dict.fromkeys(missing, now))
        return {n: self._known[n] for n in ids if n in self._known}

    def _locked(self) -> dict[int, JsonSchema]:
        try:
            lock = read_lock(self._lock.read_text("utf-8"))
        except (OSError, ValueError):
            return {}  # `check` and the next start say what is wrong with it
        named = {n: s for n, s in lock.items() if isinstance(s.get("name"), str)}
        return {n: s for n, s in named.items() if not check_writer(s, full_name(s))}

    def _registered(self) -> dict[int, JsonSchema]:
        if self._registry is None:
            return {}
        try:
            found = {name: self._registry.versions(EVENTS, name) for name in self._records}
        except UnreachableError as error:
            raise DependencyUnavailableError(str(error), retry_after_s=RETRY_S) from error
        return {
            n: schema
            for name, versions in found.items()
            for n, schema in versions.items()
            if not check_writer(schema, name)
        }

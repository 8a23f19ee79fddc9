"""Schema ids without a registry: a committed file that only ever grows."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tidemill.contracts.avro import full_name, normal_form

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tidemill.contracts.codec import JsonSchema

OUR_IDS_START = 1_500_000_000
PLANT_IDS_START = 1_500_001_000
LOCK_FILE = "ids.lock.json"


def lock_ids(
    lock: Mapping[int, JsonSchema], schemas: Iterable[JsonSchema], start: int
) -> dict[int, JsonSchema]:
    """Return `lock` with an id for each of `schemas` that it does not hold yet.

    A schema that differs only in its commentary (doc) keeps its id. Nothing is ever removed or
    numbered anew, for records with these ids are on the log.
    """
    grown = dict(sorted(lock.items()))
    for schema in sorted(schemas, key=full_name):
        if locked_id(grown, schema) is None:
            grown[max(grown, default=start - 1) + 1] = schema
    return grown


def locked_id(lock: Mapping[int, JsonSchema], schema: JsonSchema) -> int | None:
    """Return the id that `schema` has in `lock`, or None."""
    normal = normal_form(schema)
    return next((key for key, locked in lock.items() if normal_form(locked) == normal), None)


def read_lock(text: str) -> dict[int, JsonSchema]:
    """Return the schemas in a lock file by id.

    Raises:
        ValueError: The text is not a lock file.
    """
    value = json.loads(text)
    ids = value.get("ids") if isinstance(value, dict) else None
    if not isinstance(ids, dict) or not all(isinstance(s, dict) for s in ids.values()):
        msg = 'must be {"ids": {"<id>": <schema>, ...}}'
        raise ValueError(msg)
    return {int(key): schema for key, schema in sorted(ids.items(), key=lambda item: int(item[0]))}


def lock_text(lock: Mapping[int, JsonSchema]) -> str:
    """Return the text of a lock file."""
    ids = {str(key): lock[key] for key in sorted(lock)}
    return json.dumps({"ids": ids}, indent=1, ensure_ascii=False) + "\n"

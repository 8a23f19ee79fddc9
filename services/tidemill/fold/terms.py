"""The terms under which records are read: definition and schemas, as the ledger keeps them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

from tidemill.contracts.definition import PlantDefinition
from tidemill.contracts.stream import ASSET_TYPE
from tidemill.fold.ledger import Action
from tidemill.fold.past import FIRST_TERMS, Past

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tidemill.contracts.codec import JsonSchema
    from tidemill.fold.past import Floor

KIND = "definition"


@dataclass(frozen=True)
class Terms:
    """A plant's definition and its writer schemas by id: all that the fold knows of a plant.

    Attributes:
        past: What was in force before on the partition; no part of what tells terms apart.
    """

    definition: PlantDefinition
    schemas: Mapping[int, JsonSchema]
    past: Past = field(default=FIRST_TERMS, compare=False)

    @cached_property
    def _texts(self) -> tuple[str, str]:
        schemas = {str(schema_id): self.schemas[schema_id] for schema_id in sorted(self.schemas)}
        return self.definition.canonical(), json.dumps(schemas, sort_keys=True)

    @cached_property
    def digest(self) -> bytes:
        """SHA-256 of both, canonically."""
        definition, schemas = self._texts
        return hashlib.sha256(f"{len(definition)}:{definition}{schemas}".encode()).digest()

    @cached_property
    def definition_digest(self) -> str:
        """SHA-256 of the definition alone, in hex."""
        return hashlib.sha256(self._texts[0].encode()).hexdigest()

    @property
    def models(self) -> set[tuple[str, str]]:
        """Stream and name of every model."""
        return {
            (stream.name, name) for stream in self.definition.streams for name in stream.pipelines
        }

    def has(self, stream: str, asset: str, model: str) -> bool:
        """Return whether there is such a model; those of asset types where new ones start so."""
        if (stream, model) not in self.models:
            return False
        starts = {each.name: each.start_from for each in self.definition.streams}
        return asset != ASSET_TYPE or starts[stream] == "stream"

    def reads_all_of(self, other: Terms) -> bool:
        """Return whether these are the same definition with every schema of `other`."""
        is_same = self.definition_digest == other.definition_digest
        return is_same and all(self.schemas.get(n) == schema for n, schema in other.schemas.items())

    def after(
        self, before: Terms, *, entry: int, retired: Mapping[tuple[str, str], Floor]
    ) -> Terms:
        """Return these terms as they replace others at a ledger entry.

        Schemas are only ever added while the definition stays: workers that asked the registry at
        different times must not take them from one another.
        """
        now, then = self.definition_digest, before.definition_digest
        schemas = self.schemas if now != then else {**before.schemas, **self.schemas}
        past = before.past.then(then, now, entry=entry, retired=retired)
        return replace(self, schemas=schemas, past=past)

    def action(self) -> Action:
        """Return the ledger action that puts these terms in force."""
        definition, schemas = self._texts
        detail = {
            "definition": definition,
            "schemas": schemas,
            "digest": self.digest.hex(),
            "past": self.past.text(),
        }
        return Action(KIND, detail)

    @classmethod
    def of(cls, action: Action) -> Terms:
        """Return the terms that an action put in force."""
        schemas = {int(key): value for key, value in json.loads(action.detail["schemas"]).items()}
        past = Past.of(action.detail["past"]) if "past" in action.detail else FIRST_TERMS
        return cls(PlantDefinition.from_canonical(action.detail["definition"]), schemas, past)

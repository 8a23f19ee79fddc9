"""The terms under which records are read: definition and schemas, as the ledger keeps them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from tidemill.contracts.definition import PlantDefinition
from tidemill.fold.ledger import Action

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tidemill.contracts.codec import JsonSchema

KIND = "definition"


@dataclass(frozen=True)
class Terms:
    """A plant's definition and its writer schemas by id: all that the fold knows of a plant."""

    definition: PlantDefinition
    schemas: Mapping[int, JsonSchema]

    @cached_property
    def _texts(self) -> tuple[str, str]:
        schemas = {str(schema_id): self.schemas[schema_id] for schema_id in sorted(self.schemas)}
        return self.definition.canonical(), json.dumps(schemas, sort_keys=True)

    @cached_property
    def digest(self) -> bytes:
        """SHA-256 of both, canonically."""
        definition, schemas = self._texts
        return hashlib.sha256(f"{len(definition)}:{definition}{schemas}".encode()).digest()

    def action(self) -> Action:
        """Return the ledger action that puts these terms in force."""
        definition, schemas = self._texts
        detail = {"definition": definition, "schemas": schemas, "digest": self.digest.hex()}
        return Action(KIND, detail)

    @classmethod
    def of(cls, action: Action) -> Terms:
        """Return the terms that an action put in force."""
        schemas = {int(key): value for key, value in json.loads(action.detail["schemas"]).items()}
        return cls(PlantDefinition.from_canonical(action.detail["definition"]), schemas)

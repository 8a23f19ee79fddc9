"""Where an explainer stands in the ledger: saved with every transaction, beside its models."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from tidemill.kernel.errors import InvariantError
from tidemill.models.state import ModelKey

KEY = ModelKey("", "", "place")


@dataclass(frozen=True, slots=True)
class Place:
    """How far the ledger was followed.

    Attributes:
        sequence: Of the last entry that was followed.
        offset: Of the next ledger record to read.
        hash: Of that entry, in hex.
        resume: After which entry a re-fold from the saved states starts.
    """

    sequence: int
    offset: int
    hash: str
    resume: int

    def encode(self) -> bytes:
        """Return the bytes to save."""
        return json.dumps(asdict(self), separators=(",", ":")).encode()

    @classmethod
    def decode(cls, state: bytes) -> Place:
        """Return what `encode` was given.

        Raises:
            InvariantError: Other bytes.
        """
        try:
            return cls(**json.loads(state))
        except (ValueError, TypeError) as error:
            msg = f"the saved place of an explainer must be one, was {state[:60]!r}: {error}"
            raise InvariantError(msg) from error

"""Plain values with bytes among them as JSON, and back."""

from __future__ import annotations

import base64
import json
from typing import Any

from tidemill.kernel.errors import InvariantError

_BYTES = "base64"


def packed(value: Any) -> bytes:  # Any: texts, numbers, bytes, and lists and maps of them
    """Return the bytes of a value; equal for equal values."""
    return json.dumps(value, default=_tagged, sort_keys=True, separators=(",", ":")).encode()


def unpacked(data: bytes) -> Any:  # Any: as above
    """Return the value again.

    Raises:
        InvariantError: The bytes are none of `packed`.
    """
    try:
        return json.loads(data, object_hook=_plain)
    except ValueError as error:
        msg = f"a saved state must be JSON, was {data[:40]!r}: {error}"
        raise InvariantError(msg) from error


def _tagged(value: object) -> dict[str, str]:
    assert isinstance(value, bytes)
    return {_BYTES: base64.b64encode(value).decode()}


def _plain(found: dict[str, Any]) -> Any:  # Any: as above
    return base64.b64decode(found[_BYTES]) if found.keys() == {_BYTES} else found

"""What a stream's models predict, and how classes are named."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

TargetKind = Literal["regression", "binary", "multiclass"]
ModelKind = Literal["regression", "binary", "multiclass", "anomaly"]


class FieldTarget(BaseModel):
    """The answer stands in the event itself, in the field `name`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    kind: TargetKind
    classes: tuple[str, str] | None = None


class AheadTarget(BaseModel):
    """The answer is what `field` will read later in the same stream and asset.

    Exactly one of `after_events` (from 1) and `after_s` (event time, seconds) is set.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    field: str
    after_events: int | None = None
    after_s: float | None = None

    @property
    def name(self) -> str:
        """The field whose later reading is predicted."""
        return self.field

    @property
    def kind(self) -> TargetKind:
        """A later reading is a number."""
        return "regression"

    @property
    def classes(self) -> None:
        """Numbers have no classes."""
        return


class LabelTarget(BaseModel):
    """The answer arrives as a `Label`, up to `ttl_s` seconds of event time after its event."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    kind: TargetKind
    ttl_s: float
    unit: str | None = None
    join: tuple[str, ...] | None = None
    classes: tuple[str, str] | None = None


Target = FieldTarget | AheadTarget | LabelTarget


def class_key(value: bool | int | str) -> str:
    """Return the key a class goes by: `true`/`false`, integers in decimal, strings as they are.

    >>> class_key(True), class_key(1), class_key("jam")
    ('true', '1', 'jam')
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)

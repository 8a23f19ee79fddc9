"""A first guess at a stream from a record: which field is the asset, the time, the answer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tidemill.contracts.avro import (
    full_name,
    kind_of,
    logical_type,
    with_types_in_place,
    without_null,
)
from tidemill.contracts.targets import class_key

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tidemill.contracts.codec import JsonSchema

ASSET_NAMES = (
    "asset", "asset_id", "machine", "machine_id", "device", "device_id", "equipment",
    "equipment_id", "unit_id", "line", "station",
)  # fmt: skip
_TIMES = ("event_time", "time", "timestamp", "datetime", "date_time", "ts", "date", "measured_at")
_IDS = ("event_id", "id", "uuid", "reading_id", "record_id", "message_id", "sample_id")
_TARGETS = (
    "target", "label", "failure", "machine_failure", "fault", "anomaly", "outlier", "class", "y",
)  # fmt: skip
_TIMESTAMPS = ("timestamp-millis", "timestamp-micros")
_NUMBERS = ("double", "float", "int", "long")
_MANY_CLASSES = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What the data showed beside the types, by field.

    Attributes:
        ranges: Possible values, wider than those seen.
        classes: The different values, where they are few.
        unit: Of a plain long that carries time.
    """

    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    classes: Mapping[str, Sequence[bool | int | str]] = field(default_factory=dict)
    unit: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What the definition's text is written from."""

    event: str
    asset: str
    time: str
    unit: str | None
    id: str | None
    numeric: tuple[str, ...]
    nominal: tuple[str, ...]
    target: str
    is_guess: bool
    kind: str
    classes: tuple[bool | int | str, ...] | None
    ranges: Mapping[str, tuple[float, float]]
    left_out: tuple[str, ...]

    @property
    def champion(self) -> str:
        """A pipeline that takes these features and predicts this kind."""
        if self.kind == "multiclass":
            return "[tree.HoeffdingTreeClassifier]"
        if self.nominal:
            tree = "Regressor" if self.kind == "regression" else "Classifier"
            return f"[tree.HoeffdingTree{tree}]"
        model = "LinearRegression" if self.kind == "regression" else "LogisticRegression"
        return f"[preprocessing.StandardScaler, linear_model.{model}]"


def draft_of(record: JsonSchema, seen: Seen) -> Draft:
    """Return a draft for the events of `record`.

    Raises:
        ValueError: No field can be the asset, the time, or a numeric feature.
    """
    record = with_types_in_place(record)
    kinds = {each["name"]: kind_of(without_null(each["type"])) for each in record["fields"]}
    time = _time(record, kinds)
    identity = _named(kinds, _IDS, ("string", "int", "long"), (time,))
    asset = _named(kinds, ASSET_NAMES, ("string",), (time, identity)) or _first_text(
        kinds, (time, identity)
    )
    if asset is None:
        msg = "one field must be a string that names the asset, none is"
        raise ValueError(msg)
    found = _target(record, kinds, seen, (time, identity, asset))
    target = found or _last_number(kinds, (time, identity, asset))
    taken = {time, identity, asset, target[0]}
    free = {name: kind for name, kind in kinds.items() if name not in taken}
    numeric = tuple(n for n, kind in free.items() if kind in (*_NUMBERS, "boolean"))
    nominal = tuple(n for n, kind in free.items() if kind == "enum" or _is_class(n, kind, seen))
    if not (numeric or nominal):
        msg = "one field must be a feature beside what is predicted, none is"
        raise ValueError(msg)
    return Draft(
        event=full_name(record),
        asset=asset,
        time=time,
        unit=_unit(record, time, seen),
        id=identity,
        numeric=numeric,
        nominal=nominal,
        target=target[0],
        is_guess=found is None,
        kind=target[1],
        classes=target[2],
        ranges=seen.ranges,
        left_out=tuple(n for n in free if n not in numeric and n not in nominal),
    )


def _last_number(
    kinds: Mapping[str, str], taken: Sequence[str | None]
) -> tuple[str, str, tuple[bool | int | str, ...] | None]:
    """Return the last number as what is predicted, for want of a better name."""
    numbers = [name for name, kind in kinds.items() if kind in _NUMBERS and name not in taken]
    if not numbers:
        msg = "one field must be a number to learn from, none is"
        raise ValueError(msg)
    return numbers[-1], "regression", None


def _named(
    kinds: Mapping[str, str],
    names: Sequence[str],
    types: Sequence[str],
    taken: Sequence[str | None],
) -> str | None:
    lower = {name.lower(): name for name in reversed(list(kinds)) if name not in taken}
    found = (lower[name] for name in names if name in lower)
    return next((name for name in found if kinds[name] in types), None)


def _first_text(kinds: Mapping[str, str], taken: Sequence[str | None]) -> str | None:
    return next((n for n, kind in kinds.items() if kind == "string" and n not in taken), None)


def _time(record: JsonSchema, kinds: Mapping[str, str]) -> str:
    stamped = [
        each["name"]
        for each in record["fields"]
        if logical_type(without_null(each["type"])) in _TIMESTAMPS
    ]
    by_name = _named({n: kinds[n] for n in stamped}, _TIMES, ("long",), ())
    found = by_name or next(iter(stamped), None) or _named(kinds, _TIMES, ("long",), ())
    if found is None:
        msg = "one field must be a timestamp, or a long with a name such as time, none is"
        raise ValueError(msg)
    return found


def _unit(record: JsonSchema, time: str, seen: Seen) -> str | None:
    types = {each["name"]: each["type"] for each in record["fields"]}
    stamped = logical_type(without_null(types[time])) in _TIMESTAMPS
    return None if stamped else seen.unit or "ms"


def _is_class(name: str, kind: str, seen: Seen) -> bool:
    return kind == "string" and name in seen.classes


def _target(
    record: JsonSchema, kinds: Mapping[str, str], seen: Seen, taken: Sequence[str | None]
) -> tuple[str, str, tuple[bool | int | str, ...] | None] | None:
    types = ("boolean", "enum", "string", *_NUMBERS)
    name = _named(kinds, _TARGETS, types, taken)
    if name is None:
        return None
    kind = kinds[name]
    schemas = {each["name"]: without_null(each["type"]) for each in record["fields"]}
    values: tuple[bool | int | str, ...] = tuple(seen.classes.get(name, ()))
    if kind == "boolean":
        values = (False, True)
    elif kind == "enum":
        values = tuple(schemas[name]["symbols"])
    if kind in ("double", "float"):
        return name, "regression", None
    if len(values) == 2:
        return name, "binary", tuple(sorted(values, key=class_key))
    if kind in ("enum", "string") or 2 < len(values) <= _MANY_CLASSES:
        return name, "multiclass", None
    return name, "regression", None

"""How single values of `plant.yaml` are written: names, quantities, ranges, classes, steps."""

import math
import re
from collections.abc import Callable
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, JsonValue, WithJsonSchema
from pydantic_core import PydanticCustomError

from tidemill.contracts.quantities import parse_bytes, parse_distance, parse_duration_s
from tidemill.contracts.targets import class_key


def refusal(text: str) -> PydanticCustomError:
    """Return an error whose message is `text` as it stands."""
    return PydanticCustomError("rule", "{text}", {"text": text})


def _matching(pattern: str, words: str) -> tuple[AfterValidator, WithJsonSchema]:
    def checked(value: str) -> str:
        if re.fullmatch(pattern, value) is None:
            msg = f"must be {words}, was {value!r}"
            raise refusal(msg)
        return value

    return AfterValidator(checked), WithJsonSchema({"type": "string", "pattern": f"^{pattern}$"})


def _quantity(parse: Callable[[object], float]) -> Callable[[object], float]:
    def checked(value: object) -> float:
        try:
            return parse(value)
        except ValueError as error:
            raise refusal(str(error)) from error

    return checked


def _is_bound(value: object) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return value is None or (number and math.isfinite(float(str(value))))


def _range(value: object) -> object:
    if isinstance(value, list) and len(value) == 2 and all(map(_is_bound, value)):
        low, high = value
        if (low is None) != (high is None) or (low is not None and low < high):
            return value
    msg = f"must be [low, high] with low < high, was {value!r}"
    raise refusal(msg)


def _classes(value: object) -> object:
    if isinstance(value, list) and all(isinstance(item, bool | int | str) for item in value):
        keys = [class_key(item) for item in value]
        if len(keys) == 2 and keys[0] != keys[1]:
            return keys
    msg = f"must be [negative, positive], two different classes, was {value!r}"
    raise refusal(msg)


def _by_class(value: object) -> object:
    if not isinstance(value, dict):
        return value
    return {class_key(k) if isinstance(k, bool | int) else k: v for k, v in value.items()}


def _sorted_json(value: object, path: str) -> JsonValue:
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, list):
        return [_sorted_json(item, f"{path}[{index}]") for index, item in enumerate(value)]
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {key: _sorted_json(value[key], f"{path}.{key}") for key in sorted(value)}
    msg = f"{path} must be finite JSON with text keys, was {value!r}"
    raise refusal(msg)


def _step(value: object) -> object:
    match value:
        case str():
            return {value: {}}
        case dict() if len(value) == 1:
            ((name, given),) = value.items()
            return {name: {} if given is None else _sorted_json(given, str(name))}
    msg = f"must be a class name, or one class name with its parameters, was {value!r}"
    raise refusal(msg)


Name = Annotated[
    str, *_matching(r"[A-Za-z0-9][A-Za-z0-9_.-]*", "letters, digits, '_', '.' and '-' alone")
]
FieldName = Annotated[
    str, *_matching(r"[A-Za-z_][A-Za-z0-9_]*", "the name of an Avro field (letters, digits, '_')")
]
FullName = Annotated[
    str,
    *_matching(
        r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*",
        "the full name of an Avro record such as plant.PumpReading",
    ),
]
StepName = Annotated[
    str,
    *_matching(
        r"([a-z_][a-z0-9_]*\.)+[A-Za-z_]\w*",
        "a River class with its module such as linear_model.LinearRegression",
    ),
]
Duration = Annotated[
    float, BeforeValidator(_quantity(parse_duration_s), json_schema_input_type=float | str)
]
Bytes = Annotated[
    float, BeforeValidator(_quantity(parse_bytes), json_schema_input_type=float | str)
]
Distance = Annotated[
    int | float, BeforeValidator(_quantity(parse_distance), json_schema_input_type=int | str)
]
Range = Annotated[
    list[float | None],
    BeforeValidator(
        _range,
        json_schema_input_type=Annotated[list[float | None], Field(min_length=2, max_length=2)],
    ),
]
Classes = Annotated[
    list[str],
    BeforeValidator(
        _classes,
        json_schema_input_type=Annotated[list[bool | int | str], Field(min_length=2, max_length=2)],
    ),
]
Repeat = Annotated[
    dict[str, Annotated[int, Field(ge=1, le=1000)]],
    BeforeValidator(_by_class, json_schema_input_type=dict[str, int]),
]
StepDocument = Annotated[
    dict[StepName, dict[str, JsonValue]],
    BeforeValidator(
        _step, json_schema_input_type=StepName | dict[StepName, dict[str, JsonValue] | None]
    ),
]
Pipeline = Annotated[list[StepDocument], Field(min_length=1)]

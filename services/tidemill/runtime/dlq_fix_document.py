"""How dead letters are to be mended, as a file says it: rules in order, each checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, ValidationError

from tidemill.contracts.stream import TimeUnit  # noqa: TC001 - pydantic reads it
from tidemill.contracts.targets import class_key
from tidemill.contracts.written import FieldName, FullName, Range, refusal
from tidemill.contracts.yaml_text import load_yaml
from tidemill.kernel.errors import ConfigError, DeadLetterReason

if TYPE_CHECKING:
    from pathlib import Path

    from pydantic_core import ErrorDetails

Scalar = bool | int | float | str | None


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


def _read_as(value: object) -> object:
    return {"schema": value} if isinstance(value, int) else value


def _factor(value: object) -> object:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return {"factor": value} if is_number else value


def _unit(value: object) -> object:
    return {"from": value} if isinstance(value, str) else value


def _mapping(value: object) -> object:
    if not isinstance(value, dict):
        return value
    return {class_key(k) if isinstance(k, bool | int) else k: v for k, v in value.items()}


def _separator(value: object) -> object:
    if value in (".", ","):
        return value
    msg = f"must be the decimal separator, '.' or ',', was {value!r}"
    raise refusal(msg)


class WhenDocument(_Document):
    """To which letters a rule applies: all that is given must hold."""

    reason: str | None = None
    event: FullName | None = None
    schema_id: Annotated[int | None, Field(alias="schema")] = None
    key: str | None = None


class ReadDocument(_Document):
    """How the bytes are read: by a schema, with or without a prefix in front, or as JSON."""

    schema_id: Annotated[int | None, Field(alias="schema")] = None
    prefix: bool = True
    record: Annotated[FullName | None, Field(alias="json")] = None


class ScaleDocument(_Document):
    """value * factor + offset, exactly in decimals, then rounded once."""

    factor: Annotated[float | int, Field()] = 1
    offset: Annotated[float | int, Field()] = 0


class ConvertDocument(_Document):
    """From one unit to another; `to` is the definition's where it is left out."""

    source: Annotated[str, Field(alias="from")]
    to: str | None = None


class RuleDocument(_Document):
    """One rule: exactly one action, perhaps under a condition."""

    when: WhenDocument = WhenDocument()
    read_as: Annotated[ReadDocument | None, BeforeValidator(_read_as)] = None
    rename: dict[str, FieldName] | None = None
    drop: list[str] | None = None
    default: dict[FieldName, JsonValue] | None = None
    constant: Annotated[dict[FieldName, JsonValue] | None, Field(alias="set")] = None
    scale: dict[FieldName, Annotated[ScaleDocument, BeforeValidator(_factor)]] | None = None
    convert: dict[FieldName, Annotated[ConvertDocument, BeforeValidator(_unit)]] | None = None
    clamp: dict[FieldName, Range] | None = None
    blank: dict[FieldName, Range] | None = None
    classes: Annotated[
        dict[FieldName, Annotated[dict[str, Scalar], BeforeValidator(_mapping)]] | None,
        Field(alias="map"),
    ] = None
    number: dict[FieldName, Annotated[str, BeforeValidator(_separator)]] | None = None
    time: dict[FieldName, Literal["iso"] | TimeUnit] | None = None
    write_as: int | None = None

    @property
    def actions(self) -> list[str]:
        """The actions given; one of them in a rule that was checked."""
        names = (name for name in type(self).model_fields if name != "when")
        return [name for name in names if getattr(self, name) is not None]


class FixDocument(_Document):
    """The file as a whole."""

    rules: Annotated[list[RuleDocument], Field(min_length=1)]


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule, checked for itself; `path` is where it stands in the file."""

    path: str
    when: WhenDocument
    action: str
    argument: object


ACTIONS = tuple(
    each.alias or name for name, each in RuleDocument.model_fields.items() if name != "when"
)


def read_rules(path: Path) -> list[Rule]:
    """Return the rules in the file at `path`.

    Raises:
        ConfigError: With every problem of the file.
    """
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([f"--fix: must be a readable UTF-8 file, found {error}"]) from error
    return parse_rules(text)


def parse_rules(text: str) -> list[Rule]:
    """Return the rules in `text` (YAML).

    Raises:
        ConfigError: With every problem of their shape.
    """
    raw, problems = load_yaml(text)
    document = None
    try:
        document = FixDocument.model_validate(raw)
    except ValidationError as error:
        problems += [_problem(detail) for detail in error.errors(include_url=False)]
    for number, rule in enumerate(document.rules if document else ()):
        problems += _rule_problems(rule, f"rules[{number}]")
    if problems or document is None:
        raise ConfigError(problems)
    return [_rule(rule, number) for number, rule in enumerate(document.rules)]


def _rule(document: RuleDocument, number: int) -> Rule:
    (name,) = document.actions
    written = RuleDocument.model_fields[name].alias or name
    return Rule(f"rules[{number}].{written}", document.when, name, getattr(document, name))


def _rule_problems(rule: RuleDocument, path: str) -> list[str]:
    problems = []
    if len(rule.actions) != 1:
        given = " and ".join(RuleDocument.model_fields[a].alias or a for a in rule.actions)
        words = f"must have exactly one action of {', '.join(ACTIONS)}"
        problems.append(f"{path}: {words}, was {given or 'without'}")
    reasons = [each.value for each in DeadLetterReason]
    if rule.when.reason not in {None, *reasons}:
        words = f"must be one of {', '.join(reasons)}, was {rule.when.reason}"
        problems.append(f"{path}.when.reason: {words}")
    read = rule.read_as
    if read is not None and (read.schema_id is None) == (read.record is None):
        words = "must name a schema id or {json: full name of a record}"
        problems.append(f"{path}.read_as: {words}, was {'both' if read.record else 'neither'}")
    return problems


def _problem(detail: ErrorDetails) -> str:
    path = ""
    for part in detail["loc"]:
        if part != "[key]":
            path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else str(part)
    found = detail["input"]
    match detail["type"]:
        case "rule":
            said = detail["msg"]
        case "missing":
            said = "must be given"
        case "extra_forbidden":
            said = f"must not be here: unknown key; actions are {', '.join(ACTIONS)}"
        case "model_type":
            said = f"must be a mapping of keys to values, was {found!r}"
        case _:
            said = f"{detail['msg'].replace('Input should', 'must')}, was {found!r}"
    return f"{path or '--fix'}: {said}"

"""Every problem of a definition's text at once, each with its path and in our wording."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, cast

from pydantic import BaseModel, ValidationError

from tidemill.contracts import document as documents
from tidemill.contracts.document import PLANT_REQUIRES, STREAM_REQUIRES, PlantDocument
from tidemill.contracts.rules import plant_rules
from tidemill.contracts.yaml_text import load_yaml
from tidemill.kernel.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic_core import ErrorDetails

_KEYS = sorted(
    {
        name
        for kind in vars(documents).values()
        if isinstance(kind, type) and issubclass(kind, BaseModel)
        for name in kind.model_fields
    }
)
_PRUNE_DEPTH = 4
"""streams, its name, key, key below: what is wrong deeper goes as a whole before the rules look."""


def checked_document(text: str) -> PlantDocument:
    """Return the document in `text`, free of problems.

    Raises:
        ConfigError: With every problem found.
    """
    raw, problems = load_yaml(text)
    if not isinstance(raw, dict):
        found = type(raw).__name__ if raw is not None else "empty"
        raise ConfigError([f"the definition must be a mapping of keys to values, was {found}"])
    problems += _missing(raw)
    document, found_problems = _validated(raw)
    problems += found_problems
    problems += plant_rules(document)
    if problems:
        raise ConfigError(problems)
    return document


def schemas_folder(text: str) -> str | None:
    """Return `schemas` of a definition that may be wrong elsewhere, or None."""
    try:
        raw, _ = load_yaml(text)
    except ConfigError:
        return None
    folder = raw.get("schemas") if isinstance(raw, dict) else None
    return folder if isinstance(folder, str) else None


def _missing(raw: dict[object, object]) -> Iterator[str]:
    for key in PLANT_REQUIRES:
        if raw.get(key) is None:
            yield f"{key}: must be given"
    streams = raw.get("streams")
    for name, stream in streams.items() if isinstance(streams, dict) else ():
        if not isinstance(stream, dict):
            continue
        for key in STREAM_REQUIRES:
            if stream.get(key) is None and not (key == "target" and key in stream):
                yield f"streams.{name}.{key}: must be given"
        model = stream.get("model")
        if isinstance(model, dict) and model.get("champion") is None:
            yield f"streams.{name}.model.champion: must be given"


def _validated(raw: dict[object, object]) -> tuple[PlantDocument, list[str]]:
    """Return what of `raw` is valid, and the problems of the rest."""
    try:
        return PlantDocument.model_validate(raw), []
    except ValidationError as error:
        details = error.errors(include_url=False)
    problems = [f"{_path(detail)}: {_wording(detail)}" for detail in details]
    valid: object = raw
    for depth in range(_PRUNE_DEPTH, 0, -1):
        try:
            return PlantDocument.model_validate(valid), problems
        except ValidationError as error:
            for detail in error.errors(include_url=False):
                valid = _without(valid, detail["loc"][:depth])
    return PlantDocument.model_validate(valid), problems


def _without(value: object, loc: tuple[int | str, ...]) -> object:
    """Return a copy of nested mappings without the entry at `loc`."""
    if not isinstance(value, dict) or not loc:
        return value
    key, *rest = loc
    if rest and isinstance(value.get(key), dict):
        return {**value, key: _without(value[key], tuple(rest))}
    return {k: v for k, v in value.items() if k != key}


def _path(detail: ErrorDetails) -> str:
    path = ""
    for part in detail["loc"]:
        if part == "[key]":
            continue
        path += f"[{part}]" if isinstance(part, int) and path else f".{part}" if path else str(part)
    return path


def _wording(detail: ErrorDetails) -> str:
    kind, found = detail["type"], detail["input"]
    if kind == "rule":
        return detail["msg"]
    if kind == "missing":
        return "must be given"
    if kind == "extra_forbidden":
        close = difflib.get_close_matches(cast("str", detail["loc"][-1]), _KEYS, n=1)
        hint = f", did you mean {close[0]}?" if close else ""
        return f"must not be here: unknown key{hint}"
    if kind == "model_type":
        return f"must be a mapping of keys to values, was {found!r}"
    said = re.sub(r"^(Input|String|List|Dictionary) should", "must", detail["msg"])
    return f"{said}, was {found!r}"

"""docker-compose.yml, interpolated as Compose does it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import yaml

from .kustomize import ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping

FILE = ROOT / "docker-compose.yml"
GIVEN = {
    "TIDEMILL_SIGNING_KEY_FILE": "signing.key",
    "MESH_USER": "1000:1000",
    "REDIS_PASSWORD": "5ec7e7" * 10 + "5ec7",
}
# How a dollar is written that a container's own shell is to see.
DOLLAR = "$$"
REFERENCE = re.compile(r"\$\{(?P<name>\w+)(?P<rule>:-|:\?)?(?P<rest>[^}]*)\}")


class MissingError(Exception):
    """A variable that must be given was not."""


def references() -> list[tuple[str, str, str]]:
    """Return name, rule and rest of everything that is interpolated."""
    text = FILE.read_text("utf-8").replace(DOLLAR, "")
    assert len(REFERENCE.findall(text)) == text.count("$"), "a form that is not known here"
    return REFERENCE.findall(text)


def compose(environ: Mapping[str, str] = GIVEN) -> dict[str, Any]:  # Any: as YAML has it
    """Return the file as Compose sees it in `environ`."""

    def value(found: re.Match[str]) -> str:
        name, rule, rest = found.group("name", "rule", "rest")
        if environ.get(name):
            return environ[name]
        if rule == ":-":
            return rest
        raise MissingError(f"{name}: {rest}")

    text = REFERENCE.sub(value, FILE.read_text("utf-8")).replace(DOLLAR, "$")
    document: dict[str, Any] = yaml.safe_load(text)
    return document

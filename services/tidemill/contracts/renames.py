"""Fields that changed their name: aliases of all versions of a record taken together."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tidemill.contracts.codec import JsonSchema


class Names:
    """Which names the fields of a record have had.

    A rename may be undone, repeated, or split one field in two. So names are followed in one
    direction at a time, to newer ones or to older ones: two fields that were one are not the same.

    Args:
        versions: Every version of the record, oldest first.
    """

    def __init__(self, versions: Iterable[JsonSchema]) -> None:
        self._older: dict[str, list[str]] = {}
        self._newer: dict[str, list[str]] = {}
        for version in versions:
            for field in version["fields"]:
                for alias in field.get("aliases", ()):
                    self._older.setdefault(field["name"], []).append(alias)
                    self._newer.setdefault(alias, []).append(field["name"])

    def renamed(self, version: JsonSchema) -> tuple[tuple[str, str], ...]:
        """Return each name that a version does not use, with the field that has it there."""
        fields = {field["name"] for field in version["fields"]}
        found = []
        for name in sorted({*self._older, *self._newer} - fields):
            field = _nearest(name, self._newer, fields) or _nearest(name, self._older, fields)
            if field is not None:
                found.append((name, field))
        return tuple(found)


def _nearest(name: str, links: Mapping[str, list[str]], fields: set[str]) -> str | None:
    """Return the first of `fields` that links lead to."""
    seen, reached = {name}, [name]
    for at in reached:
        for linked in links.get(at, ()):
            if linked in fields:
                return linked
            if linked not in seen:
                seen.add(linked)
                reached.append(linked)
    return None

"""Links lead somewhere, commands exist, pins cover what is required."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from typer.main import get_command

from tidemill.cli.app import app
from tidemill.runtime.environment import VARIABLES

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
RECORDS = sorted((ROOT / "docs" / "decisions").glob("*.md"))
PARTS = ("Status: ", "## Context", "## Decision", "## Consequences", "## Rejected")


def commands() -> set[str]:
    """Return every command of `tidemill`, subcommands as `group name`."""
    found = set()
    for name, command in get_command(app).commands.items():  # type: ignore[attr-defined]  # a group
        below = getattr(command, "commands", {})
        found |= {name, *(f"{name} {inner}" for inner in below)}
    return found


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as the usual hosts make them."""
    heads = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", head).lower().replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_of_a_page_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", page.read_text()):
        if target.startswith("https://"):
            continue
        name, _, anchor = target.partition("#")
        linked = (page.parent / name).resolve() if name else page
        assert linked.exists(), target
        assert not anchor or anchor in anchors(linked), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_that_a_page_names_exist(page: Path) -> None:
    known = commands()
    named_in = re.findall(r"(?:`|^)tidemill ([a-z]+)(?: ([a-z]+))?", page.read_text(), re.MULTILINE)
    for first, second in named_in:
        has_more = any(command.startswith(f"{first} ") for command in known)
        named = f"{first} {second}" if has_more and second else first
        assert named in known, named


def test_the_readme_has_every_command() -> None:
    text = (ROOT / "README.md").read_text()
    table = text[text.index("## Commands") : text.index("## Processors")]

    words = set(re.findall(r"[a-z]+", table))
    assert {word for command in commands() for word in command.split()} <= words


def test_every_variable_is_on_the_page_of_contracts() -> None:
    text = (ROOT / "docs" / "contracts.md").read_text()

    assert set(re.findall(r"TIDEMILL_[A-Z_]+", text)) == set(VARIABLES)


def test_every_requirement_is_pinned_within_its_range() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"].values()
    required = [Requirement(text) for text in sum(extras, project["dependencies"])]
    pins = dict(
        line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if line
    )
    versions = {canonicalize_name(name): version for name, version in pins.items()}

    for requirement in required:
        assert requirement.specifier.contains(versions[canonicalize_name(requirement.name)])


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.stem)
def test_a_decision_record_has_its_number_and_its_parts(record: Path) -> None:
    text = record.read_text()

    assert text.startswith(f"# {int(record.stem[:4])}. ")
    assert [part for part in PARTS if f"\n{part}" not in text] == []


def test_decision_records_are_numbered_without_gaps() -> None:
    assert [int(record.stem[:4]) for record in RECORDS] == list(range(1, len(RECORDS) + 1))

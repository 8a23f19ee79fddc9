"""What the package reads beside its code is packaged."""

from __future__ import annotations

import tomllib

from .kustomize import ROOT

PACKAGE = ROOT / "services" / "tidemill"


def test_every_file_that_is_no_code_is_named_as_package_data() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    patterns = project["tool"]["setuptools"]["package-data"]["tidemill"]
    packaged = {path for pattern in patterns for path in PACKAGE.glob(pattern)}
    files = {
        path
        for folder in (PACKAGE, PACKAGE / "schemas")
        for path in folder.rglob("*")
        if path.is_file() and path.suffix not in {".py", ".pyc", ".c", ".so"}
    }
    assert PACKAGE / "schemas" / "Prediction.avsc" in files
    assert PACKAGE / "schemas" / "ids.lock.json" in files
    assert files - packaged == set()


def test_the_schemas_are_packaged_through_a_link_that_stays_inside_the_tree() -> None:
    link = PACKAGE / "schemas"
    assert link.is_symlink()
    assert link.resolve() == ROOT / "schemas"

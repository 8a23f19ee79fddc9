"""The id locks on disk: growing the plant's, holding ours to its history."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from tidemill.contracts.avro import full_name
from tidemill.contracts.compatibility import backward_problems, compatibility_problems
from tidemill.contracts.id_lock import (
    LOCK_FILE,
    PLANT_IDS_START,
    lock_ids,
    lock_text,
)
from tidemill.kernel.errors import ConfigError
from tidemill.runtime.plant_files import HISTORY, read_records

if TYPE_CHECKING:
    from pathlib import Path

    from tidemill.runtime.plant_files import Records


def lock_records(folder: Path, start: int = PLANT_IDS_START) -> dict[int, str]:
    """Give every record in `folder` an id in its lock file; return the new ones with their names.

    Raises:
        ConfigError: With every problem of the files; or a changed record cannot read what its
            earlier versions wrote.
    """
    records = read_records(folder)
    problems = evolution_problems(records)
    if problems:
        raise ConfigError(problems)
    grown = lock_ids(records.lock, records.schemas.values(), start)
    new = {key: full_name(schema) for key, schema in grown.items() if key not in records.lock}
    if new or not (folder / LOCK_FILE).exists():
        _write(folder / LOCK_FILE, lock_text(grown))
    return new


def evolution_problems(records: Records) -> list[str]:
    """Return why a record of the plant could not read what its earlier versions wrote."""
    return [
        f"{problem} (locked as {key})"
        for name, schema in records.schemas.items()
        for key, older in records.lock.items()
        if full_name(older) == name
        for problem in backward_problems(schema, older)
    ]


def own_problems(folder: Path) -> list[str]:
    """Return what is wrong with the mesh's own schemas in `folder`.

    Each must have an id, and be FULL_TRANSITIVE compatible with every version released: those lie
    under `history/<version>/`. None may go.

    Raises:
        ConfigError: With every problem of the files.
    """
    records = read_records(folder)
    problems = [
        f"{name}: must have a locked id; run `tidemill schemas lock --own {folder}`"
        for name in records.unlocked
    ]
    for path in sorted((folder / HISTORY).glob("*/*.avsc")):
        older = json.loads(path.read_text("utf-8"))
        new = records.schemas.get(full_name(older))
        version = path.parent.name
        if new is None:
            problems.append(f"{full_name(older)}: must stay, {version} was released with it")
        else:
            problems += [
                f"{p} (released in {version})" for p in compatibility_problems(new, [older])
            ]
    return problems


def _write(path: Path, text: str) -> None:
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        scratch.write_text(text, "utf-8")
        scratch.replace(path)
    except OSError as error:
        raise ConfigError([f"{path}: must be writable, found {error}"]) from error
    finally:
        scratch.unlink(missing_ok=True)

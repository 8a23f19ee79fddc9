"""Options that several commands share, and what they mean."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from tidemill.kernel.errors import ConfigError
from tidemill.local.connection import resolve_bootstrap, resolve_redis

DefinitionFile = Annotated[
    Path, typer.Option("-f", "--file", help="The plant's definition.", show_default=True)
]
Bootstrap = Annotated[
    str | None,
    typer.Option(
        "-b",
        "--bootstrap",
        help="Brokers as host:port,... Otherwise TIDEMILL_BOOTSTRAP, otherwise what runs in --dir.",
        show_default=False,
    ),
]
Properties = Annotated[
    list[str] | None,
    typer.Option("-X", help="A librdkafka setting as key=value; repeatable.", show_default=False),
]
DelimiterOption = Annotated[
    str | None,
    typer.Option("--delimiter", help="One character, tab or space; found where it is left out."),
]
ColumnsOption = Annotated[
    str | None, typer.Option("--columns", help="a,b,c: names for a file without a header.")
]
TransposeOption = Annotated[
    bool, typer.Option("--transpose", help="Lines and columns of the file change places.")
]

Execute = Annotated[bool, typer.Option("--execute", help="Do it; otherwise only say it.")]
DEFAULT_DEFINITION = Path("plant.yaml")


def bootstrap_of(flag: str | None, directory: Path) -> str:
    """Return where to connect: flag, variable, or the instance running in `directory`.

    Raises:
        ConfigError: None of them names a broker.
    """
    return resolve_bootstrap(flag, os.environ, directory)


def redis_of(flag: str | None, directory: Path) -> str | None:
    """Return Redis's URL: flag, variable, or that of what runs in `directory`; None without any."""
    try:
        return resolve_redis(flag, os.environ, directory)
    except ConfigError:
        return None


def names_of(columns: str | None) -> tuple[str, ...] | None:
    """Return the names that `--columns` lists, or None."""
    return None if columns is None else tuple(name.strip() for name in columns.split(","))


def pairs_of(option: str, given: Sequence[str] | None) -> dict[str, str]:
    """Return `key=value` options as a mapping; the last `=` parts, for columns may hold one.

    Raises:
        ConfigError: One of them is not of that form.
    """
    pairs: dict[str, str] = {}
    problems = []
    for text in given or ():
        key, found, value = text.rpartition("=")
        if not (key and found and value):
            problems.append(f"{option}: must be name=value, was {text!r}")
        pairs[key] = value
    if problems:
        raise ConfigError(problems)
    return pairs


def properties_of(given: Sequence[str] | None) -> dict[str, str]:
    """Return the librdkafka settings given by `-X`; the first `=` parts, for values may hold one.

    Raises:
        ConfigError: One of them is not of the form key=value.
    """
    split = [text.partition("=") for text in given or ()]
    problems = [
        f"-X: must be key=value, was {''.join(parts)!r}"
        for parts in split
        if not (parts[0] and parts[1])
    ]
    if problems:
        raise ConfigError(problems)
    return {key: value for key, _, value in split}

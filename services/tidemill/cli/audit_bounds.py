"""The span that `tidemill audit replay` is asked for: what its options say of both ends."""

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from tidemill.contracts.topics import EVENTS, UPDATES
from tidemill.kernel.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tidemill.fold.audit.bounds import Bound

_BOUND = "a ledger sequence, topic-partition@offset of an input, or an ISO 8601 time (UTC if none)"
From = Annotated[str | None, typer.Option("--from", help=f"First: {_BOUND}.", show_default=False)]
To = Annotated[
    str | None,
    typer.Option("--to", help=f"Last: {_BOUND}; a time is excluded.", show_default=False),
]
_POSITION = re.compile(r"(?P<topic>.+)-(?P<partition>\d+)@(?P<offset>\d+)", re.ASCII)


def parse_bound(
    option: str, text: str | None, inputs: "Sequence[str]" = (EVENTS, UPDATES)
) -> "Bound | None":
    """Return the bound that an option names, of these inputs.

    Raises:
        ConfigError: Neither a sequence, nor a position of an input, nor a time.
    """
    from tidemill.fold.audit.bounds import AtOffset, AtSequence, AtTime  # noqa: PLC0415 - River takes seconds to import

    if text is None:
        return None
    if text.isascii() and text.isdigit():
        return AtSequence(int(text))
    position = _POSITION.fullmatch(text)
    if position and position["topic"] in inputs:
        return AtOffset(position["topic"], int(position["partition"]), int(position["offset"]))
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        must = f"must be {_BOUND}; inputs are {' and '.join(inputs)}"
        raise ConfigError([f"{option}: {must}, was {text!r}"]) from error
    aware = time if time.tzinfo else time.replace(tzinfo=UTC)
    return AtTime(int(aware.timestamp() * 1000))


def partitions_of(*bounds: "Bound | None") -> list[int] | None:
    """Return the partition that bounds name; None if they name none.

    Raises:
        ConfigError: They name different ones.
    """
    from tidemill.fold.audit.bounds import AtOffset  # noqa: PLC0415 - River takes seconds to import

    named = sorted({bound.partition for bound in bounds if isinstance(bound, AtOffset)})
    if len(named) > 1:
        raise ConfigError([f"--from and --to: must name one partition, were {named}"])
    return named or None

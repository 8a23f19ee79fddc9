"""`tidemill explain`: why one prediction says what it says."""

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn
from rich.text import Text

from tidemill.cli.audit import DefinitionHint, KeyFile
from tidemill.cli.directory import DirectoryOption, JsonOption
from tidemill.cli.options import Bootstrap, Properties, bootstrap_of, properties_of
from tidemill.contracts.topics import LEDGER, PREDICTIONS
from tidemill.kernel.errors import ConfigError
from tidemill.local.connection import DEFAULT_DIRECTORY
from tidemill.runtime.answer_document import answer_document
from tidemill.runtime.answer_expert import expert_lines
from tidemill.runtime.answer_facts import fact_lines
from tidemill.runtime.answer_operator import operator_lines
from tidemill.runtime.clients import KafkaClients
from tidemill.runtime.environment import check_environment
from tidemill.runtime.kafka_log import KafkaLog
from tidemill.runtime.keys import find_signing_key
from tidemill.runtime.plant_files import read_plant
from tidemill.runtime.reach import partition_counts

if TYPE_CHECKING:
    from tidemill.contracts.answer import Answer
    from tidemill.fold.ledger import Entry
    from tidemill.fold.terms import Terms
    from tidemill.fold.why.search import Found, Wanted
    from tidemill.kernel.processor import Log

    Tell = Callable[[str], None]


class Role(StrEnum):
    """Who reads it."""

    OPERATOR = "operator"
    DOMAIN_EXPERT = "domain_expert"
    DATA_SCIENTIST = "data_scientist"


EventId = Annotated[
    str,
    typer.Argument(
        help="The event's id, or where it stands: sensor.events-0@123.",
        metavar="EVENT_ID",
        show_default=False,
    ),
]
OfAsset = Annotated[
    str | None, typer.Option("--asset", help="Only this asset's event.", show_default=False)
]
Partition = Annotated[
    int | None, typer.Option("-p", "--partition", min=0, help="Only this one.", show_default=False)
]
RoleOption = Annotated[Role, typer.Option("--role", help="Who reads it; --json has everything.")]

_READINGS = {
    Role.OPERATOR: operator_lines,
    Role.DOMAIN_EXPERT: expert_lines,
    Role.DATA_SCIENTIST: fact_lines,
}


def explain(  # noqa: PLR0913 - one parameter per option of the command
    event_id: EventId,
    *,
    role: RoleOption = Role.DATA_SCIENTIST,
    asset: OfAsset = None,
    partition: Partition = None,
    definition: DefinitionHint = None,
    bootstrap: Bootstrap = None,
    properties: Properties = None,
    directory: DirectoryOption = DEFAULT_DIRECTORY,
    key_file: KeyFile = None,
    as_json: JsonOption = False,
) -> None:
    """Say why a prediction says what it says: what each sensor added to it, and what came of it.

    Where no explanation was written, it is made now, from the models as they were; that may take
    a while for the far past. Reads only: no group is joined, nothing is committed or written.
    Exit 1 if there is no such event, or several, or no explanation.
    """
    from tidemill.fold.why.present import PresentTopics  # noqa: PLC0415 - River takes seconds
    from tidemill.fold.why.search import Wanted  # noqa: PLC0415 - as above

    check_environment(os.environ)
    known = [] if definition is None else [_terms(definition)]
    brokers, extra = bootstrap_of(bootstrap, directory), properties_of(properties)
    counts = partition_counts(brokers, extra)
    wanted = Wanted(event_id, asset)
    partitions = _partitions(counts, brokers, wanted=wanted, chosen=partition)
    secret = find_signing_key(key_file, os.environ, directory)
    log = KafkaLog(KafkaClients(brokers, extra))
    try:
        with _progress() as tell:
            asking = _Asking(PresentTopics(log, counts), secret, known, tell)
            answer = asking.answer(partitions, wanted, as_json=as_json)
    finally:
        log.close()
    if as_json:
        typer.echo(json.dumps(answer_document(answer), allow_nan=False))
    else:
        _print(_READINGS[role](answer))
    if answer.explanation is None:
        typer.echo(f"{event_id}: cannot be explained: {answer.obstacle}", err=True)
        raise typer.Exit(1)


def _terms(definition: Path) -> "Terms":
    from tidemill.fold.terms import Terms  # noqa: PLC0415 - as above

    plant = read_plant(definition)
    return Terms(plant.definition, plant.writer_schemas)


def _partitions(
    counts: dict[str, int], brokers: str, *, wanted: "Wanted", chosen: int | None
) -> list[int]:
    """Return where to search.

    Raises:
        ConfigError: Nothing was ever learned there, or there is no such partition.
    """
    for topic in (LEDGER, PREDICTIONS):
        if topic not in counts:
            raise ConfigError([f"{topic}: must exist at {brokers}; nothing was ever learned there"])
    position = wanted.position
    named = position.partition if chosen is None and position is not None else chosen
    if position is not None and position.partition != named:
        msg = f"--partition: must be that of {wanted.name}, was {named}"
        raise ConfigError([msg])
    if named is None:
        return list(range(counts[LEDGER]))
    if named not in range(counts[LEDGER]):
        raise ConfigError([f"--partition: must be from 0 to {counts[LEDGER] - 1}, was {named}"])
    return [named]


class _Asking:
    """Asks the topics for one event."""

    def __init__(
        self, log: "Log", secret: bytes | None, known: "Sequence[Terms]", tell: "Tell"
    ) -> None:
        self._log = log
        self._secret = secret
        self._known = known
        self._tell = tell

    def answer(self, partitions: Sequence[int], wanted: "Wanted", *, as_json: bool) -> "Answer":
        """Return what is known; end the command where that is nothing, or of several events."""
        from tidemill.fold.snapshots import SigningKey  # noqa: PLC0415 - as above
        from tidemill.fold.why.gathering import Gatherer  # noqa: PLC0415 - as above
        from tidemill.fold.why.search import (  # noqa: PLC0415 - as above
            find_predictions,
            originals,
            why_unknown,
        )

        found = find_predictions(self._log, partitions, wanted, self._searched)
        if not found:
            why = why_unknown(self._log, partitions, wanted)
            _say_unknown(wanted, partitions, why, as_json=as_json)
            raise typer.Exit(1)
        first, *others = originals(found)
        if others:
            _say_several(wanted, [first, *others], as_json=as_json)
            raise typer.Exit(1)
        again = tuple(each.source for each in found if each is not first)
        gatherer = Gatherer(
            self._log,
            first.source.partition,
            None if self._secret is None else SigningKey(self._secret),
            known=self._known,
            on_entry=self._folded,
        )
        return gatherer.answer(first, again)

    def _searched(self, partition: int, offset: int) -> None:
        self._tell(f"searching {PREDICTIONS}-{partition}, at {offset:,}")

    def _folded(self, entry: "Entry") -> None:
        self._tell(f"folding again, ledger entry {entry.sequence:,}")


def _say_unknown(wanted: "Wanted", partitions: Sequence[int], why: str, *, as_json: bool) -> None:
    where = f" of {wanted.asset}" if wanted.asset is not None else ""
    numbers = ", ".join(map(str, partitions))
    typer.echo(
        f"EVENT_ID: must name an event{where} with a prediction, {wanted.name!r} has none on "
        f"partition {numbers}: {why}",
        err=True,
    )
    if as_json:
        typer.echo(json.dumps({"found": False, "event_id": wanted.name, "reason": why}))


def _say_several(wanted: "Wanted", found: "Sequence[Found]", *, as_json: bool) -> None:
    typer.echo(
        f"EVENT_ID: must name one event, {wanted.name!r} names {len(found)}; name one by its "
        "position, or by --asset",
        err=True,
    )
    events = [
        {
            "position": str(each.source),
            "stream": each.prediction["stream"],
            "asset": each.prediction["asset"],
        }
        for each in found
    ]
    if as_json:
        typer.echo(json.dumps({"found": False, "event_id": wanted.name, "events": events}))
        return
    for event in events:
        typer.echo("{position}  {stream}  {asset}".format(**event))


@contextmanager
def _progress() -> "Iterator[Tell]":
    """Show on stderr, where that is a terminal, what is being done."""
    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}"))
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task("searching")
        yield lambda text: bar.update(task, description=text)


def _print(lines: Sequence[str]) -> None:
    """Print lines, with bars in colour where that is a terminal."""
    console = Console(file=sys.stdout, highlight=False, soft_wrap=True)
    for line in lines:
        text = Text(line)
        text.highlight_regex("[\u2588\u258f]+(?=\u2502)", "blue")
        text.highlight_regex("(?<=\u2502)[\u2588\u258f]+", "red")
        console.print(text)

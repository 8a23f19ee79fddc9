"""`tidemill audit`: holds the topics against the ledger, and replays the past."""

import json
import os
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TextColumn

from tidemill.cli.audit_bounds import From, To, parse_bound, partitions_of
from tidemill.cli.directory import DirectoryOption, JsonOption
from tidemill.cli.options import Bootstrap, Properties, bootstrap_of, properties_of
from tidemill.contracts.topics import DRIFT_LEDGER, EVENTS, LEDGER, UPDATES
from tidemill.kernel.errors import ConfigError
from tidemill.local.connection import DEFAULT_DIRECTORY
from tidemill.runtime.clients import KafkaClients
from tidemill.runtime.environment import check_environment
from tidemill.runtime.kafka_log import KafkaLog
from tidemill.runtime.keys import find_signing_key
from tidemill.runtime.plant_files import read_plant
from tidemill.runtime.reach import partition_counts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tidemill.fold.audit import Findings
    from tidemill.fold.ledger import Entry
    from tidemill.fold.snapshots import SigningKey
    from tidemill.kernel.processor import Log

    OnEntry = Callable[[Entry], None]
    Audit = Callable[[Log, int, SigningKey | None, OnEntry], Findings]

app = typer.Typer(help="Hold topics against the ledger; replay the past.", no_args_is_help=True)

DefinitionHint = Annotated[
    Path | None,
    typer.Option(
        "-f",
        "--file",
        help="A definition to know beforehand; otherwise the ledger's own are used.",
        show_default=False,
    ),
]
KeyFile = Annotated[
    Path | None,
    typer.Option(
        "--signing-key",
        help="Key of snapshots and anchors. Otherwise TIDEMILL_SIGNING_KEY_FILE, or that of --dir.",
        show_default=False,
    ),
]
Partitions = Annotated[
    list[int] | None,
    typer.Option("-p", "--partition", help="Only this one; repeatable.", show_default=False),
]
_REPORT_EVERY = 50


@dataclass(frozen=True, slots=True)
class Target:
    """What to audit, as the options say."""

    bootstrap: str
    properties: dict[str, str]
    signing: "SigningKey | None"
    partitions: "Sequence[int]"
    has_drift: bool


@app.command()
def verify(
    *,
    definition: DefinitionHint = None,
    bootstrap: Bootstrap = None,
    properties: Properties = None,
    directory: DirectoryOption = DEFAULT_DIRECTORY,
    key_file: KeyFile = None,
    partition: Partitions = None,
    as_json: JsonOption = False,
) -> None:
    """Walk the ledgers' chains and hold every topic against them; exit 1 if anything differs.

    Reads only: no group is joined, nothing is committed or written.
    """
    from tidemill.fold.audit import verify as audit  # noqa: PLC0415 - River takes seconds to import
    from tidemill.processors.drift.audit import verify as of_drift  # noqa: PLC0415 - as above

    if definition is not None:
        read_plant(definition)
    target = _target(bootstrap, properties, directory, key_file=key_file, chosen=partition)

    def run(
        log: "Log", number: int, signing: "SigningKey | None", on_entry: "OnEntry"
    ) -> "Findings":
        return audit(log, number, signing, on_entry=on_entry)

    def run_of_drift(
        log: "Log", number: int, signing: "SigningKey | None", on_entry: "OnEntry"
    ) -> "Findings":
        return of_drift(log, number, signing, on_entry=on_entry)

    audited = _audited("verify", target, run)
    if target.has_drift:
        audited += _audited("verify", target, run_of_drift)
    _finish("verify", audited, as_json=as_json)


@app.command()
def replay(  # noqa: PLR0913 - one parameter per option of the command
    *,
    definition: DefinitionHint = None,
    bootstrap: Bootstrap = None,
    properties: Properties = None,
    directory: DirectoryOption = DEFAULT_DIRECTORY,
    key_file: KeyFile = None,
    partition: Partitions = None,
    start: From = None,
    stop: To = None,
    drift: Annotated[
        bool, typer.Option("--drift", help="Fold the drift ledger again instead.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Fold a span of the past again and locate the first difference; exit 1 if there is one.

    Reads only: no group is joined, nothing is committed or written.
    """
    from tidemill.fold.audit import Span  # noqa: PLC0415 - as above
    from tidemill.fold.audit import replay as audit  # noqa: PLC0415 - as above
    from tidemill.fold.terms import Terms  # noqa: PLC0415 - as above
    from tidemill.processors.drift.audit import DRIFTS, Asked  # noqa: PLC0415 - as above
    from tidemill.processors.drift.audit import replay as of_drift  # noqa: PLC0415 - as above

    known = []
    if definition is not None:
        plant = read_plant(definition)
        known.append(Terms(plant.definition, plant.writer_schemas))
    inputs = DRIFTS.inputs if drift else (EVENTS, UPDATES)
    span = Span(parse_bound("--from", start, inputs), parse_bound("--to", stop, inputs))
    asked = Asked(span, known=tuple(known))
    chosen = partition or partitions_of(span.start, span.stop)
    target = _target(bootstrap, properties, directory, key_file=key_file, chosen=chosen)

    def run(
        log: "Log", number: int, signing: "SigningKey | None", on_entry: "OnEntry"
    ) -> "Findings":
        if drift:
            return of_drift(log, number, signing, asked=asked, on_entry=on_entry)
        return audit(log, number, signing, span=span, known=known, on_entry=on_entry)

    _finish("replay", _audited("replay", target, run), as_json=as_json)


def _inputs_of_drift() -> "tuple[str, ...]":
    from tidemill.processors.drift.processor import INPUTS  # noqa: PLC0415 - as above

    return INPUTS


def _target(
    bootstrap: str | None,
    properties: "Sequence[str] | None",
    directory: Path,
    *,
    key_file: Path | None,
    chosen: "Sequence[int] | None",
) -> Target:
    from tidemill.fold.snapshots import SigningKey  # noqa: PLC0415 - as above

    check_environment(os.environ)
    brokers, extra = bootstrap_of(bootstrap, directory), properties_of(properties)
    counts = partition_counts(brokers, extra)
    count = counts.get(LEDGER)
    if count is None:
        msg = f"{LEDGER}: must exist at {brokers}; nothing was ever learned there"
        raise ConfigError([msg])
    wrong = [str(number) for number in chosen or () if number not in range(count)]
    if wrong:
        found = f"was {', '.join(wrong)}"
        raise ConfigError([f"--partition: must be from 0 to {count - 1}, {found}"])
    secret = find_signing_key(key_file, os.environ, directory)
    signing = None if secret is None else SigningKey(secret)
    return Target(brokers, extra, signing, chosen or range(count), DRIFT_LEDGER in counts)


def _audited(name: str, target: Target, run: "Audit") -> list["Findings"]:
    """Audit one partition after another, with clients of our own."""
    log = KafkaLog(KafkaClients(target.bootstrap, target.properties))
    try:
        with _progress(name) as progress:
            return [
                run(log, number, target.signing, progress(number)) for number in target.partitions
            ]
    finally:
        log.close()


@contextmanager
def _progress(name: str) -> "Iterator[Callable[[int], OnEntry]]":
    """Show on stderr, where that is a terminal, how far each partition is."""
    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}"))
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:

        def begin(number: int) -> "OnEntry":
            task = bar.add_task(f"{name} partition {number}")

            def on_entry(entry: "Entry") -> None:
                if entry.sequence % _REPORT_EVERY == 0:
                    text = f"{name} partition {number}, ledger entry {entry.sequence}"
                    bar.update(task, description=text)

            return on_entry

        yield begin


def _finish(name: str, audited: "Sequence[Findings]", *, as_json: bool) -> None:
    """Print what was found; exit 1 if anything was."""
    differences = sum(len(each.findings) for each in audited)
    first = audited[0].ledger if audited else LEDGER
    if as_json:
        document: dict[str, object] = {
            "audit": name,
            "differences": differences,
            "partitions": [each.document() for each in audited if each.ledger == first],
        }
        if others := [each.document() for each in audited if each.ledger != first]:
            document["drift"] = others
        typer.echo(json.dumps(document))
    else:
        _print(name, audited, differences)
    if differences:
        raise typer.Exit(1)


def _print(name: str, audited: "Sequence[Findings]", differences: int) -> None:
    console = Console(file=sys.stdout, highlight=False, soft_wrap=True)
    for each in audited:
        counts = ", ".join(f"{each.counts[key]:,} {key}" for key in sorted(each.counts))
        reach = "no entry" if each.first is None else f"entries {each.first} to {each.last}"
        of_drift = "" if each.ledger == LEDGER else f" of {each.ledger}"
        console.print(f"partition {each.partition}{of_drift}: {reach}; {escape(counts)}")
        for finding in each.findings:
            rest = str(finding).removeprefix(finding.kind)
            console.print(f"  [bold red]{finding.kind}[/]{escape(rest)}")
        for note in each.notes:
            console.print(f"  note: {escape(note)}")
    noun = "difference" if differences == 1 else "differences"
    console.print(f"{name}: {differences} {noun}")

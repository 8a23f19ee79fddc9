"""`tidemill topics`: create the mesh's topics, and hold those at hand against what they must be."""

import json
import os
from pathlib import Path
from typing import Annotated

import typer

from tidemill.cli.directory import DirectoryOption, JsonOption
from tidemill.cli.options import (
    DEFAULT_DEFINITION,
    Bootstrap,
    DefinitionFile,
    Execute,
    Properties,
    bootstrap_of,
    properties_of,
)
from tidemill.contracts.topic_settings import PRODUCTION_REPLICATION, Shorter, Verdict, Wanted
from tidemill.kernel.errors import ConfigError
from tidemill.local.connection import DEFAULT_DIRECTORY
from tidemill.runtime.locking import lock_records
from tidemill.runtime.plant_files import read_unlocked_plant
from tidemill.runtime.registry import REGISTRY_VARIABLE
from tidemill.runtime.topic_admin import TopicAdmin

Replication = Annotated[
    int | None,
    typer.Option(min=1, help="Copies of each topic; by default 3, or as many as brokers."),
]
Production = Annotated[
    bool,
    typer.Option(
        "--production",
        help="Also ask for what survives a broker: 3 copies, 2 in sync, no unclean election.",
    ),
]
ShortRetention = Annotated[
    bool, typer.Option("--short-retention", help="Accept that topics keep less than replay needs.")
]
RaiseRetention = Annotated[
    bool, typer.Option("--raise-retention", help="Have too short a retention raised; takes disk.")
]


def topics(  # noqa: PLR0913 - one parameter per option of the command
    definition: DefinitionFile = DEFAULT_DEFINITION,
    bootstrap: Bootstrap = None,
    properties: Properties = None,
    directory: DirectoryOption = DEFAULT_DIRECTORY,
    *,
    replication: Replication = None,
    production: Production = False,
    short_retention: ShortRetention = False,
    raise_retention: RaiseRetention = False,
    execute: Execute = False,
    as_json: JsonOption = False,
) -> None:
    """Compare the cluster's topics with what the mesh needs; with --execute, make them so.

    Exit 0 if all is as it must be or was made so, 1 if it is not. Nothing is done where anything
    is refused.
    """
    plant, records = read_unlocked_plant(definition)
    admin = TopicAdmin(bootstrap_of(bootstrap, directory), properties_of(properties))
    wanted = Wanted(
        plant.partitions,
        _copies(replication, admin.brokers, is_production=production),
        admin.brokers,
        check_replication=replication or (PRODUCTION_REPLICATION if production else 0),
        is_production=production,
        shorter=_shorter(is_accepted=short_retention, is_raised=raise_retention),
    )
    verdicts = admin.verdicts(wanted)
    unlocked = [] if os.environ.get(REGISTRY_VARIABLE) else records.unlocked
    is_refused = any(verdict.refusals for verdict in verdicts)
    is_done = execute and not is_refused
    if is_done:
        _execute(admin, verdicts, wanted, records.folder if unlocked else None)
    is_right = not unlocked and all(verdict.state == "ok" for verdict in verdicts)
    if as_json:
        document = {
            "ok": is_done or is_right,
            "executed": is_done,
            "partitions": wanted.partitions,
            "replication": wanted.replication,
            "topics": [_topic_document(verdict) for verdict in verdicts],
            "unlocked": unlocked,
        }
        typer.echo(json.dumps(document))
    else:
        _say(verdicts, wanted, unlocked)
    if not (is_done or is_right):
        why = "some is refused" if is_refused else "--execute does it"
        typer.echo(f"nothing was done: {why}", err=True)
        raise typer.Exit(1)


def _copies(asked: int | None, brokers: int, *, is_production: bool) -> int:
    if is_production and asked is not None and asked < PRODUCTION_REPLICATION:
        msg = f"--replication: must be at least {PRODUCTION_REPLICATION} in production, was {asked}"
        raise ConfigError([msg])
    if asked is not None:
        return asked
    return PRODUCTION_REPLICATION if is_production else min(PRODUCTION_REPLICATION, brokers)


def _shorter(*, is_accepted: bool, is_raised: bool) -> Shorter:
    if is_accepted and is_raised:
        raise ConfigError(["--short-retention and --raise-retention: must not both be given"])
    if is_accepted:
        return Shorter.ACCEPTED
    return Shorter.RAISED if is_raised else Shorter.REFUSED


def _execute(
    admin: TopicAdmin, verdicts: list[Verdict], wanted: Wanted, records: Path | None
) -> None:
    """Lock the records first: it is the part that a mistake in a file can still stop."""
    if records is not None:
        lock_records(records)
    admin.execute(verdicts, wanted)


def _topic_document(verdict: Verdict) -> dict[str, object]:
    return {
        "name": verdict.name,
        "state": verdict.state,
        "create": dict(verdict.create) if verdict.create is not None else None,
        "changes": [
            {"setting": change.setting, "from": change.found, "to": change.wanted}
            for change in verdict.changes
        ],
        "refusals": list(verdict.refusals),
    }


def _say(verdicts: list[Verdict], wanted: Wanted, unlocked: list[str]) -> None:
    for name in unlocked:
        typer.echo(f"lock    {name}: a schema id in the lock file")
    for verdict in verdicts:
        head = f"{verdict.state:<8}{verdict.name}"
        if verdict.state == "create" and verdict.create is not None:
            settings = ", ".join(f"{key}={value}" for key, value in verdict.create.items())
            shape = f"{wanted.partitions} partitions, replication {wanted.replication}"
            typer.echo(f"{head}: {shape}, {settings}")
        for refusal in verdict.refusals:
            typer.echo(f"{head}: {refusal}")
        for change in verdict.changes:
            raised = f"{change.setting} from {change.found} to {change.wanted}"
            typer.echo(f"change  {verdict.name}: {raised}: {change.why}")
        if verdict.state == "ok":
            typer.echo(head)

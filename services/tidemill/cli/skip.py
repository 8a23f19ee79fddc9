"""`tidemill skip`: read an input on from elsewhere, as an action in the ledger."""

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
from tidemill.contracts.topics import EVENTS, LEDGER, UPDATES, group_of
from tidemill.kernel.errors import ConfigError
from tidemill.local.connection import DEFAULT_DIRECTORY
from tidemill.runtime.clients import KafkaClients
from tidemill.runtime.kafka_log import KafkaLog
from tidemill.runtime.keys import signing_key
from tidemill.runtime.plant_files import read_definition
from tidemill.runtime.reach import partition_counts, topic_problems
from tidemill.runtime.sole_member import SoleMember, members

if TYPE_CHECKING:
    from tidemill.fold.skipping import Fallen, Remains, Skip, Standing
    from tidemill.fold.snapshots import SigningKey

NAME = "skip"
INPUTS = (UPDATES, EVENTS)

Topic = Annotated[
    str, typer.Argument(help=" or ".join(INPUTS), metavar="TOPIC", show_default=False)
]
Partition = Annotated[int, typer.Option("--partition", "-p", min=0, show_default=False)]
To = Annotated[
    str,
    typer.Option(
        help="Read on from: an offset, beginning (what is retained and not yet read), or end.",
        show_default=False,
    ),
]
Actor = Annotated[
    str, typer.Option(help="Who decides this; the ledger names them.", show_default=False)
]
KeyFile = Annotated[
    Path | None, typer.Option("--signing-key", help="Key file; see `tidemill keygen`.")
]
FallBack = Annotated[
    bool,
    typer.Option(
        "--fall-back",
        help="Let models that cannot be rebuilt go back to their newest snapshots.",
    ),
]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a skip would do, found out without doing anything."""

    standing: "Standing"
    skip: "Skip"
    remains: "Remains | None"

    @property
    def is_empty(self) -> bool:
        """Whether nothing would change."""
        return self.skip.to == self.skip.start and not self.fallen

    @property
    def fallen(self) -> tuple["Fallen", ...]:
        """Models that cannot be rebuilt."""
        return self.remains.fallen if self.remains else ()


def skip(  # noqa: PLR0913 - one parameter per option of the command
    topic: Topic,
    *,
    partition: Partition,
    to: To,
    actor: Actor,
    definition: DefinitionFile = DEFAULT_DEFINITION,
    bootstrap: Bootstrap = None,
    properties: Properties = None,
    directory: DirectoryOption = DEFAULT_DIRECTORY,
    key_file: KeyFile = None,
    fall_back: FallBack = False,
    execute: Execute = False,
    as_json: JsonOption = False,
) -> None:
    """Have the learner read an input on from elsewhere, as retention or poison may force one to.

    A dry run until --execute, for which all learners must be stopped; one that ended is a member
    of the group for 10 s more. A skip goes forward only.
    """
    plant = read_definition(definition)
    brokers, settings = bootstrap_of(bootstrap, directory), properties_of(properties)
    _check_input(topic, partition, partition_counts(brokers, settings), plant.partitions)
    group = group_of(plant.plant, "learner")
    workers = [name for name in members(brokers, settings, group) if name != NAME]
    if execute and workers:
        raise ConfigError([in_the_way(group, workers)])
    clients = KafkaClients(brokers, settings)
    member = SoleMember(
        clients,
        INPUTS,
        group=group,
        name=NAME,
        partitions=plant.partitions,
        clock=time.monotonic,
    )
    log = KafkaLog(clients)
    try:
        if execute:
            member.join()
        chosen = Chosen(topic, partition, to, actor)
        key = partial(_key, key_file, directory)
        plan = _plan(member, log, chosen, key)
        is_done = execute and not plan.is_empty
        if is_done:
            if plan.fallen and not fall_back:
                raise ConfigError([_lost(plan)])
            _execute(member, plan, key)
    finally:
        log.close()
        member.close()
    document = _document(plan, is_done=is_done, workers=workers)
    if as_json:
        typer.echo(json.dumps(document))
        return
    _say(document)
    if not execute and workers:
        typer.echo(f"before --execute: {in_the_way(group, workers)}", err=True)


@dataclass(frozen=True, slots=True)
class Chosen:
    """What the operator typed."""

    topic: str
    partition: int
    to: str
    actor: str


def _check_input(topic: str, partition: int, found: dict[str, int], expected: int) -> None:
    if topic not in INPUTS:
        raise ConfigError([f"TOPIC: must be {' or '.join(INPUTS)}, was {topic}"])
    problems = topic_problems(dict.fromkeys((*INPUTS, LEDGER), expected), found)
    if partition >= expected:
        problems.append(f"--partition: must be less than {expected}, was {partition}")
    if problems:
        raise ConfigError(problems)


def _plan(
    member: SoleMember, log: KafkaLog, chosen: Chosen, key: Callable[[], "SigningKey"]
) -> Plan:
    from tidemill.fold.skipping import (  # noqa: PLC0415 - River takes a second to import
        choose,
        rebuild_what_remains,
        survey,
    )

    def found() -> "Standing":
        committed = member.committed(chosen.partition)
        return member.drive(lambda: survey(log, chosen.partition, committed))

    standing = found()
    picked = choose(standing, chosen.topic, chosen.to, chosen.actor)
    if not standing.gone:
        return Plan(standing, picked, None)
    signing = key()
    remains = member.drive(lambda: rebuild_what_remains(log, standing, signing))
    return Plan(standing, picked, remains)


def _execute(member: SoleMember, plan: Plan, key: Callable[[], "SigningKey"]) -> None:
    from tidemill.fold.skipping import falling_skip, plain_skip  # noqa: PLC0415 - as above

    if plan.remains is None:
        emits, positions = plain_skip(plan.standing, plan.skip)
    else:
        emits, positions = falling_skip(plan.standing, plan.skip, plan.remains, key())
    partition = plan.standing.tail.entry.partition
    member.commit(emits, {(topic, partition): at for topic, at in positions.items()})


def _key(flag: Path | None, directory: Path) -> "SigningKey":
    from tidemill.fold.snapshots import SigningKey  # noqa: PLC0415 - as above

    return SigningKey(signing_key(flag, os.environ, directory))


def in_the_way(group: str, workers: list[str]) -> str:
    """Return why an action of the ledger has to wait: the partitions have workers."""
    return (
        f"consumer group {group} must have no member, has {', '.join(workers)}: stop the workers; "
        "one that ended is a member until its session times out, 10 s later"
    )


def _lost(plan: Plan) -> str:
    names = ", ".join(fallen.key.encode().decode() for fallen in plan.fallen)
    return (
        f"what {names} learned since the newest snapshot must be retained to be rebuilt, it is "
        "not: restore the records, or accept by --fall-back that these models go back"
    )


def _document(plan: Plan, *, is_done: bool, workers: list[str]) -> dict[str, Any]:  # Any: JSON
    picked, tail = plan.skip, plan.standing.tail.entry
    begin, end = plan.standing.spans[picked.topic]
    return {
        "executed": is_done,
        "topic": picked.topic,
        "partition": tail.partition,
        "from": picked.start,
        "to": picked.to,
        "retained": {"begin": begin, "end": end},
        "gone": min(max(begin, picked.start), picked.to) - picked.start,
        "passed_over": picked.to - min(max(begin, picked.start), picked.to),
        "entry": tail.sequence + 1,
        "workers": workers,
        "models": [
            {
                "model": fallen.key.encode().decode(),
                "version": fallen.version,
                "back_to": fallen.saved,
                "entry": fallen.entry,
            }
            for fallen in plan.fallen
        ],
    }


def _say(document: dict[str, Any]) -> None:  # Any: a JSON document
    where = f"{document['topic']}-{document['partition']}"
    retained = document["retained"]
    typer.echo(
        f"{where}: from {document['from']} to {document['to']}, retained are {retained['begin']} "
        f"to {retained['end']}: {document['gone']} offsets are gone, {document['passed_over']} "
        "retained ones are passed over"
    )
    for model in document["models"]:
        steps = model["version"] - model["back_to"]
        typer.echo(f"  {model['model']}: cannot be rebuilt, {steps} learning steps are lost")
    if document["executed"]:
        typer.echo(f"ledger entry {document['entry']} says so; start the workers again: they have")
        typer.echo("their partitions when this command's own session has timed out, within 10 s")
    elif document["from"] == document["to"] and not document["models"]:
        typer.echo("there is nothing to skip")
    else:
        typer.echo("nothing was done: --execute does it", err=True)

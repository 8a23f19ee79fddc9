"""`tidemill dlq replay`: dead letters back to where they came from, mended, exactly once."""

import json
import os
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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
from tidemill.contracts.codec import our_lock, record_name
from tidemill.contracts.topics import BY_NAME, EVENTS
from tidemill.kernel.deadletters import SUFFIX
from tidemill.kernel.errors import ConfigError, DeadLetterReason
from tidemill.local.connection import DEFAULT_DIRECTORY
from tidemill.runtime.clients import KafkaClients
from tidemill.runtime.dead_letters import UNSAID
from tidemill.runtime.dlq_fix import Fix
from tidemill.runtime.dlq_fix_document import read_rules
from tidemill.runtime.dlq_fix_problems import check_rules
from tidemill.runtime.dlq_letters import Choice, parse_bound
from tidemill.runtime.dlq_records import TopicRecords
from tidemill.runtime.dlq_replay import Licence, Replaying
from tidemill.runtime.dlq_report import ReplayReport
from tidemill.runtime.dlq_sending import ReplaySender, partition_ends, replay_id
from tidemill.runtime.kafka_log import KafkaLog
from tidemill.runtime.plant_files import Plant, read_plant
from tidemill.runtime.reach import partition_counts
from tidemill.runtime.registry import REGISTRY_VARIABLE, Registry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from tidemill.contracts.codec import JsonSchema
    from tidemill.kernel.records import Emit, Message
    from tidemill.runtime.dlq_replay import Decision

    Send = Callable[[list[Emit]], None]

BATCH = 500
PAUSE_S = 0.5
FRESH_EVERY = 1000

SourceTopic = Annotated[
    str, typer.Argument(help="The topic they came from; its .dlq name will do, too.")
]
Reason = Annotated[str | None, typer.Option("--reason", help="Only this reason.")]
Asset = Annotated[
    str | None, typer.Option("--asset", "--key", help="Only with this key or of this asset.")
]
Partition = Annotated[int | None, typer.Option("-p", "--partition", min=0, help="Only this one.")]
_BOUND = "an offset of the dead-letter topic, or an ISO 8601 time (UTC if it names no zone)"
From = Annotated[str | None, typer.Option("--from", help=f"First: {_BOUND}.")]
To = Annotated[str | None, typer.Option("--to", help=f"Last: {_BOUND}; a time is excluded.")]
Limit = Annotated[int | None, typer.Option("--limit", min=1, help="Send at most so many.")]
FixFile = Annotated[
    Path | None, typer.Option("--fix", help="Rules that mend them (YAML).", show_default=False)
]
AsIs = Annotated[
    bool, typer.Option("--as-is", help="Send unchanged also what would be set aside again.")
]
Again = Annotated[
    bool, typer.Option("--again", help="Also those that came from a replay and failed again.")
]
Unproven = Annotated[
    bool,
    typer.Option("--unproven", help="Also where retention hides whether they were sent before."),
]


def replay(  # noqa: PLR0913 - one parameter per option of the command
    topic: SourceTopic = EVENTS,
    definition: DefinitionFile = DEFAULT_DEFINITION,
    bootstrap: Bootstrap = None,
    properties: Properties = None,
    *,
    directory: DirectoryOption = DEFAULT_DIRECTORY,
    reason: Reason = None,
    asset: Asset = None,
    partition: Partition = None,
    first: From = None,
    last: To = None,
    limit: Limit = None,
    fix: FixFile = None,
    as_is: AsIs = False,
    again: Again = False,
    unproven: Unproven = False,
    execute: Execute = False,
    as_json: JsonOption = False,
) -> None:
    """Send dead letters back to their topic and partition, mended by rules, each exactly once.

    A dry run until --execute. A letter that would be set aside again stays where it is, and so
    does one that was sent before. Exit 1 if any that was meant is refused.
    """
    topic = topic.removesuffix(SUFFIX)
    span = parse_bound("--from", first), parse_bound("--to", last)
    choice = Choice(_known_reason(reason), asset, partition, *span)
    plant = read_plant(definition)
    schemas = {**plant.writer_schemas, **_registered(plant)}
    records = _records(topic, plant, schemas)
    rules = [] if fix is None else read_rules(fix)
    check_rules(rules, records)
    mending = Fix(rules, records)
    replaying = Replaying(
        topic,
        choice,
        records=records,
        fix=mending,
        check=Acceptance(plant, schemas),
        licence=Licence(as_is, again, unproven),
    )
    target = Target(
        bootstrap_of(bootstrap, directory),
        properties_of(properties),
        replay_id(plant.definition.plant, topic),
    )
    report = ReplayReport(topic, is_executed=execute)
    _run(replaying, target, report, limit=limit)
    _say(report, mending, as_json=as_json)
    raise typer.Exit(int(report.is_refused))


@dataclass(frozen=True, slots=True)
class Target:
    """The cluster, and the transactional id of those who replay to it."""

    bootstrap: str
    properties: dict[str, str]
    transactional_id: str


def _run(replaying: Replaying, target: Target, report: ReplayReport, *, limit: int | None) -> None:
    where, topic = (target.bootstrap, target.properties), replaying.topic
    counts = partition_counts(*where)
    _check_topic(topic, replaying.choice.partition, counts)
    clients = KafkaClients(*where)
    sender = ReplaySender(clients, target.transactional_id, clock=time.monotonic)
    log = KafkaLog(clients)
    try:
        if report.is_executed:
            sender.take_over()
        ends = partial(partition_ends, *where, topic, counts[topic])
        survey = replaying.survey(log, counts, ends, pause=partial(time.sleep, PAUSE_S))
        decisions = replaying.decisions(log, survey, limit=limit)
        carry_out(decisions, report, sender.send if report.is_executed else None)
    finally:
        log.close()
        sender.close()


def carry_out(decisions: "Iterable[Decision]", report: ReplayReport, send: "Send | None") -> None:
    """Report decisions, and send what is to be sent, so many records in a transaction."""
    batch: list[Emit] = []
    for decision in decisions:
        report.add(decision)
        if decision.emit is not None and send is not None:
            batch.append(decision.emit)
        if len(batch) == BATCH:
            assert send is not None
            send(batch)
            batch = []
    if batch and send is not None:
        send(batch)


class Acceptance:
    """Says why a learner would set a record aside, by having one read it that knows no asset."""

    def __init__(self, plant: Plant, schemas: "Mapping[int, JsonSchema]") -> None:
        from tidemill.fold.plans import plan_problems  # noqa: PLC0415 - River takes a second
        from tidemill.fold.terms import Terms  # noqa: PLC0415 - as above

        problems = plan_problems(plant.definition)
        if problems:
            raise ConfigError(problems)
        self._terms = Terms(plant.definition, dict(schemas))
        self._seen = 0
        self._renew()

    def _renew(self) -> None:
        from tidemill.fold.applying import Fold  # noqa: PLC0415 - as above

        self._fold = Fold(self._terms, 0)

    def __call__(self, message: "Message") -> str | None:
        """Return why a record would be set aside, or None."""
        self._seen += 1
        if self._seen % FRESH_EVERY == 0:
            self._renew()
        emits = self._fold.apply([message], self._seen)
        for emit in emits:
            if emit.topic == message.topic + SUFFIX:
                headers = dict(emit.headers)
                reason = headers["tidemill.reason"].decode()
                return f"{reason}: {headers['__streams.errors.message'].decode()}"
        return None


def _records(topic: str, plant: Plant, schemas: "Mapping[int, JsonSchema]") -> TopicRecords:
    """Return how the records of a topic are read.

    Raises:
        ConfigError: No learner reads that topic.
    """
    if topic == EVENTS:
        return TopicRecords(schemas, plant.definition)
    from tidemill.fold.applying import INPUTS  # noqa: PLC0415 - as above

    if topic not in INPUTS:
        raise ConfigError([f"TOPIC: must be {' or '.join(INPUTS)}, was {topic}"])
    name = f"tidemill.{BY_NAME[topic].record}"
    return TopicRecords({n: s for n, s in our_lock().items() if record_name(s) == name})


def _registered(plant: Plant) -> "dict[int, JsonSchema]":
    """Return what the registry knows of the plant's records by id; nothing without one."""
    url = os.environ.get(REGISTRY_VARIABLE)
    if not url:
        return {}
    registry = Registry(url)
    found: dict[int, JsonSchema] = {}
    for stream in plant.definition.streams:
        found |= registry.versions(EVENTS, stream.event)
    return found


def _known_reason(reason: str | None) -> str | None:
    known = [*(each.value for each in DeadLetterReason), UNSAID]
    if reason not in {None, *known}:
        raise ConfigError([f"--reason: must be one of {', '.join(known)}, was {reason}"])
    return reason


def _check_topic(topic: str, partition: int | None, counts: dict[str, int]) -> None:
    missing = [name for name in (topic, topic + SUFFIX) if name not in counts]
    if missing:
        fix = "create it by `tidemill topics --execute`"
        raise ConfigError([f"{name}: must exist; {fix}" for name in missing])
    if partition is not None and partition >= counts[topic + SUFFIX]:
        problem = f"-p: must be less than {counts[topic + SUFFIX]}, was {partition}"
        raise ConfigError([problem])


def _say(report: ReplayReport, fix: Fix, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(report.document(fix.used)))
        return
    for line in report.lines(fix.used):
        typer.echo(line)
    if not report.is_executed:
        typer.echo("nothing was sent: --execute does it", err=True)

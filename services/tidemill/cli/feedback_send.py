"""`tidemill feedback send` and `retract`: what people say, written and, if asked, waited for."""

import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from tidemill.cli.directory import DirectoryOption, JsonOption
from tidemill.cli.feedback_printing import print_receipt, progress
from tidemill.cli.feedback_resolving import Ready, Resolver
from tidemill.cli.options import Bootstrap, Properties, bootstrap_of, properties_of
from tidemill.contracts.codec import codec
from tidemill.contracts.feedback_form import FEEDBACK, RECEIPT, REFUSED
from tidemill.contracts.topics import FEEDBACK as FEEDBACK_TOPIC
from tidemill.contracts.topics import PREDICTIONS, RECEIPTS
from tidemill.kernel.errors import ConfigError
from tidemill.local.connection import DEFAULT_DIRECTORY
from tidemill.runtime.clients import KafkaClients
from tidemill.runtime.feedback_lines import Draft, read_file, read_options
from tidemill.runtime.feedback_topics import Record, reading_codec
from tidemill.runtime.feedback_waiting import Receipts
from tidemill.runtime.feedback_words import document
from tidemill.runtime.kafka_log import KafkaLog
from tidemill.runtime.reach import partition_counts, topic_problems
from tidemill.runtime.registry import REGISTRY_VARIABLE, Registry
from tidemill.runtime.sending import Sender

File = Annotated[
    Path | None, typer.Option("--file", help="One Feedback per line, as JSON.", show_default=False)
]
Kind = Annotated[str | None, typer.Option(help="RIGHT, WRONG, CORRECTED, IRRELEVANT, HOLD, ...")]
Event = Annotated[
    str | None, typer.Option(help="The event's id, or where it stands: sensor.events-0@123.")
]
Asset = Annotated[str | None, typer.Option(help="As its events name it.")]
Stream = Annotated[str | None, typer.Option(help="Of the plant's definition.")]
Feature = Annotated[str | None, typer.Option(help="The sensor an explanation feedback is about.")]
Value = Annotated[str | None, typer.Option(help="The right answer, of CORRECTED.")]
Actor = Annotated[str | None, typer.Option(help="Who says so.")]
Role = Annotated[str | None, typer.Option(help="operator or domain_expert.")]
Comment = Annotated[str | None, typer.Option(help="For people.")]
Until = Annotated[str | None, typer.Option(help="Event time at which a HOLD ends, ISO 8601.")]
Scope = Annotated[str | None, typer.Option(help="One model's name; all without it.")]
Target = Annotated[str | None, typer.Option(help="Id of the feedback that is meant.")]
Drift = Annotated[str | None, typer.Option(help="Id of the drift that is answered.")]
Selection = Annotated[
    float | None, typer.Option(help="The selection that `feedback queue` named for the case.")
]
Wait = Annotated[bool, typer.Option("--wait", help="Until each has its final receipt.")]
Timeout = Annotated[float, typer.Option(min=0.0, help="Seconds to wait for receipts.")]
FeedbackId = Annotated[
    str, typer.Argument(help="The feedback's id.", metavar="FEEDBACK_ID", show_default=False)
]
SaidBy = Annotated[str, typer.Option("--actor", help="Who says so.", show_default=False)]
InRole = Annotated[
    str, typer.Option("--role", help="operator or domain_expert.", show_default=False)
]

WAIT_S = 60.0


@dataclass(frozen=True, slots=True)
class Sending:
    """Where to send, and what to do then; `wait_s` is None without waiting."""

    bootstrap: str
    properties: dict[str, str]
    wait_s: float | None
    as_json: bool


def send(  # noqa: PLR0913 - one parameter per option of the command
    *,
    file: File = None,
    kind: Kind = None,
    event: Event = None,
    asset: Asset = None,
    stream: Stream = None,
    feature: Feature = None,
    value: Value = None,
    actor: Actor = None,
    role: Role = None,
    comment: Comment = None,
    until: Until = None,
    scope: Scope = None,
    target: Target = None,
    drift: Drift = None,
    selection: Selection = None,
    wait: Wait = False,
    timeout: Timeout = WAIT_S,
    bootstrap: Bootstrap = None,
    properties: Properties = None,
    directory: DirectoryOption = DEFAULT_DIRECTORY,
    as_json: JsonOption = False,
) -> None:
    """Send feedback: one by options, or a file of them. Everything is checked first.

    The prediction is looked up, and its position, asset and stream are copied from it. All is
    acknowledged by the broker, or exit 1. With --wait, exit 1 also if any is REFUSED, or has no
    final receipt in time. What was sent before, by its id, is not sent again.
    """
    given = {
        "kind": kind, "event_id": event, "asset": asset, "stream": stream, "feature": feature,
        "value": value, "actor": actor, "role": role, "comment": comment, "until": until,
        "scope": scope, "target_id": target, "drift_id": drift, "selection": selection,
    }  # fmt: skip
    if file is not None and any(each is not None for each in given.values()):
        raise ConfigError(["--file: must be given alone, found options of one feedback too"])
    drafts = [read_options(given)] if file is None else read_file(file)
    brokers, settings = bootstrap_of(bootstrap, directory), properties_of(properties)
    deliver(drafts, Sending(brokers, settings, timeout if wait else None, as_json))


def retract(  # noqa: PLR0913 - one parameter per option of the command
    feedback_id: FeedbackId,
    *,
    actor: SaidBy,
    role: InRole,
    comment: Comment = None,
    wait: Wait = False,
    timeout: Timeout = WAIT_S,
    bootstrap: Bootstrap = None,
    properties: Properties = None,
    directory: DirectoryOption = DEFAULT_DIRECTORY,
    as_json: JsonOption = False,
) -> None:
    """Take a feedback back: the model becomes what it would be without it."""
    given = {"kind": "RETRACT", "target_id": feedback_id, "actor": actor, "role": role}
    drafts = [read_options({**given, "comment": comment})]
    brokers, settings = bootstrap_of(bootstrap, directory), properties_of(properties)
    deliver(drafts, Sending(brokers, settings, timeout if wait else None, as_json))


def deliver(drafts: Sequence[Draft], sending: Sending) -> None:
    """Resolve, write, wait and say so; end the command with 1 where something is wrong."""
    counts = partition_counts(sending.bootstrap, sending.properties)
    _check_topics(counts, sending)
    url = os.environ.get(REGISTRY_VARIABLE)
    registry = Registry(url) if url else None
    clients = KafkaClients(sending.bootstrap, sending.properties)
    ready = _resolve(drafts, clients, counts, registry)
    opening = partial(
        Receipts,
        clients,
        sorted({each.partition for each in ready}),
        reading_codec(RECEIPT, RECEIPTS, registry),
        is_new=not any(each.is_there or each.refused_at for each in ready),
    )
    with _opened(opening, is_wanted=sending.wait_s is not None) as receipts:
        settings = {"client.id": "tidemill-feedback", **sending.properties}
        sender = Sender(sending.bootstrap, settings)
        is_written = _write(ready, sender)
        if not sending.as_json:
            _say_written(ready, sender)
        final = _wait(receipts, ready, sending) if receipts and is_written else {}
    if sending.as_json:
        typer.echo(json.dumps(_document(ready, sender, final), allow_nan=False))
    accepted = receipts.accepted if receipts else set()
    is_good = is_written and (receipts is None or _is_good(ready, final, accepted, sending))
    raise typer.Exit(0 if is_good else 1)


def _write(ready: Sequence[Ready], sender: Sender) -> bool:
    """Write what is not there yet; return whether all of it was acknowledged."""
    for each in ready:
        if not each.is_there and sender.failure is None:
            value = codec(FEEDBACK).encode(each.record)
            key = each.record["asset"]
            sender.send(FEEDBACK_TOPIC, key=key, value=value, partition=each.partition)
    is_written = sender.finish()
    if not is_written:
        typer.echo(f"not all was acknowledged: {sender.failure}", err=True)
    return is_written


def _check_topics(counts: dict[str, int], sending: Sending) -> None:
    if PREDICTIONS not in counts:
        where = f"{PREDICTIONS}: must exist at {sending.bootstrap}"
        raise ConfigError([f"{where}; create it by `tidemill topics --execute`"])
    wanted = [FEEDBACK_TOPIC] if sending.wait_s is None else [FEEDBACK_TOPIC, RECEIPTS]
    problems = topic_problems(dict.fromkeys(wanted, counts[PREDICTIONS]), counts)
    if problems:
        raise ConfigError(problems)


def _resolve(
    drafts: Sequence[Draft],
    clients: KafkaClients,
    counts: dict[str, int],
    registry: Registry | None,
) -> list[Ready]:
    from tidemill.fold.why.present import PresentTopics  # noqa: PLC0415 - River takes seconds

    log = KafkaLog(clients)
    try:
        with progress("searching") as tell:
            resolver = Resolver(PresentTopics(log, counts), counts, registry, tell)
            return resolver.ready(drafts, time.time_ns() // 1000)
    finally:
        log.close()


@contextmanager
def _opened(opening: "partial[Receipts]", *, is_wanted: bool) -> Iterator[Receipts | None]:
    receipts = opening() if is_wanted else None
    try:
        yield receipts
    finally:
        if receipts is not None:
            receipts.close()


def _say_written(ready: Sequence[Ready], sender: Sender) -> None:
    for each in ready:
        known = "there already" if each.is_there else "sent again" if each.refused_at else "sent"
        typer.echo(f"{known}  {each.record['feedback_id']}  {each.record['kind']}")
    there = sum(each.is_there for each in ready)
    also = f", {there} were there already" if there else ""
    typer.echo(f"wrote {sender.acknowledged[FEEDBACK_TOPIC]} feedback to {FEEDBACK_TOPIC}{also}")


def _wait(receipts: Receipts, ready: Sequence[Ready], sending: Sending) -> dict[str, Record]:
    assert sending.wait_s is not None
    wanted = {each.record["feedback_id"]: each.refused_at for each in ready}
    deadline = time.monotonic() + sending.wait_s
    final: dict[str, Record] = {}
    for said in receipts.final(wanted, deadline, time.monotonic):
        final[said.record["feedback_id"]] = said.record
        if not sending.as_json:
            print_receipt(said.record)
    return final


def _is_good(
    ready: Sequence[Ready], final: dict[str, Record], accepted: set[str], sending: Sending
) -> bool:
    """Say which have no final receipt; return whether all have one, and none is refused."""
    missing = [r.record["feedback_id"] for r in ready if r.record["feedback_id"] not in final]
    if missing:
        typer.echo(
            f"{len(missing)} of {len(ready)} must have a final receipt within "
            f"{sending.wait_s:g} s, found none: {', '.join(missing)}; `tidemill feedback list` "
            "says what became of them later",
            err=True,
        )
    taken = [name for name in missing if name in accepted]
    if taken:
        typer.echo(
            f"{len(taken)} of them were accepted and passed on: what models made of them the "
            "learner has not said yet",
            err=True,
        )
    if len(missing) > len(taken):
        typer.echo(
            "what has no receipt at all, the feedback processor has not come to yet", err=True
        )
    return not missing and all(each["status"] != REFUSED for each in final.values())


def _document(
    ready: Sequence[Ready], sender: Sender, final: dict[str, Record]
) -> dict[str, Any]:  # Any: JSON
    sent = [
        {
            "feedback": document(each.record),
            "partition": each.partition,
            "already": each.is_there,
            "receipt": document(final[name])
            if (name := each.record["feedback_id"]) in final
            else None,
        }
        for each in ready
    ]
    there = sum(each.is_there for each in ready)
    return {"written": sender.acknowledged[FEEDBACK_TOPIC], "already": there, "sent": sent}

"""`tidemill feedback list` and `watch`: what was said, and what became of it."""

import json
import os
import sys
from contextlib import closing
from dataclasses import dataclass
from typing import Annotated

import typer

from tidemill.cli.directory import DirectoryOption, JsonOption
from tidemill.cli.feedback_printing import ending_quietly, print_line
from tidemill.cli.options import Bootstrap, Properties, bootstrap_of, properties_of
from tidemill.contracts.codec import Codec
from tidemill.contracts.feedback_form import FEEDBACK, FINAL, RECEIPT
from tidemill.contracts.topics import FEEDBACK as FEEDBACK_TOPIC
from tidemill.contracts.topics import RECEIPTS
from tidemill.kernel.errors import ConfigError
from tidemill.kernel.records import Position
from tidemill.local.connection import DEFAULT_DIRECTORY
from tidemill.runtime.clients import KafkaClients
from tidemill.runtime.feedback_following import follow_in_turn
from tidemill.runtime.feedback_lines import moment_us
from tidemill.runtime.feedback_topics import (
    Record,
    Said,
    last_receipts,
    read_all,
    reading_codec,
)
from tidemill.runtime.feedback_words import document, feedback_line, receipt_line, status_line
from tidemill.runtime.kafka_log import KafkaLog
from tidemill.runtime.reach import partition_counts
from tidemill.runtime.registry import REGISTRY_VARIABLE, Registry
from tidemill.runtime.tailing import BEGINNING, END, Place

OfAsset = Annotated[str | None, typer.Option("--asset", help="Only of this asset.")]
OfActor = Annotated[str | None, typer.Option("--actor", help="Only from this person.")]
OfEvent = Annotated[
    str | None, typer.Option("--event", help="Only on this event: its id, or sensor.events-0@123.")
]
Status = Annotated[
    str | None, typer.Option(help="Only with this last receipt; NONE: without any yet.")
]
Since = Annotated[str | None, typer.Option(help="Only said from this time on, ISO 8601.")]
FromBeginning = Annotated[
    bool, typer.Option("--from-beginning", help="What is retained too, not only what comes.")
]
ExitAtEnd = Annotated[bool, typer.Option("-e", "--exit", help="End at the end of both topics.")]

NO_RECEIPT = "NONE"
_STATUSES = ("ACCEPTED", *sorted(FINAL), NO_RECEIPT)


@dataclass(frozen=True, slots=True)
class Choice:
    """Which feedback is meant; what is left out chooses all."""

    asset: str | None = None
    actor: str | None = None
    status: str | None = None
    since_us: int | None = None
    event: str | None = None

    def takes(self, feedback: Record, receipt: Record | None) -> bool:
        """Return whether a feedback with its last receipt is meant."""
        status = NO_RECEIPT if receipt is None else receipt["status"]
        place = feedback["event"] and str(Position(**feedback["event"]))
        return (
            self.asset in {None, feedback["asset"]}
            and self.actor in {None, feedback["actor"]}
            and self.status in {None, status}
            and self.event in {None, feedback["event_id"], place}
            and (self.since_us is None or feedback["time"] >= self.since_us)
        )


def list_(  # noqa: PLR0913 - one parameter per option of the command
    *,
    asset: OfAsset = None,
    actor: OfActor = None,
    status: Status = None,
    since: Since = None,
    event: OfEvent = None,
    bootstrap: Bootstrap = None,
    properties: Properties = None,
    directory: DirectoryOption = DEFAULT_DIRECTORY,
    as_json: JsonOption = False,
) -> None:
    """List the feedback that is retained, each with its last receipt, the newest last."""
    choice = Choice(asset, actor, _known_status(status), _since(since), event)
    brokers, settings = bootstrap_of(bootstrap, directory), properties_of(properties)
    found = [each for each in _retained(brokers, settings) if choice.takes(*_records(each))]
    if as_json:
        documents = [
            {
                **document(said.record, said.position),
                "receipt": receipt and document(receipt.record, receipt.position),
            }
            for said, receipt in found
        ]
        typer.echo(json.dumps({"feedback": documents}, allow_nan=False))
        return
    for each in found:
        feedback, receipt = _records(each)
        print_line(feedback_line(feedback))
        print_line(status_line(receipt))
    typer.echo(f"{len(found)} feedback", err=True)


def _retained(brokers: str, settings: dict[str, str]) -> list[tuple[Said, Said | None]]:
    """Return all feedback that is retained with its last receipt, in order of time."""
    counts, readings = _counts_and_readings(brokers, settings)
    log = KafkaLog(KafkaClients(brokers, settings))
    try:
        feedback = list(
            read_all(log, FEEDBACK_TOPIC, counts[FEEDBACK_TOPIC], readings[FEEDBACK_TOPIC])
        )
        last = last_receipts(read_all(log, RECEIPTS, counts[RECEIPTS], readings[RECEIPTS]))
    finally:
        log.close()
    feedback.sort(key=lambda said: (said.record["time"], said.at_ms, said.position))
    return [(said, last.get(said.record["feedback_id"])) for said in feedback]


def _records(pair: tuple[Said, Said | None]) -> tuple[Record, Record | None]:
    said, receipt = pair
    return said.record, receipt and receipt.record


def watch(
    *,
    asset: OfAsset = None,
    from_beginning: FromBeginning = False,
    exit_at_end: ExitAtEnd = False,
    bootstrap: Bootstrap = None,
    properties: Properties = None,
    directory: DirectoryOption = DEFAULT_DIRECTORY,
    as_json: JsonOption = False,
) -> None:
    """Print feedback and receipts as they come, until Ctrl-C; with --json one document per line."""
    brokers, settings = bootstrap_of(bootstrap, directory), properties_of(properties)
    counts, readings = _counts_and_readings(brokers, settings)
    place = Place(BEGINNING if from_beginning else END)
    clients = KafkaClients(brokers, settings)
    coming = follow_in_turn(clients, counts, readings, place, is_endless=not exit_at_end)
    with ending_quietly(), closing(coming):
        for topic, said in coming:
            if asset in {None, said.record["asset"]}:
                _print(topic, said, as_json=as_json)
                sys.stdout.flush()


def _print(topic: str, said: Said, *, as_json: bool) -> None:
    if as_json:
        shown = {"topic": topic, **document(said.record, said.position)}
        sys.stdout.write(json.dumps(shown, allow_nan=False) + "\n")
    elif topic == RECEIPTS:
        print_line(f"  {receipt_line(said.record)}")
    else:
        print_line(feedback_line(said.record))


def _counts_and_readings(
    brokers: str, settings: dict[str, str]
) -> tuple[dict[str, int], dict[str, Codec]]:
    """Return the partitions of both topics, and what reads them.

    Raises:
        ConfigError: One of them does not exist.
    """
    counts = partition_counts(brokers, settings)
    fix = "create it by `tidemill topics --execute`"
    missing = [name for name in (FEEDBACK_TOPIC, RECEIPTS) if name not in counts]
    if missing:
        raise ConfigError([f"{name}: must exist at {brokers}; {fix}" for name in missing])
    url = os.environ.get(REGISTRY_VARIABLE)
    registry = Registry(url) if url else None
    records = {FEEDBACK_TOPIC: FEEDBACK, RECEIPTS: RECEIPT}
    return counts, {t: reading_codec(name, t, registry) for t, name in records.items()}


def _known_status(status: str | None) -> str | None:
    if status is None or status.upper() in _STATUSES:
        return status and status.upper()
    raise ConfigError([f"--status: must be one of {', '.join(_STATUSES)}, was {status}"])


def _since(text: str | None) -> int | None:
    try:
        return None if text is None else moment_us(text)
    except ValueError as error:
        raise ConfigError([f"--since: {error}"]) from error

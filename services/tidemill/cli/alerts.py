"""`tidemill alerts`: the alarms that stand, and what people say of them."""

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, starmap
from typing import Annotated, Any

import typer

from tidemill.cli.directory import DirectoryOption, JsonOption
from tidemill.cli.options import Bootstrap, Properties, bootstrap_of, properties_of
from tidemill.contracts.codec import Codec, codec
from tidemill.contracts.feedback_form import deterministic_id, form_problems
from tidemill.contracts.quantities import parse_duration_s
from tidemill.contracts.topics import ALARM_STATES, ALARMS, FEEDBACK
from tidemill.kernel.errors import ConfigError
from tidemill.local.connection import DEFAULT_DIRECTORY
from tidemill.processors.alerts.listing import remembered_alarms
from tidemill.runtime.alarm_topic import (
    HEARTBEAT,
    Alarm,
    alarm_line,
    changes_from,
    document,
    last_changes,
    read_alarms,
)
from tidemill.runtime.clients import KafkaClients
from tidemill.runtime.feedback_lines import moment_us
from tidemill.runtime.feedback_topics import reading_codec
from tidemill.runtime.kafka_log import KafkaLog
from tidemill.runtime.reach import partition_counts
from tidemill.runtime.registry import REGISTRY_VARIABLE, Registry
from tidemill.runtime.sending import Sender

app = typer.Typer(help="Alarms: which stand, acknowledge, shelve.", no_args_is_help=True)

AlarmId = Annotated[
    str, typer.Argument(help="As `alerts list` names it.", metavar="ALARM_ID", show_default=False)
]
SaidBy = Annotated[str, typer.Option("--actor", help="Who says so.", show_default=False)]
InRole = Annotated[str, typer.Option("--role", help="operator or domain_expert.")]
Comment = Annotated[str | None, typer.Option(help="For people.")]
Timeout = Annotated[
    float, typer.Option(min=0.0, help="Seconds to wait until it is in force; 0 waits for nothing.")
]
WAIT_S, LOOK_S = 30.0, 0.25


@dataclass(frozen=True, slots=True)
class Place:
    """Where alarms are."""

    bootstrap: str
    properties: dict[str, str]

    def alarms(self, *, every: bool = False) -> list[Alarm]:
        """Return the alarms that are remembered, those that stand among them, however old.

        Args:
            every: Whether others whose changes are retained are wanted too.

        Raises:
            ConfigError: A topic does not exist.
        """
        counts = partition_counts(self.bootstrap, self.properties)
        missing = [topic for topic in (ALARMS, ALARM_STATES) if topic not in counts]
        if missing:
            fix = "create it by `tidemill topics --execute`"
            raise ConfigError(
                [f"{each}: must exist at {self.bootstrap}; {fix}" for each in missing]
            )
        with self._log() as log:
            retained = read_alarms(log, counts[ALARMS], self._reading()) if every else []
            known = starmap(Alarm, remembered_alarms(log, counts[ALARM_STATES]))
            return last_changes(chain(known, retained))

    @staticmethod
    def _reading() -> Codec:
        url = os.environ.get(REGISTRY_VARIABLE)
        return reading_codec("Alarm", ALARMS, Registry(url) if url else None)

    @contextmanager
    def _log(self) -> Iterator[KafkaLog]:
        log = KafkaLog(KafkaClients(self.bootstrap, self.properties))
        try:
            yield log
        finally:
            log.close()

    def alarm(self, name: str) -> Alarm:
        """Return one alarm.

        Raises:
            ConfigError: There is no such alarm.
        """
        found = next((each for each in self.alarms() if each.record["alarm_id"] == name), None)
        if found is None or found.record["kind"] == HEARTBEAT:
            msg = f"ALARM_ID: must be one that `tidemill alerts list` names, was {name!r}"
            raise ConfigError([msg])
        return found

    def end(self, alarm: Alarm) -> int:
        """Return where the changes of an alarm end by now."""
        with self._log() as log:
            return log.span(ALARMS, alarm.position.partition)[1]

    def next_change(self, alarm: Alarm, actor: str, at: int, timeout: float) -> Alarm | None:
        """Return the next change that a person's word led to; None if none comes in time.

        Args:
            at: The offset from which on it is looked for.
        """
        deadline = time.monotonic() + timeout
        reading = self._reading()
        with self._log() as log:
            while time.monotonic() < deadline:
                changes, at = changes_from(log, alarm, at, reading)
                for change in changes:
                    if change.record["actor"] == actor:
                        return change
                time.sleep(LOOK_S)
        return None


@app.command("list")
def list_(
    *,
    asset: Annotated[str | None, typer.Option("--asset", help="Only of this asset.")] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Those that were cleared, and heartbeats, too.")
    ] = False,
    bootstrap: Bootstrap = None,
    properties: Properties = None,
    directory: DirectoryOption = DEFAULT_DIRECTORY,
    as_json: JsonOption = False,
) -> None:
    """List the alarms that stand, what nobody has acknowledged first."""
    place = Place(bootstrap_of(bootstrap, directory), properties_of(properties))
    found = [
        each
        for each in place.alarms(every=every)
        if asset in {None, each.record["asset"]} and (every or each.is_standing)
    ]
    if as_json:
        typer.echo(json.dumps({"alarms": [document(each) for each in found]}, allow_nan=False))
        return
    for each in found:
        typer.echo(alarm_line(each.record))
    typer.echo(f"{len(found)} alarms", err=True)


@app.command("ack")
def ack(
    alarm_id: AlarmId,
    *,
    actor: SaidBy,
    role: InRole = "operator",
    comment: Comment = None,
    timeout: Timeout = WAIT_S,
    bootstrap: Bootstrap = None,
    properties: Properties = None,
    directory: DirectoryOption = DEFAULT_DIRECTORY,
) -> None:
    """Acknowledge an alarm: it was seen. One whose condition is gone is cleared by that.

    Waits until it is in force; exit 1 if it is not in time.
    """
    place = Place(bootstrap_of(bootstrap, directory), properties_of(properties))
    alarm = place.alarm(alarm_id)
    if alarm.record["state"] != "UNACKNOWLEDGED":
        state = alarm.record["state"]
        raise ConfigError([f"ALARM_ID: must be of an unacknowledged alarm, it is {state}"])
    said = {"kind": "ACKNOWLEDGE", "actor": actor, "role": role, "comment": comment}
    _say(place, alarm, said, timeout)


@app.command("shelve")
def shelve(  # noqa: PLR0913 - as above
    alarm_id: AlarmId,
    *,
    until: Annotated[
        str,
        typer.Option(help="ISO 8601, or for how long, as 8h; `now` ends it.", show_default=False),
    ],
    actor: SaidBy,
    role: InRole = "operator",
    comment: Comment = None,
    timeout: Timeout = WAIT_S,
    bootstrap: Bootstrap = None,
    properties: Properties = None,
    directory: DirectoryOption = DEFAULT_DIRECTORY,
) -> None:
    """Shelve an alarm for a while, a day at most; then it comes back, if its condition stands.

    Waits until it is in force; exit 1 if it is not in time.
    """
    now_s = time.time()
    until_us = _until(until, now_s)
    place = Place(bootstrap_of(bootstrap, directory), properties_of(properties))
    alarm = place.alarm(alarm_id)
    if not alarm.is_standing:
        raise ConfigError(["ALARM_ID: must be of an alarm that stands, it is CLEARED"])
    if until_us <= now_s * 1_000_000 and alarm.record["state"] != "SHELVED":
        state = alarm.record["state"]
        raise ConfigError([f"--until: must be later than now, for the alarm is {state}"])
    said = {"kind": "SHELVE", "actor": actor, "role": role, "comment": comment, "until": until_us}
    _say(place, alarm, said, timeout)


def _until(text: str, now_s: float) -> int:
    """Return when a shelf ends, in microseconds.

    Raises:
        ConfigError: It is neither a time nor a duration.
    """
    if text == "now":
        return int(now_s * 1_000_000) - 1_000_000
    try:
        return int((now_s + parse_duration_s(text)) * 1_000_000)
    except ValueError:
        pass
    try:
        return moment_us(text)
    except ValueError as error:
        raise ConfigError([f"--until: must be a duration, now, or a time: {error}"]) from error


def _say(place: Place, alarm: Alarm, said: dict[str, Any], timeout: float) -> None:  # Any: Avro
    """Write what a person says to the partition of the alarm, and wait for what becomes of it."""
    record = alarm.record
    key = record["asset"] or ALARMS
    fields = {
        **said,
        "asset": key,
        "stream": record["stream"],
        "target_id": record["alarm_id"],
        "time": int(time.time() * 1_000_000),
    }
    problems = [f"--{found.field}: {found.text}" for found in form_problems(fields)]
    if problems:
        raise ConfigError(problems)
    value = codec("Feedback").encode({**fields, "feedback_id": deterministic_id(fields)})
    end = place.end(alarm) if timeout else 0
    sender = Sender(place.bootstrap, place.properties)
    sender.send(FEEDBACK, key=key, value=value, partition=alarm.position.partition)
    if not sender.finish():
        typer.echo(f"not acknowledged by the broker: {sender.failure}", err=True)
        raise typer.Exit(1)
    if timeout:
        change = place.next_change(alarm, said["actor"], end, timeout)
        if change is None:
            typer.echo(f"sent, but not in force within {timeout:g} s: does alerts run?", err=True)
            raise typer.Exit(1)
        typer.echo(alarm_line(change.record))

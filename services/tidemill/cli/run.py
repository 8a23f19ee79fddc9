"""`tidemill run`: one processor, or all of them as processes."""

import os
import sys
from collections.abc import Mapping
from dataclasses import fields
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer

from tidemill.cli.directory import DirectoryOption
from tidemill.cli.options import (
    DEFAULT_DEFINITION,
    Bootstrap,
    DefinitionFile,
    Properties,
    bootstrap_of,
    properties_of,
    redis_of,
)
from tidemill.kernel.errors import ConfigError
from tidemill.local.connection import DEFAULT_DIRECTORY
from tidemill.runtime.environment import WEBHOOK_VARIABLE, check_environment
from tidemill.runtime.keys import signing_key
from tidemill.runtime.registry import REGISTRY_VARIABLE
from tidemill.runtime.supervision import supervise

PROCESSORS = ("learner", "labeller", "explainer", "feedback", "drift", "alerts")
# Those that sign what they keep.
KEYED = {"learner", "explainer", "drift"}


def run(  # noqa: PLR0913 - one parameter per flag
    name: Annotated[str, typer.Argument(help=f"{', '.join(PROCESSORS)} or all.")],
    file: DefinitionFile = DEFAULT_DEFINITION,
    bootstrap: Bootstrap = None,
    properties: Properties = None,
    *,
    directory: DirectoryOption = DEFAULT_DIRECTORY,
    instance: Annotated[
        str, typer.Option(help="Stable name of this worker; two never share one.")
    ] = "0",
    probe_host: Annotated[str, typer.Option(help="Where probes are served.")] = "127.0.0.1",
    probe_port: Annotated[
        int,
        typer.Option(
            help="Port for probes; 0 takes a free one. With all, of the first; others the next."
        ),
    ] = 0,
    from_end: Annotated[
        bool, typer.Option("--from-end", help="Start partitions without history at their end.")
    ] = False,
    redefine: Annotated[
        bool, typer.Option("--redefine", help="Go back to a definition that was replaced.")
    ] = False,
    until_idle: Annotated[
        float | None, typer.Option(help="End after so many seconds without input.", min=0.0)
    ] = None,
    key_file: Annotated[
        Path | None, typer.Option("--signing-key", help="Key file; see `tidemill keygen`.")
    ] = None,
    redis: Annotated[
        str | None,
        typer.Option(
            help="Redis of the labeller. Otherwise TIDEMILL_REDIS_URL, otherwise what runs in "
            "--dir.",
            show_default=False,
        ),
    ] = None,
    batch: Annotated[int, typer.Option(help="Records per transaction, at most.")] = 1000,
    entries: Annotated[
        int, typer.Option(help="Ledger entries per transaction of the explainer, at most.")
    ] = 4,
    per_minute: Annotated[
        int, typer.Option(help="Feedback of one person that is taken in a minute.")
    ] = 20,
    heartbeat: Annotated[
        float, typer.Option(help="Seconds between two words of alerts that all was looked at.")
    ] = 300.0,
    tick: Annotated[
        float, typer.Option(help="Seconds between two looks of alerts at what is silent.")
    ] = 10.0,
    webhook: Annotated[
        str | None,
        typer.Option(
            help="Where alerts posts alarms; rather by TIDEMILL_ALERTS_WEBHOOK, if it is secret.",
            show_default=False,
        ),
    ] = None,
    wait_ms: Annotated[int, typer.Option(help="Longest wait for a batch to fill, ms.")] = 50,
    room: Annotated[
        int, typer.Option(help="Predictions kept for a plant's silent or late labels, at most.")
    ] = 1_000_000,
    snapshot_every: Annotated[
        int, typer.Option(help="Records by which a saved state may lag its partition.")
    ] = 10_000,
    anchor_every: Annotated[
        int, typer.Option(help="Learning steps, or events, between two anchors of a model.")
    ] = 10_000,
    live_models: Annotated[
        int, typer.Option(help="Models that stay in memory, though there are more.")
    ] = 20_000,
    idle_folder: Annotated[
        Path | None,
        typer.Option(
            help="Where the states of the others are kept; with temporary files if not given.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Run one processor until SIGTERM; `all` runs every processor as a process of its own."""
    check_environment(os.environ)
    if name == "all":
        at = sys.argv.index("all")
        flags = [*sys.argv[2:at], *sys.argv[at + 1 :]]
        raise typer.Exit(supervise(PROCESSORS, flags, probe_port))
    if name not in PROCESSORS:
        raise ConfigError([f"NAME: must be one of {', '.join(PROCESSORS)} or all, was {name!r}"])
    values: dict[str, Any] = {  # Any: values of many settings
        "definition": file,
        "bootstrap": bootstrap_of(bootstrap, directory),
        "instance": instance,
        "extra": properties_of(properties),
        "until_idle_s": until_idle,
        "probe_host": probe_host,
        "probe_port": probe_port,
        "batch": batch,
        "entries": entries,
        "from_end": from_end,
        "wait_ms": wait_ms,
        "room": room,
        "snapshot_every": snapshot_every,
        "anchor_every": anchor_every,
        "live_models": live_models,
        "idle_folder": idle_folder,
        "redefines": redefine,
        "per_minute": per_minute,
        "heartbeat_s": heartbeat,
        "tick_s": tick,
        "webhook": webhook or os.environ.get(WEBHOOK_VARIABLE) or None,
        "registry_url": os.environ.get(REGISTRY_VARIABLE) or None,
    }
    if name == "labeller":
        values["redis_url"] = redis_of(redis, directory)
    elif name in KEYED:
        values["signing_key"] = signing_key(key_file, os.environ, directory)
    _start(name, values)


def _start(name: str, values: Mapping[str, Any]) -> None:  # Any: as above
    """Run a processor with those of the settings that it has; nothing else of it is loaded."""
    package = f"tidemill.processors.{name}"
    settings = import_module(f"{package}.settings").Settings
    own = {field.name: values[field.name] for field in fields(settings) if field.name in values}
    import_module(f"{package}.__main__").run(settings(**own))

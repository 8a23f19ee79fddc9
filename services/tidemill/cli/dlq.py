"""`tidemill dlq`: the records that were set aside."""

import json
from typing import Annotated, Any

import typer

from tidemill.cli.directory import DirectoryOption, JsonOption
from tidemill.cli.dlq_replay import replay
from tidemill.cli.options import Bootstrap, Properties, bootstrap_of, properties_of
from tidemill.kernel.errors import ConfigError
from tidemill.local.connection import DEFAULT_DIRECTORY
from tidemill.runtime.clients import KafkaClients
from tidemill.runtime.dead_letters import DeadLetters, dead_letter_topics, read_dead_letters
from tidemill.runtime.kafka_log import KafkaLog
from tidemill.runtime.reach import partition_counts

app = typer.Typer(help="Records that were set aside, and why.", no_args_is_help=True)

SHOWN_HEX = 64

SourceTopic = Annotated[
    str | None, typer.Option("--topic", help="Only this topic's; its .dlq name will do, too.")
]
Reason = Annotated[str | None, typer.Option("--reason", help="Only this reason.")]
Examples = Annotated[int, typer.Option("-n", min=0, help="Examples of each reason.")]


app.command("replay")(replay)


@app.command("list")
def list_(
    bootstrap: Bootstrap = None,
    properties: Properties = None,
    *,
    directory: DirectoryOption = DEFAULT_DIRECTORY,
    topic: SourceTopic = None,
    reason: Reason = None,
    examples: Examples = 1,
    as_json: JsonOption = False,
) -> None:
    """List dead letters by topic and reason: how many, the first, the last, an example."""
    brokers, settings = bootstrap_of(bootstrap, directory), properties_of(properties)
    counts = partition_counts(brokers, settings)
    if topic is not None and not dead_letter_topics(counts, topic):
        have = ", ".join(dead_letter_topics(counts, None)) or "none"
        raise ConfigError([f"--topic: must have a dead-letter topic, {topic} has none of {have}"])
    letters = DeadLetters(reason=reason, examples=examples)
    log = KafkaLog(KafkaClients(brokers, settings))
    try:
        read_dead_letters(log, counts, letters, chosen=topic)
    finally:
        log.close()
    document = letters.document()
    if as_json:
        typer.echo(json.dumps(document))
    else:
        _say(document)


def _say(document: dict[str, Any]) -> None:  # Any: a JSON document
    for pile in document["dead_letters"]:
        typer.echo(f"{pile['topic']}  {pile['reason']}  {pile['count']}")
        for word in ("first", "last"):
            typer.echo(f"  {word:<8}{pile[word]['timestamp']}  {_place(pile[word])}")
        for example in pile["examples"]:
            value = example["value"] or ""
            shown = value if len(value) <= SHOWN_HEX else f"{value[:SHOWN_HEX]}..."
            typer.echo(f"  example {_place(example)}: {example['message']}")
            typer.echo(f"          key {example['key']}, {len(value) // 2} bytes: {shown}")
    typer.echo(f"{document['total']} dead letters", err=True)


def _place(where: dict[str, Any]) -> str:  # Any: a JSON document
    own = f"{where['topic']}-{where['partition']}@{where['offset']}"
    source = where["source"]
    if source is None:
        return own
    return f"{own} (from {source['topic']}-{source['partition']}@{source['offset']})"

"""`tidemill feedback queue`: the cases whose label would teach most, and some at random."""

import json
import os
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tidemill.cli.directory import DirectoryOption, JsonOption
from tidemill.cli.feedback_printing import print_line, progress
from tidemill.cli.options import (
    DEFAULT_DEFINITION,
    Bootstrap,
    DefinitionFile,
    Properties,
    bootstrap_of,
    properties_of,
)
from tidemill.contracts.quantities import parse_distance
from tidemill.contracts.topics import BY_NAME, FEEDBACK, LABELS, PREDICTIONS, RECEIPTS, UPDATES
from tidemill.kernel.errors import ConfigError
from tidemill.local.connection import DEFAULT_DIRECTORY
from tidemill.runtime.clients import KafkaClients
from tidemill.runtime.feedback_topics import reading_codec
from tidemill.runtime.feedback_words import answer_text
from tidemill.runtime.json_lines import as_json as as_json_value
from tidemill.runtime.json_lines import iso_micros
from tidemill.runtime.kafka_log import KafkaLog
from tidemill.runtime.plant_files import read_definition
from tidemill.runtime.reach import partition_counts
from tidemill.runtime.registry import REGISTRY_VARIABLE, Registry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tidemill.contracts.definition import PlantDefinition
    from tidemill.fold.asking.known import Known
    from tidemill.fold.asking.offering import Offer, Offers, Streams
    from tidemill.fold.asking.recent import Case, Last, Range

LastOption = Annotated[
    str, typer.Option("--last", help="How much: event time (2h), or predictions (5000).")
]
Count = Annotated[int, typer.Option("-n", "--count", min=1, help="About so many cases.")]
Audit = Annotated[
    float, typer.Option(min=0.0, max=1.0, help="Share that is chosen whatever its score.")
]
Seed = Annotated[int, typer.Option(help="Another seed, other cases.")]
OfAsset = Annotated[str | None, typer.Option("--asset", help="Only of this asset.")]
OfStream = Annotated[str | None, typer.Option("--stream", help="Only of this stream.")]

_OTHERS = "the labels of others come with their events, or nothing learns one (target: none)"
_SAYING = (LABELS, UPDATES, FEEDBACK, RECEIPTS)


def queue(  # noqa: PLR0913 - one parameter per option of the command
    *,
    last: LastOption = "1h",
    count: Count = 20,
    audit: Audit = 0.1,
    seed: Seed = 0,
    asset: OfAsset = None,
    stream: OfStream = None,
    definition: DefinitionFile = DEFAULT_DEFINITION,
    bootstrap: Bootstrap = None,
    properties: Properties = None,
    directory: DirectoryOption = DEFAULT_DIRECTORY,
    as_json: JsonOption = False,
) -> None:
    """Name cases to label: those the models are least sure of, and a few at random.

    Of streams with `target: label`, where the label has not come: others get theirs with their
    events, and without a target there is nothing that would learn one. Each case
    has the probability with which it was chosen: give it back as --selection, so that estimates
    can be corrected for the choice. Equal cases and seed, equal answer. Reads only.
    """
    from tidemill.fold.asking.drawing import Plan  # noqa: PLC0415 - River takes seconds
    from tidemill.fold.asking.offering import offer  # noqa: PLC0415 - as above

    span = _last(last)
    streams = _streams(read_definition(definition), stream)
    brokers, settings = bootstrap_of(bootstrap, directory), properties_of(properties)
    counts = partition_counts(brokers, settings)
    if PREDICTIONS not in counts:
        fix = "create it by `tidemill topics --execute`"
        raise ConfigError([f"{PREDICTIONS}: must exist at {brokers}; {fix}"])
    found, known = _read(KafkaLog(KafkaClients(brokers, settings)), counts, span)
    cases = [case for case in found.cases if asset in {None, case.asset}]
    offers = offer(cases, known, streams, Plan(count, audit, seed))
    if as_json:
        typer.echo(json.dumps(_document(cases, offers, seed), allow_nan=False))
    else:
        for each in offers.offers:
            print_line(_line(each))
    _summarise(len(cases), offers, is_cut=found.is_cut)


def _read(log: KafkaLog, counts: dict[str, int], span: "Last") -> "tuple[Range, Known]":
    """Return the newest predictions, and the labels that have come since."""
    from tidemill.fold.asking.known import known_labels  # noqa: PLC0415 - as above
    from tidemill.fold.asking.recent import recent_cases  # noqa: PLC0415 - as above
    from tidemill.fold.why.present import PresentTopics  # noqa: PLC0415 - as above

    url = os.environ.get(REGISTRY_VARIABLE)
    registry = Registry(url) if url else None
    readings = {topic: reading_codec(BY_NAME[topic].record, topic, registry) for topic in _SAYING}
    topics = PresentTopics(log, counts)
    try:
        with progress(f"reading {PREDICTIONS}") as tell:
            found = recent_cases(topics, range(counts[PREDICTIONS]), span)
            tell("reading which labels have come")
            return found, known_labels(topics, counts, readings, found.since_ms)
    finally:
        log.close()


def _last(text: str) -> "Last":
    from tidemill.fold.asking.recent import Last  # noqa: PLC0415 - as above

    try:
        distance = parse_distance(text)
    except ValueError as error:
        raise ConfigError([f"--last: {error}"]) from error
    if isinstance(distance, int):
        return Last(events=distance)
    return Last(micros=round(distance * 1e6))


def _streams(definition: "PlantDefinition", name: str | None) -> "Streams":
    """Return the streams that people are asked about.

    Raises:
        ConfigError: There is none, or the one named is none of them.
    """
    from tidemill.fold.asking.offering import Streams, asked_streams  # noqa: PLC0415 - as above

    streams = asked_streams(definition)
    if not streams.kinds:
        raise ConfigError([f"streams: must have one with target: label, found none; {_OTHERS}"])
    if name is None:
        return streams
    if name not in streams.kinds:
        known = ", ".join(streams.kinds)
        msg = f"--stream: must be one with target: label ({known}), was {name}; {_OTHERS}"
        raise ConfigError([msg])
    return Streams({name: streams.kinds[name]}, streams.timed)


def _document(cases: "Sequence[Case]", offers: "Offers", seed: int) -> dict[str, Any]:  # Any: JSON
    times = [case.time_us for case in cases]
    return {
        "seed": seed,
        "from": iso_micros(min(times)) if times else None,
        "to": iso_micros(max(times)) if times else None,
        "predictions": len(cases),
        "open": offers.open,
        "assets": offers.assets,
        "cases": [_case(each) for each in offers.offers],
    }


def _case(offer: "Offer") -> dict[str, Any]:  # Any: JSON
    case = offer.case
    return {
        "event_id": case.event_id,
        "position": str(case.source),
        "asset": case.asset,
        "stream": case.stream,
        "time": iso_micros(case.time_us),
        "model": case.model,
        "version": case.version,
        "value": as_json_value(case.value),
        "outcome": as_json_value(case.outcome),
        "probabilities": as_json_value(case.probabilities),
        "interval": as_json_value(case.interval),
        "class_set": as_json_value(case.class_set),
        "score": offer.score,
        "reason": offer.reason,
        "selection": offer.selection,
    }


def _line(offer: "Offer") -> str:
    case = offer.case
    said = answer_text(case.value, case.probabilities, case.interval)
    return (
        f"{case.event_id}  {case.asset}  {case.stream}  {iso_micros(case.time_us)}  {said}"
        f"  score {offer.score:.3f} ({offer.reason})  --selection {offer.selection!r}"
    )


def _summarise(predictions: int, offers: "Offers", *, is_cut: bool) -> None:
    typer.echo(
        f"{len(offers.offers)} of {offers.open} open cases of {offers.assets} assets, "
        f"in {predictions} predictions",
        err=True,
    )
    if is_cut:
        typer.echo(
            "note: only the newest were read; a smaller --last names all it covers", err=True
        )

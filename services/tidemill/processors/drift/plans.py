"""What is watched of the assets of a stream, and how the operator's dial is divided over it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from tidemill.detection import layout, saving
from tidemill.detection.asset import AssetSettings
from tidemill.detection.changes import Channel
from tidemill.detection.signals import Watch

if TYPE_CHECKING:
    from tidemill.contracts.definition import PlantDefinition
    from tidemill.contracts.stream import StreamDefinition

# Of states: changed whenever those of before can no longer be read, or mean something else. One of
# another form is made again from the beginning.
FORM = (2, saving.FORM, layout.WIDTH)
REFERENCE = 5_000
# What is asked of detectors is so many times the dial: references are finite, and sensors of one
# asset often leave them together. A delay goes with the logarithm: it grows by a sixteenth.
MARGIN = 2.0
_STEADY = (Channel.LEVEL, Channel.SPREAD)


class Kind(StrEnum):
    """What a drift is of, in the order in which changes at one record are told."""

    FEATURE = "FEATURE"
    PREDICTION = "PREDICTION"
    ERROR = "ERROR"
    EXPLANATION = "EXPLANATION"
    MULTIVARIATE = "MULTIVARIATE"


OF_MODELS = (Kind.PREDICTION, Kind.ERROR, Kind.EXPLANATION)


@dataclass(frozen=True, slots=True)
class Plan:
    """How the assets of one stream are watched.

    The run length of an asset, with a margin, is divided evenly over the kinds that there are, and
    that of a kind over its signals; each signal divides its own over its channels.

    Attributes:
        names: The signals of each kind by name; none of MULTIVARIATE.
        watches: How each of them is watched.
        asset: How the sensors are watched together; None without numeric sensors.
        digest: Of all that decides whether what is known of an asset is of use.
        models: Of what decides what models say.
    """

    stream: StreamDefinition
    names: dict[Kind, tuple[str, ...]]
    watches: dict[Kind, tuple[Watch, ...]]
    asset: AssetSettings | None
    timeout_us: int
    hold_at_most: float
    digest: bytes
    models: bytes


def plans_of(definition: PlantDefinition, reference: int = REFERENCE) -> dict[str, Plan]:
    """Return the plan of each stream.

    Args:
        definition: The plant's.
        reference: Events that sensors watched together are held against.
    """
    return {stream.name: _plan(stream, reference) for stream in definition.streams}


def _plan(stream: StreamDefinition, reference: int) -> Plan:
    sensors = tuple(each.name for each in stream.sensors if each.kind == "numeric")
    names: dict[Kind, tuple[str, ...]] = {Kind.PREDICTION: ("",)}
    if sensors:
        names |= {Kind.FEATURE: sensors, Kind.MULTIVARIATE: ()}
    if stream.target is not None:
        names[Kind.ERROR] = ("",)
    if stream.explanations.which in {"all", "every"}:
        names[Kind.EXPLANATION] = tuple(each.name for each in stream.features)
    drift = stream.drift
    share = MARGIN * drift.run_length * float(len(names))
    settings = AssetSettings(len(sensors), share, reference) if sensors else None
    about = [*FORM, share, reference, {kind.value: list(names[kind]) for kind in sorted(names)}]
    return Plan(
        stream=stream,
        names=names,
        watches={
            kind: tuple(_watch(kind, share * len(signals)) for _ in signals)
            for kind, signals in names.items()
        },
        asset=settings,
        timeout_us=int(drift.question_timeout_s * 1e6),
        hold_at_most=drift.hold_at_most,
        digest=hashlib.sha256(json.dumps(about).encode()).digest(),
        models=hashlib.sha256(json.dumps(_modelled(stream)).encode()).digest(),
    )


def _modelled(stream: StreamDefinition) -> list[object]:
    """Return what a stream says of the model whose answers are watched."""
    document = stream.model_dump(mode="json")
    named = ("champion", "features", "target", "repeat", "seed", "start_from")
    return [document[name] for name in named]


def _watch(kind: Kind, run_length: float) -> Watch:
    match kind:
        case Kind.FEATURE:
            return Watch(run_length)
        case Kind.ERROR:
            return Watch(run_length, (Channel.LEVEL,), upward=True)
        case _:
            return Watch(run_length, _STEADY, is_leaving_told=False)

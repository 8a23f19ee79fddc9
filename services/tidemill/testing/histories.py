"""A checker of histories: every input has one output, of its asset, in order."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from tidemill.contracts.codec import codec
from tidemill.kernel.deadletters import SUFFIX
from tidemill.kernel.records import Position

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tidemill.kernel.records import Message


class Input(NamedTuple):
    """One record that must have one output."""

    source: Position
    asset: str


class Output(NamedTuple):
    """One prediction or dead letter: where it stands, and which input it answers."""

    where: Position
    source: Position
    asset: str


class Reordered(NamedTuple):
    """Two outputs of one asset and topic, where the later answers the earlier input."""

    earlier: Output
    later: Output


@dataclass(frozen=True, slots=True)
class Findings:
    """What is wrong with a history.

    Attributes:
        lost: Inputs without an output.
        doubled: Outputs that answer an input that has been answered before.
        reordered: Outputs in another order than their inputs, per asset.
        invented: Outputs that answer no input, or another asset's.
    """

    lost: tuple[Input, ...]
    doubled: tuple[Output, ...]
    reordered: tuple[Reordered, ...]
    invented: tuple[Output, ...]

    @property
    def is_clean(self) -> bool:
        """Whether nothing is wrong."""
        return not (self.lost or self.doubled or self.reordered or self.invented)

    def __str__(self) -> str:
        """Return one line per finding, with positions."""
        lines = [f"lost: {source} of {asset}" for source, asset in self.lost]
        lines += [f"doubled: {o.source} of {o.asset}, again at {o.where}" for o in self.doubled]
        lines += [
            f"reordered: {later.source} at {later.where} after {earlier.source} at {earlier.where}"
            for earlier, later in self.reordered
        ]
        lines += [f"invented: {o.source} of {o.asset} at {o.where}" for o in self.invented]
        return "\n".join(lines) or "nothing lost, doubled, reordered or invented"


def check_history(inputs: Iterable[Input], outputs: Iterable[Output]) -> Findings:
    """Hold outputs against inputs, both in any order."""
    assets = {entry.source: entry.asset for entry in inputs}
    first: dict[Position, Output] = {}
    doubled, invented = [], []
    for output in sorted(outputs):
        if assets.get(output.source) != output.asset:
            invented.append(output)
        elif output.source in first:
            doubled.append(output)
        else:
            first[output.source] = output
    lost = tuple(Input(s, a) for s, a in sorted(assets.items()) if s not in first)
    return Findings(lost, tuple(doubled), _reordered(first), tuple(invented))


def _reordered(first: Mapping[Position, Output]) -> tuple[Reordered, ...]:
    lines: dict[tuple[str, int, str, str, int], list[Output]] = defaultdict(list)
    for output in first.values():
        where, source, asset = output
        lines[where.topic, where.partition, asset, source.topic, source.partition].append(output)
    return tuple(
        Reordered(earlier, later)
        for line in lines.values()
        for earlier, later in pairwise(sorted(line))
        if later.source < earlier.source
    )


def read_input(message: Message) -> Input:
    """Return what an input record asks for; its key is taken for the asset."""
    return Input(message.position, (message.key or b"").decode())


def read_output(message: Message) -> Output:
    """Return what a prediction or a dead letter answers.

    Raises:
        InvalidRecordError: Neither of them.
    """
    if message.topic.endswith(SUFFIX):
        headers = dict(message.headers)
        where = (headers["__streams.errors.partition"], headers["__streams.errors.offset"])
        partition, offset = map(int, where)
        source = Position(headers["__streams.errors.topic"].decode(), partition, offset)
        return Output(message.position, source, (message.key or b"").decode())
    record = codec("Prediction").decode(message.value)
    return Output(message.position, Position(**record["source"]), record["asset"])

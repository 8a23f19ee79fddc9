"""Retiring assets: which there are on a partition, and the ledger entry that lets one go."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from tidemill.contracts.codec import codec
from tidemill.contracts.stream import ASSET_TYPE
from tidemill.contracts.topics import LEDGER, SNAPSHOTS
from tidemill.fold.books import Books, Policy
from tidemill.fold.giving_up import give_up
from tidemill.fold.ledger_log import entries_after, last_entry, read_entry
from tidemill.fold.recovery import recover
from tidemill.fold.retirement import Retirement, assets_retired
from tidemill.fold.snapshots import split_key, tombstones
from tidemill.kernel.errors import ConfigError, InvalidRecordError
from tidemill.models.state import ModelKey

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from tidemill.fold.recovery import Recovered
    from tidemill.fold.snapshots import SigningKey
    from tidemill.fold.tracked import Tracked
    from tidemill.kernel.processor import Log
    from tidemill.kernel.records import Emit, Message

# What is saved with a retirement is what the next worker would save otherwise.
POLICY = Policy()


class Held(NamedTuple):
    """Where a model stood when it was last written of, and when that was."""

    version: int
    entry: int
    at_ms: int


Census = dict[ModelKey, Held]


def census(log: Log, partition: int) -> Generator[None, None, Census]:
    """Return the models of a partition that have learned, by snapshots and ledger, unverified.

    Raises:
        InvariantError: The ledger's end is altered or lacks an entry.
    """
    found: Census = {}
    begin, end = log.span(SNAPSHOTS, partition)
    for messages in log.read(SNAPSHOTS, partition, begin, end):
        for message in messages:
            _count(found, message)
        yield
    tail = yield from last_entry(log, partition)
    if tail is None:
        return found
    for placed in entries_after(log, partition, tail.entry.resume, tail):
        yield
        if placed is not None:
            start = placed.offset
            break
    else:
        return found
    for messages in log.read(LEDGER, partition, start, tail.offset + 1):
        for message in messages:
            _follow(found, message)
        yield
    return found


def _count(found: Census, message: Message) -> None:
    """Note a snapshot, or that a model is gone; a record that is none says nothing."""
    try:
        base, chunk = split_key(message.key or b"")
        key = ModelKey.decode(base)
        record = None if message.value is None else codec("Snapshot").decode(message.value)
    except (ValueError, InvalidRecordError):
        return
    if record is not None:
        found[key] = Held(record["version"], record["sequence"], message.timestamp_ms)
    elif chunk == 0:
        found.pop(key, None)


def _follow(found: Census, message: Message) -> None:
    entry = read_entry(message).entry
    gone = assets_retired(entry)
    for key in [key for key in found if (key.stream, key.asset) in gone]:
        if found[key].entry < entry.sequence:
            del found[key]
    for model in entry.models:
        key = ModelKey(model.stream, model.asset, model.model)
        if key not in found or found[key].entry <= entry.sequence:
            found[key] = Held(model.version, entry.sequence, message.timestamp_ms)


@dataclass(frozen=True, slots=True)
class Farewell:
    """What retiring an asset would do on a partition, found out without doing it.

    Attributes:
        retirements: One for each stream that has models of the asset.
        models: Those that would go.
    """

    recovered: Recovered
    retirements: tuple[Retirement, ...]
    models: tuple[Tracked, ...]

    @property
    def entry(self) -> int:
        """Sequence of the ledger entry it would be."""
        has_pending = any(tracked.state.has_pending for tracked in self.models)
        return self.recovered.tail.sequence + 1 + has_pending


@dataclass(frozen=True, slots=True)
class Leaving:
    """What an operator chose: the asset, of one stream or of all, and who decides it."""

    asset: str
    actor: str
    stream: str | None = None


def prepare(
    log: Log,
    partition: int,
    committed: Mapping[str, int | None],
    *,
    leaving: Leaving,
    signing: SigningKey,
) -> Generator[None, None, Farewell]:
    """Rebuild a partition, and find out what retiring an asset does there.

    Raises:
        ConfigError: The partition has no model of the asset.
        InvariantError: Topics and ledger contradict one another.
        DependencyUnavailableError: The broker has not yet shown the end of what was committed.
    """
    if leaving.asset == ASSET_TYPE:
        raise ConfigError(
            ["ASSET: must not be empty; the models of an asset type go when start_from goes"]
        )
    recovered = yield from recover(log, partition, committed, signing=signing)
    stream, asset = leaving.stream, leaving.asset
    names = {} if recovered is None else recovered.fold.plans
    retirements, models = [], []
    for name in names if stream is None else (stream,):
        found = [] if recovered is None else _models(recovered, name, asset)
        if found and recovered is not None:
            models += found
            past = recovered.fold.terms.past
            retirements.append(Retirement.beyond(past, found, leaving.actor))
    if recovered is None or not models:
        where = "any stream" if stream is None else f"stream {stream}"
        msg = (
            f"ASSET: must have models on partition {partition}, {asset!r} has none of {where}; "
            "`tidemill assets list` shows which have"
        )
        raise ConfigError([msg])
    return Farewell(recovered, tuple(retirements), tuple(models))


def _models(recovered: Recovered, stream: str, asset: str) -> list[Tracked]:
    """Return the models of an asset that have learned; none is started by asking."""
    plan = recovered.fold.plans.get(stream)
    keys = [ModelKey(stream, asset, each.name) for each in plan.blueprints] if plan else []
    found = [recovered.fold.fleet.get(key) for key in keys]
    return [each for each in found if each is not None and each.mark]


def retire(farewell: Farewell, signing: SigningKey) -> tuple[list[Emit], dict[str, int]]:
    """Return ledger entry, snapshots, tombstones and offsets of a retirement.

    Corrections of its models that wait are compensated by an entry of their own before.

    The entry repeats the terms, which remember how far retired assets had come, and saves every
    model that changed: no rebuild has to cross it.
    """
    recovered = farewell.recovered
    fold, tail = recovered.fold, recovered.tail
    books = Books(fold, tail, signing=signing, policy=POLICY)
    keys = [tracked.key for tracked in farewell.models]
    given_up = give_up(fold, books, keys, recovered.positions, why="the asset was retired")
    gone = [each for r in farewell.retirements for each in r.apply(fold, books.sequence)]
    actions = [*(each.action() for each in farewell.retirements), fold.terms.action()]
    emits = books.seal(recovered.positions, kind="ACTION", actions=actions)
    return [*given_up, *emits, *tombstones(gone, fold.partition)], dict(recovered.positions)

"""The models of one partition: found by asset, started by themselves, dirty until saved."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from tidemill.contracts.prediction import about, text
from tidemill.fold.past import GROUND, Floor
from tidemill.models.state import ModelKey, ModelState, splits, tree_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from tidemill.fold.plans import StreamPlan
    from tidemill.models.recent import Recent
    from tidemill.models.state import Blueprint

    Floors = Mapping[tuple[str, str], Floor]

MODULUS = 1 << 256
NO_FLOORS: Floors = MappingProxyType({})


@dataclass(slots=True)
class Tracked:
    """One model and where its state stands.

    Attributes:
        since: Ledger sequence that the state was restored at; entries up to it are in it already.
        name: The model's name as a prediction writes it.
        tree: The predictor if it is a tree, which changes its shape by itself.
        chunks: Records that its last snapshot took.
        mark: What it counts in `Fleet.standing`.
    """

    key: ModelKey
    state: ModelState
    blueprint: Blueprint
    since: int = -1
    name: bytes = b""
    tree: Any = None  # River carries no types
    chunks: int = 1
    mark: int = 0

    def __post_init__(self) -> None:
        self.name = text(self.key.model)
        self.tree = tree_of(self.state.pipeline)
        self.state.refinement.attach(self.blueprint.repeats, self.blueprint.region)

    @property
    def structure(self) -> int:
        """How often the model changed its shape: breaks, and a tree's leaves beyond one."""
        tree = self.tree
        return self.state.structure if tree is None else self.state.structure + splits(tree)


@dataclass(slots=True)
class AssetModels:
    """All models of one asset of one stream, champion first.

    Attributes:
        about: The asset as its predictions write it.
        key: The asset as a Kafka key.
        since: Newest ledger sequence that one of the models was restored at.
        recent: The recent past that all models share; None until they are known to stand alike.
    """

    about: bytes
    key: bytes
    models: list[Tracked]
    since: int
    recent: Recent | None = None

    def align(self) -> Recent:
        """Let all models share one recent past: the champion's, or what a new champion finds.

        Models that stand alike have the same one; a new one has seen nothing yet.
        """
        recent = max((tracked.state.recent for tracked in self.models), key=lambda r: r.count)
        for tracked in self.models:
            tracked.state.recent = recent
        self.recent = recent
        return recent


class Standing(NamedTuple):
    """Which models have learned what: how many, and the sum of a digest of each."""

    models: int
    total: int

    @property
    def digest(self) -> bytes:
        """The sum as the ledger keeps it."""
        return self.total.to_bytes(32)


class Fleet:
    """All models of one partition.

    `changed` are those that learned since the last entry; `dirty` those not in a snapshot, oldest
    change first, with the entry of that change and the number of records before that entry.

    Args:
        plans: What is done with each stream.
        floors: By stream and model, from where a name that was retired goes on counting.
    """

    def __init__(self, plans: Mapping[str, StreamPlan], floors: Floors = NO_FLOORS) -> None:
        self._plans = plans
        self._floors = floors
        self._assets: dict[tuple[str, str], AssetModels] = {}
        self._by_key: dict[ModelKey, Tracked] = {}
        self.changed: dict[ModelKey, Tracked] = {}
        self.dirty: OrderedDict[ModelKey, tuple[int, int]] = OrderedDict()
        self._unmarked: dict[ModelKey, Tracked] = {}
        self._marks = Standing(0, 0)

    def __len__(self) -> int:
        return len(self._by_key)

    def __iter__(self) -> Iterator[Tracked]:
        return iter(self._by_key.values())

    def get(self, key: ModelKey) -> Tracked | None:
        """Return a model, if there is one."""
        return self._by_key.get(key)

    def of(self, stream: str, asset: str) -> AssetModels:
        """Return the models of an asset; the first call starts them."""
        found = self._assets.get((stream, asset))
        if found is not None:
            return found
        started = [self._track(stream, asset, b) for b in self._plans[stream].blueprints]
        since = max(tracked.since for tracked in started)
        models = AssetModels(about(asset, stream), asset.encode(), started, since)
        self._assets[stream, asset] = models
        return models

    def _track(self, stream: str, asset: str, blueprint: Blueprint) -> Tracked:
        key = ModelKey(stream, asset, blueprint.name)
        tracked = self._by_key.get(key)
        if tracked is None:
            tracked = Tracked(key, ModelState.fresh(key, blueprint), blueprint)
            tracked.state.version, tracked.state.structure = self._floor(key)
            self._by_key[key] = tracked
        return tracked

    def _floor(self, key: ModelKey) -> Floor:
        return self._floors.get((key.stream, key.model), GROUND)

    def blueprint(self, key: ModelKey) -> Blueprint | None:
        """Return what a model is built from, or None if the definition has no such model."""
        plan = self._plans.get(key.stream)
        matching = [b for b in plan.blueprints if b.name == key.model] if plan else []
        return matching[0] if matching else None

    def restore(self, key: ModelKey, state: ModelState, since: int, *, chunks: int = 1) -> None:
        """Take over a state saved after ledger entry `since`, of a model the definition has."""
        blueprint = self.blueprint(key)
        assert blueprint is not None
        before = self._by_key.get(key)
        tracked = Tracked(key, state, blueprint, since, chunks=chunks)
        tracked.mark = 0 if before is None else before.mark
        self._by_key[key] = self._unmarked[key] = tracked
        self._assets.pop((key.stream, key.asset), None)

    def learned(self, tracked: Tracked, sequence: int, records: int) -> None:
        """Note that an entry changed a model's state, `records` having been applied before it."""
        key = tracked.key
        self.changed[key] = self._unmarked[key] = tracked
        if key not in self.dirty:
            self.dirty[key] = (sequence, records)

    def saved(self, key: ModelKey) -> None:
        """Note that a snapshot holds the model's state."""
        self.dirty.pop(key, None)

    def standing(self) -> Standing:
        """Return what tells all models that have learned from any others; cheap if few changed."""
        for tracked in self._unmarked.values():
            state = tracked.state
            seen = state.recent.count
            has_counted = seen > 0 or state.version > self._floor(tracked.key).version
            mark = mark_of(tracked.key, state.version, state.lineage, seen) if has_counted else 0
            self._count(tracked.mark, mark)
            tracked.mark = mark
        self._unmarked.clear()
        return self._marks

    def _count(self, before: int, after: int) -> None:
        count, total = self._marks
        count += (after != 0) - (before != 0)
        self._marks = Standing(count, (total + after - before) % MODULUS)

    def retired(self, models: Collection[tuple[str, str]]) -> dict[tuple[str, str], Floor]:
        """Return where names go on, should they come back, that are not among these models."""
        self.standing()
        floors: dict[tuple[str, str], Floor] = {}
        for key, tracked in self._by_key.items():
            name = (key.stream, key.model)
            if name in models or not tracked.mark:
                continue
            version, structure = floors.get(name, GROUND)
            following = Floor(tracked.state.version + 1, tracked.structure + 1)
            floors[name] = Floor(*map(max, (version, structure), following))
        return floors

    def adopt(
        self, plans: Mapping[str, StreamPlan], floors: Floors, *, sequence: int, records: int
    ) -> list[Tracked]:
        """Go on under other plans, from ledger entry `sequence` on, before it `records` records.

        Models of an equal blueprint stay. In the place of another one starts anew, from nothing
        but the count of its versions. Models that never learned start by themselves again.

        Returns:
            The models dropped: the plans have none of their name.
        """
        self.standing()
        self._plans, self._floors = plans, floors
        self._assets.clear()
        fits = {(p.name, each.name): each for p in plans.values() for each in p.blueprints}
        dropped = []
        for key, tracked in list(self._by_key.items()):
            blueprint = fits.get((key.stream, key.model))
            if blueprint and tracked.mark and blueprint.digest == tracked.blueprint.digest:
                tracked.blueprint = blueprint
                tracked.state.refinement.attach(blueprint.repeats, blueprint.region)
                continue
            self._drop(tracked)
            if blueprint is None:
                dropped.append(tracked)
            elif tracked.mark:
                self.learned(self._replace(tracked, blueprint), sequence, records)
        return dropped

    def _drop(self, tracked: Tracked) -> None:
        self._count(tracked.mark, 0)
        for kept in (self._by_key, self.dirty, self.changed, self._unmarked):
            kept.pop(tracked.key, None)

    def _replace(self, old: Tracked, blueprint: Blueprint) -> Tracked:
        """Start a model in the place of another; what that one had counted never goes back."""
        state = ModelState.fresh(old.key, blueprint)
        lessons = int(old.state.version > self._floor(old.key).version)
        state.version, state.structure = old.state.version + lessons, old.structure + lessons
        state.recent = old.state.recent
        self._by_key[old.key] = Tracked(old.key, state, blueprint, chunks=old.chunks)
        return self._by_key[old.key]


def mark_of(key: ModelKey, version: int, lineage: bytes, seen: int) -> int:
    """Return what a model counts in `Fleet.standing` once anything has changed it."""
    text = key.encode() + b"\0" + version.to_bytes(8) + seen.to_bytes(8) + lineage
    return int.from_bytes(hashlib.sha256(text).digest())

"""The models of one partition: found by asset, started by themselves, dirty until saved."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from tidemill.contracts.prediction import about, text
from tidemill.models.state import ModelKey, ModelState, splits, tree_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tidemill.fold.plans import StreamPlan
    from tidemill.models.state import Blueprint


MODULUS = 1 << 256


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
    """

    about: bytes
    key: bytes
    models: list[Tracked]
    since: int


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
    """

    def __init__(self, plans: Mapping[str, StreamPlan]) -> None:
        self._plans = plans
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
            self._by_key[key] = tracked
        return tracked

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
        """Note that a model changed in entry `sequence`, before which `records` were applied."""
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
            mark = _mark(tracked)
            self._count(tracked.mark, mark)
            tracked.mark = mark
        self._unmarked.clear()
        return self._marks

    def _count(self, before: int, after: int) -> None:
        count, total = self._marks
        count += (after != 0) - (before != 0)
        self._marks = Standing(count, (total + after - before) % MODULUS)

    def adopt(self, plans: Mapping[str, StreamPlan]) -> list[Tracked]:
        """Go on under other plans: models of an equal blueprint stay, the others are dropped.

        Returns:
            The models dropped; new ones start in their place by themselves.
        """
        self._plans = plans
        fits = {
            (plan.name, blueprint.name): blueprint.digest
            for plan in plans.values()
            for blueprint in plan.blueprints
        }
        gone = [
            key
            for key, tracked in self._by_key.items()
            if fits.get((key.stream, key.model)) != tracked.blueprint.digest
        ]
        dropped = [self._by_key.pop(key) for key in gone]
        for tracked in dropped:
            self._count(tracked.mark, 0)
            for kept in (self.dirty, self.changed, self._unmarked):
                kept.pop(tracked.key, None)
        self._assets.clear()
        return dropped


def _mark(tracked: Tracked) -> int:
    state = tracked.state
    if state.version == 0:
        return 0
    text = tracked.key.encode() + b"\0" + state.version.to_bytes(8) + state.lineage
    return int.from_bytes(hashlib.sha256(text).digest())

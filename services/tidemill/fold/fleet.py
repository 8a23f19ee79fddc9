"""The models of one partition: found by asset, started by themselves, dirty until saved."""

from __future__ import annotations

from collections import OrderedDict
from types import MappingProxyType
from typing import TYPE_CHECKING

from tidemill.contracts.prediction import about
from tidemill.contracts.stream import ASSET_TYPE
from tidemill.fold.asset_type import follow
from tidemill.fold.idle import Idle, IdleModels
from tidemill.fold.past import FIRST_TERMS, GROUND, Floor
from tidemill.fold.standing import Roll, mark_of
from tidemill.fold.tracked import AssetModels, Tracked
from tidemill.models.outline import read_outline
from tidemill.models.state import ModelKey, ModelState

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from tidemill.fold.past import Past
    from tidemill.fold.plans import StreamPlan
    from tidemill.fold.shelf import Restored
    from tidemill.fold.standing import Standing
    from tidemill.models.state import Blueprint

    Dropped = Tracked | Idle

NOTHING_SAVED: Mapping[ModelKey, bytes] = MappingProxyType({})


class Fleet:
    """All models of one partition, in memory or idle.

    `changed` are those that learned since the last entry; `dirty` those not in a snapshot, oldest
    change first, with the entry of that change and the number of records before that entry.
    `heirs` are those that began with the entry being written: it must hold their snapshots.

    Args:
        plans: What is done with each stream.
        past: From where models of retired names and assets go on counting.
        idle: Where models go that are not needed for now.
    """

    def __init__(
        self,
        plans: Mapping[str, StreamPlan],
        past: Past = FIRST_TERMS,
        idle: IdleModels | None = None,
    ) -> None:
        self.past = past
        self.idle = IdleModels() if idle is None else idle
        self._plans = plans
        self._assets: dict[tuple[str, str], AssetModels] = {}
        self._by_key: dict[ModelKey, Tracked] = {}
        self.changed: dict[ModelKey, Tracked] = {}
        self.dirty: OrderedDict[ModelKey, tuple[int, int]] = OrderedDict()
        self.heirs: dict[ModelKey, Tracked] = {}
        self._tired: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._roll = Roll()

    def __len__(self) -> int:
        return len(self._by_key) + len(self.idle)

    def __iter__(self) -> Iterator[Tracked]:
        """Yield all models; of an idle one what it would be if it woke."""
        yield from self._by_key.values()
        yield from [self.idle.look_at(each.key) for each in self.idle]

    @property
    def live(self) -> int:
        """How many models are in memory."""
        return len(self._by_key)

    def waiting(self) -> list[ModelKey]:
        """Return the models that corrections wait for, idle ones too; looks at every model."""
        live = [key for key, tracked in self._by_key.items() if tracked.state.has_pending]
        idle = [each.key for each in self.idle if each.has_pending]
        return sorted({*live, *idle})

    @property
    def frozen(self) -> int:
        """How many models learn no more."""
        frozen = sum(tracked.state.is_frozen for tracked in self._by_key.values())
        return frozen + sum(each.is_frozen for each in self.idle)

    def get(self, key: ModelKey) -> Tracked | None:
        """Return a model, if there is one; an idle one wakes."""
        found = self._by_key.get(key)
        if found is None and self.idle.get(key) is not None:
            found = self._by_key[key] = self.idle.wake(key)
            self._tire((key.stream, key.asset))
        return found

    def since(self, key: ModelKey) -> int | None:
        """Return the ledger sequence that a model was restored at; None if there is no model."""
        found = self._by_key.get(key) or self.idle.get(key)
        return None if found is None else found.since

    def of(self, stream: str, asset: str) -> AssetModels:
        """Return the models of an asset; the first call starts them, or wakes them."""
        found = self._assets.get((stream, asset))
        if found is not None:
            if found.young:
                follow(self, found)
            return found
        started = [self._track(stream, asset, b) for b in self._plans[stream].blueprints]
        since = max(tracked.since for tracked in started)
        models = AssetModels(about(asset, stream), asset.encode(), started, since)
        self._assets[stream, asset] = models
        self._tire((stream, asset))
        if self._plans[stream].starts_from_type and asset != ASSET_TYPE:
            models.young = tuple(started)
            follow(self, models)
        return models

    def _track(self, stream: str, asset: str, blueprint: Blueprint) -> Tracked:
        key = ModelKey(stream, asset, blueprint.name)
        tracked = self.get(key)
        if tracked is None:
            tracked = Tracked(key, ModelState.fresh(key, blueprint), blueprint)
            tracked.state.version, tracked.state.structure = self.past.floor(*key)
            tracked.is_new = True
            self._by_key[key] = tracked
        return tracked

    def blueprint(self, key: ModelKey) -> Blueprint | None:
        """Return what a model is built from, or None if the definition has no such model."""
        plan = self._plans.get(key.stream)
        if plan and key.asset == ASSET_TYPE and not plan.starts_from_type:
            return None
        matching = [b for b in plan.blueprints if b.name == key.model] if plan else []
        return matching[0] if matching else None

    def restore(self, key: ModelKey, state: ModelState, since: int, *, chunks: int = 1) -> None:
        """Take over a state saved after ledger entry `since`, of a model the definition has."""
        blueprint = self.blueprint(key)
        assert blueprint is not None
        tracked = Tracked(key, state, blueprint, since, chunks=chunks)
        tracked.mark = self._vacate(key)
        self._by_key[key] = self._roll.changed[key] = tracked

    def lay(self, restored: Restored) -> None:
        """Take over a verified snapshot of a model the definition has; it is loaded when needed."""
        blueprint = self.blueprint(restored.key)
        assert blueprint is not None
        # Names shared by all models of a stream: what is kept of an idle one is counted.
        key = ModelKey(self._plans[restored.key.stream].name, restored.key.asset, blueprint.name)
        seen, _, is_frozen, has_pending = read_outline(restored.state)
        mark = mark_of(key, restored.version, restored.lineage, seen)
        self._roll.replace(key, self._vacate(key), mark)
        since, chunks = restored.sequence, restored.chunks
        idle = Idle(key, blueprint, since, chunks, mark, is_frozen, has_pending)
        self.idle.lay(idle, restored.state)
        self.dirty.pop(key, None)

    def _vacate(self, key: ModelKey) -> int:
        """Make room for another state of a model; return what the one before counts."""
        before = self._by_key.pop(key, None) or self.idle.get(key)
        self.idle.drop(key)
        self._assets.pop((key.stream, key.asset), None)
        return 0 if before is None else before.mark

    def learned(self, tracked: Tracked, sequence: int, records: int) -> None:
        """Note that an entry changed a model's state, `records` having been applied before it."""
        key = tracked.key
        self.changed[key] = self._roll.changed[key] = tracked
        if key not in self.dirty:
            self.dirty[key] = (sequence, records)
            self._tired.pop((key.stream, key.asset), None)
            tracked.is_stored = tracked.is_new = False
            if tracked.is_heir:
                tracked.is_heir = False
                self.heirs[key] = tracked

    def saved(self, key: ModelKey) -> None:
        """Note that a snapshot holds the model's state."""
        self.dirty.pop(key, None)
        self._tire((key.stream, key.asset))

    def _tire(self, name: tuple[str, str]) -> None:
        """Let the models of an asset be the next but all others to rest, if all are saved."""
        if not any(key in self.dirty for key in self._keys(name)):
            self._tired[name] = None
            self._tired.move_to_end(name)

    def _keys(self, name: tuple[str, str]) -> list[ModelKey]:
        plan = self._plans.get(name[0])
        return [ModelKey(*name, each.name) for each in plan.blueprints] if plan else []

    def rest(self, saved: Mapping[ModelKey, bytes] = NOTHING_SAVED) -> None:
        """Let assets rest while too many models are live: saved ones, least recently saved first.

        Args:
            saved: States of now as bytes, where they are at hand.
        """
        excess = self.idle.excess(len(self._by_key))
        if excess <= 0:
            return
        stay = len(self._by_key) - excess
        self.standing()
        for name in [*self._tired]:
            keys = self._keys(name)
            if any(key in self.changed for key in keys):
                continue
            del self._tired[name]
            self._assets.pop(name, None)
            for key in keys:
                tracked = self._by_key.pop(key, None)
                if tracked is not None and tracked.mark:
                    self.idle.rest(tracked, saved.get(key))
            if len(self._by_key) <= stay:
                break
        self.idle.excess(len(self._by_key))

    def standing(self) -> Standing:
        """Return what tells all models that were changed from any others; cheap if few were."""
        return self._roll.settle()

    def retired(self, models: Collection[tuple[str, str]]) -> dict[tuple[str, str], Floor]:
        """Return where names go on, should they come back, that are not among these models."""
        self.standing()
        floors: dict[tuple[str, str], Floor] = {}
        for key in sorted([*self._by_key, *(each.key for each in self.idle)]):
            name = (key.stream, key.model)
            if name in models:
                continue
            tracked = self._by_key.get(key) or self.idle.look_at(key)
            if tracked.mark:
                floors[name] = beyond(floors.get(name, GROUND), tracked)
        return floors

    def retire(self, stream: str, asset: str, sequence: int) -> list[Tracked]:
        """Let go of the models of an asset that ledger entry `sequence` finds; return them."""
        self.standing()
        found = [self.get(key) for key in self._keys((stream, asset))]
        gone = [each for each in found if each and each.since < sequence]
        for tracked in gone:
            self._drop(tracked)
        self._assets.pop((stream, asset), None)
        return gone

    def adopt(
        self, plans: Mapping[str, StreamPlan], past: Past, *, sequence: int, records: int
    ) -> list[Dropped]:
        """Go on under other plans, from ledger entry `sequence` on, before it `records` records.

        Models of an equal blueprint stay. In the place of another one starts anew, from nothing
        but the count of its versions. Models that never learned start by themselves again.

        Returns:
            The models dropped that had learned: the plans have none of their name.
        """
        self.standing()
        self._plans, self.past = plans, past
        self._assets.clear()
        self._tired.clear()
        dropped = []
        for key in sorted([*self._by_key, *(each.key for each in self.idle)]):
            blueprint = self.blueprint(key)
            found = self._by_key.get(key) or self.idle.get(key)
            assert found is not None
            if blueprint and found.mark and blueprint.digest == found.blueprint.digest:
                found.adopt(blueprint)
                continue
            if blueprint and found.mark:
                self._replace(key, blueprint, sequence, records)
                continue
            self._drop(found)
            if found.mark:
                dropped.append(found)
        for key in self._by_key:
            self._tire((key.stream, key.asset))
        return dropped

    def _drop(self, found: Dropped) -> None:
        self._roll.replace(found.key, found.mark, 0)
        self.idle.drop(found.key)
        for kept in (self._by_key, self.dirty, self.changed, self.heirs):
            kept.pop(found.key, None)

    def _replace(self, key: ModelKey, blueprint: Blueprint, sequence: int, records: int) -> None:
        """Start a model in the place of another; what that one had counted never goes back."""
        old = self.get(key)
        assert old is not None
        self._drop(old)
        state = ModelState.fresh(key, blueprint)
        lessons = int(old.state.version > self.past.floor(*key).version)
        state.version, state.structure = old.state.version + lessons, old.structure + lessons
        state.recent = old.state.recent
        self._by_key[key] = Tracked(key, state, blueprint, chunks=old.chunks)
        self.learned(self._by_key[key], sequence, records)


def beyond(floor: Floor, tracked: Tracked) -> Floor:
    """Return a floor above a model, and not below another one."""
    return Floor(*map(max, floor, (tracked.state.version + 1, tracked.structure + 1)))

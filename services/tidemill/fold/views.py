"""Running views of what explanations say: of each asset's champion, and of a stream's."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from tidemill.attribution.importance import Importance
from tidemill.contracts.codec import codec
from tidemill.contracts.stream import ASSET_TYPE
from tidemill.contracts.topics import EVENTS, IMPORTANCES
from tidemill.kernel.records import Emit
from tidemill.models.state import ModelKey

if TYPE_CHECKING:
    from collections.abc import Collection

    from tidemill.attribution.explained import Explained
    from tidemill.fold.seen import Seen
    from tidemill.fold.shelf import Restored
    from tidemill.fold.tracked import AssetModels, Tracked
    from tidemill.models.state import Blueprint

VIEW = "view"


@dataclass(slots=True)
class View:
    """One running view.

    Attributes:
        made_of: Digest of the blueprint of the models that it views.
        since: Ledger sequence that it was restored at.
    """

    importance: Importance
    made_of: bytes
    since: int = -1
    chunks: int = 1


class Views:
    """All views of one partition; listens to explanations.

    Attributes:
        emits: Records since the last `take`.
        dirty: Views not in a snapshot, oldest change first: its entry, and the records before it.
    """

    def __init__(self) -> None:
        self.emits: list[Emit] = []
        self.dirty: OrderedDict[ModelKey, tuple[int, int]] = OrderedDict()
        self._held: dict[ModelKey, View] = {}
        self._codec = codec("Importance")

    def __getitem__(self, key: ModelKey) -> View:
        return self._held[key]

    def restore(self, restored: Restored) -> None:
        """Take over a verified snapshot."""
        importance = Importance.decode(restored.state)
        self._held[restored.key] = View(
            importance, restored.state_digest, restored.sequence, restored.chunks
        )

    def add(self, seen: Seen, asset: AssetModels, explained: Explained, records: int) -> None:
        """Add an explanation to the views it belongs to.

        Args:
            records: Applied before it.
        """
        champion = asset.models[0]
        for name in (seen.event.asset, ASSET_TYPE):
            key = ModelKey(seen.plan.name, name, VIEW)
            view = self._view(key, champion.blueprint)
            if view.since >= seen.sequence:
                continue
            self.dirty.setdefault(key, (seen.sequence, records))
            if view.importance.add(explained):
                self.emits.append(self._record(key, seen, champion, explained.output_space))

    def _view(self, key: ModelKey, blueprint: Blueprint) -> View:
        view = self._held.get(key)
        if view is None or view.made_of != blueprint.digest:
            chunks = 1 if view is None else view.chunks
            view = self._held[key] = View(Importance(), blueprint.digest, chunks=chunks)
        return view

    def _record(self, key: ModelKey, seen: Seen, champion: Tracked, space: str) -> Emit:
        units = {feature.name: feature.unit for feature in champion.blueprint.features}
        message, state = seen.message, champion.state
        importance = self._held[key].importance
        before, weights = importance.tell(state.version)
        is_whole = key.asset == ASSET_TYPE
        value = self._codec.encode(
            {
                "stream": key.stream,
                "asset": None if is_whole else key.asset,
                "time": seen.event.time_us,
                "source": {
                    "topic": EVENTS,
                    "partition": message.partition,
                    "offset": message.offset,
                },
                "model": champion.key.model,
                "version": state.version,
                "lineage": state.lineage,
                "before_version": before,
                "output_space": space,
                "explanations": importance.explanations,
                "ranking": [
                    {**asdict(weight), "unit": units.get(weight.feature)} for weight in weights
                ],
            }
        )
        name = key.stream if is_whole else key.asset
        return Emit(IMPORTANCES, message.partition, name.encode(), value)

    def due(self, saved: Collection[ModelKey], *, records: int, lag: int) -> list[ModelKey]:
        """Return the views to save, and take them for saved.

        A view is saved with its asset's models, so that it is never older than they: what it has
        not seen could not be explained again from a newer state. All views of a stream are saved
        with its asset type, as which assets without models of their own answer.

        Args:
            saved: Models that are saved now.
            records: Applied so far.
            lag: By how many a saved view may lag.
        """
        wanted: dict[ModelKey, None] = {}
        types = {key.stream for key in saved if key.asset == ASSET_TYPE}
        wanted.update((key, None) for key in self.dirty if key.stream in types)
        for key in saved:
            for name in (key.asset, ASSET_TYPE):
                wanted[ModelKey(key.stream, name, VIEW)] = None
        for key, (_, before) in self.dirty.items():
            if records - before < lag:
                break
            wanted[key] = None
        due = [key for key in wanted if key in self.dirty]
        for key in due:
            del self.dirty[key]
        return due

    def drop(self, key: ModelKey) -> View | None:
        """Forget a view; return it if there was one."""
        self.dirty.pop(key, None)
        return self._held.pop(key, None)

    def keys(self) -> list[ModelKey]:
        """Return all views."""
        return [*self._held]

    def take(self) -> list[Emit]:
        """Return and forget the records made so far."""
        taken, self.emits = self.emits, []
        return taken

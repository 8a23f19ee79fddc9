"""The ledger action with which an asset's models are let go."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tidemill.fold.fleet import beyond
from tidemill.fold.ledger import Action
from tidemill.fold.past import GROUND, Floor, Retired

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tidemill.fold.applying import Fold
    from tidemill.fold.ledger import Entry
    from tidemill.fold.past import Past
    from tidemill.fold.tracked import Tracked

KIND = "retire"


@dataclass(frozen=True, slots=True)
class Retirement:
    """An asset of one stream that is retired.

    Attributes:
        floor: From where its models go on counting, should it come back.
    """

    stream: str
    asset: str
    floor: Floor
    actor: str

    @classmethod
    def beyond(cls, past: Past, models: Sequence[Tracked], actor: str) -> Retirement:
        """Return the retirement of an asset by its models: whatever comes is above what was."""
        stream, asset, _ = models[0].key
        floor = GROUND
        for tracked in models:
            floor = beyond(Floor(*map(max, floor, past.floor(*tracked.key))), tracked)
        return cls(stream, asset, floor, actor)

    @classmethod
    def of(cls, action: Action) -> Retirement:
        """Return the retirement that an action notes."""
        detail = action.detail
        floor = Floor(int(detail["version"]), int(detail["structure"]))
        return cls(detail["stream"], detail["asset"], floor, detail["actor"])

    def action(self) -> Action:
        """Return the ledger action."""
        detail = {
            "stream": self.stream,
            "asset": self.asset,
            "version": str(self.floor.version),
            "structure": str(self.floor.structure),
            "actor": self.actor,
        }
        return Action(KIND, detail)

    def apply(self, fold: Fold, sequence: int) -> list[Tracked]:
        """Let go of the models as part of ledger entry `sequence`; return those there were."""
        return fold.retire(self.stream, self.asset, Retired(sequence, self.floor))


def assets_retired(entry: Entry) -> set[tuple[str, str]]:
    """Return stream and asset of every retirement that an entry notes."""
    return {(a.detail["stream"], a.detail["asset"]) for a in entry.actions if a.kind == KIND}

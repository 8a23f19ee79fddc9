"""The ledger actions of corrections: swapped for a re-fold, compensated instead, or refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from tidemill.fold.effects import FULL
from tidemill.fold.ledger import Action
from tidemill.kernel.reports import WhyCompensated
from tidemill.models.state import ModelKey

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tidemill.fold.ledger import Entry

SWAP = "swap"
COMPENSATE = "compensate"
REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Swap:
    """A model goes on as its re-fold: its state is the anchor written with the entry.

    Attributes:
        offsets: The updates that are in force from here on.
        lineage: That of the re-fold.
        base: The ledger entry that it was folded from.
        events: Records of the asset that it took.
        idle: Of the updates those that had nothing to correct.
    """

    key: ModelKey
    offsets: tuple[int, ...]
    lineage: bytes
    base: int
    events: int
    idle: tuple[int, ...] = ()

    @classmethod
    def of(cls, action: Action) -> Swap:
        """Return the swap that an action notes."""
        detail = action.detail
        return cls(
            ModelKey.decode(detail["model"].encode()),
            _offsets(detail["updates"]),
            bytes.fromhex(detail["lineage"]),
            int(detail["base"]),
            int(detail["events"]),
            _offsets(detail.get("idle", "")),
        )

    def action(self) -> Action:
        """Return the ledger action."""
        detail = {
            "model": self.key.encode().decode(),
            "updates": ",".join(map(str, self.offsets)),
            "lineage": self.lineage.hex(),
            "base": str(self.base),
            "events": str(self.events),
            **({"idle": ",".join(map(str, self.idle))} if self.idle else {}),
        }
        return Action(SWAP, detail)


def refused(offsets: Sequence[int]) -> list[Action]:
    """Return what an entry notes of updates that were refused for what the models were then."""
    return [Action(REFUSED, {"updates": ",".join(map(str, offsets))})] if offsets else []


def refused_in(entry: Entry) -> frozenset[int]:
    """Return the offsets of the updates that an entry refused for that."""
    found = (a.detail["updates"] for a in entry.actions if a.kind == REFUSED)
    return frozenset(offset for text in found for offset in _offsets(text))


class Why(NamedTuple):
    """Why no re-fold makes a correction: which of the reasons there are, and in words."""

    kind: WhyCompensated
    words: str


@dataclass(frozen=True, slots=True)
class Compensation:
    """Corrections that no re-fold could make; what is done instead takes effect from here on.

    Attributes:
        offsets: Of the updates that asked for them.
    """

    key: ModelKey
    offsets: tuple[int, ...]
    why: Why

    @classmethod
    def of(cls, action: Action) -> Compensation:
        """Return the compensation that an action notes."""
        detail = action.detail
        key = ModelKey.decode(detail["model"].encode())
        why = Why(WhyCompensated(detail["kind"]), detail["reason"])
        return cls(key, _offsets(detail["updates"]), why)

    def action(self) -> Action:
        """Return the ledger action."""
        detail = {
            "model": self.key.encode().decode(),
            "updates": ",".join(map(str, self.offsets)),
            "kind": self.why.kind.value,
            "reason": self.why.words,
        }
        return Action(COMPENSATE, detail)


def full_actions(full: Mapping[ModelKey, Sequence[int]]) -> list[Action]:
    """Return what notes the updates that were compensated as they came, for lack of room.

    The fold does that by itself; a re-fold, whose models have more room, must be told.
    """
    why = Why(WhyCompensated.FULL, FULL)
    return [Compensation(key, tuple(offsets), why).action() for key, offsets in full.items()]


def notes_full(entry: Entry, full: Mapping[ModelKey, Sequence[int]]) -> bool:
    """Return whether an entry notes these updates as compensated for lack of room, no others."""
    noted = [a for a in entry.actions if a.kind == COMPENSATE]
    return [a for a in noted if a.detail["kind"] == WhyCompensated.FULL] == full_actions(full)


def full_in(entry: Entry, key: ModelKey) -> frozenset[int]:
    """Return the updates that an entry says were compensated for lack of room."""
    noted = (Compensation.of(action) for action in entry.actions if action.kind == COMPENSATE)
    return frozenset(
        offset
        for done in noted
        if done.key == key and done.why.kind is WhyCompensated.FULL
        for offset in done.offsets
    )


def _offsets(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split(","))) if text else ()

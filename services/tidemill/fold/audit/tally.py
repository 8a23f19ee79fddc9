"""What the ledger's entries, added up, say of all models: held against what each entry says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidemill.contracts.topics import LEDGER
from tidemill.fold.audit.findings import Finding, Kind, Place
from tidemill.fold.retirement import assets_retired
from tidemill.fold.standing import NONE_LEARNED, mark_of
from tidemill.fold.terms import KIND as TERMS
from tidemill.fold.terms import Terms
from tidemill.models.state import ModelKey

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tidemill.fold.ledger import Entry
    from tidemill.fold.ledger_log import Placed


class Tally:
    """Every model's last version and lineage as the entries have them, from the genesis on."""

    def __init__(self) -> None:
        self._marks: dict[ModelKey, int] = {}
        self._sum = NONE_LEARNED
        self._is_whole = False

    def lose_the_thread(self) -> None:
        """Count no more: an entry in between cannot be relied on."""
        self._is_whole = False

    def follow(self, placed: Placed) -> Iterator[Finding]:
        """Hold the next entry against the sum; behind one that contradicts it nothing is known."""
        entry = placed.entry
        self._is_whole = self._is_whole or entry.sequence == 0
        if not self._is_whole:
            return
        self._add(entry)
        added = self._sum
        if (added.models, added.digest) == (entry.learned, entry.fleet):
            return
        self._is_whole = False
        place = Place(LEDGER, entry.partition, placed.offset, placed.offset)
        must = (
            f"{added.models} models have learned as the entries up to here say, to the sum "
            f"{added.digest.hex()[:16]}"
        )
        found = f"the entry says {entry.learned}, {entry.fleet.hex()[:16]}"
        yield Finding(Kind.LEDGER_CONTRADICTS, place, entry.sequence, must, found)

    def _add(self, entry: Entry) -> None:
        for action in entry.actions:
            if action.kind == TERMS:
                terms = Terms.of(action)
                for key in [key for key in self._marks if not terms.has(*key)]:
                    self._sum = self._sum.counting(self._marks.pop(key), 0)
        gone = assets_retired(entry)
        for key in [key for key in self._marks if gone and (key.stream, key.asset) in gone]:
            self._sum = self._sum.counting(self._marks.pop(key), 0)
        for model in entry.models:
            key = ModelKey(model.stream, model.asset, model.model)
            mark = mark_of(key, model.version, model.lineage, model.seen)
            self._sum = self._sum.counting(self._marks.get(key, 0), mark)
            self._marks[key] = mark

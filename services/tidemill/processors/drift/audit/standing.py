"""What the entries, added up, say of all assets: held against the sum that each entry says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidemill.contracts.topics import DRIFT_LEDGER
from tidemill.fold.audit.findings import Finding, Kind, Place
from tidemill.fold.standing import NONE_LEARNED, mark_of
from tidemill.fold.terms import KIND as TERMS
from tidemill.fold.terms import Terms
from tidemill.models.state import ModelKey
from tidemill.processors.drift.plans import plans_of
from tidemill.processors.drift.watching import retired

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tidemill.fold.ledger import Entry
    from tidemill.fold.ledger_log import Placed


class Standing:
    """Every asset as the entries have it, one entry after another.

    Attributes:
        lineages: Of each asset by now, as far as known.
        terms: Those in force; None before any was met.
    """

    def __init__(self) -> None:
        self.lineages: dict[ModelKey, bytes] = {}
        self.terms: Terms | None = None
        self._marks: dict[ModelKey, int] = {}
        self._sum = NONE_LEARNED
        self._is_whole = False

    def lose_the_thread(self) -> None:
        """Forget what was known: an entry in between cannot be relied on."""
        self._is_whole = False
        self.lineages.clear()

    def adopt(self, entry: Entry) -> list[ModelKey]:
        """Obey an entry's actions, terms and assets let go; return what is watched no more."""
        gone = []
        for action in entry.actions:
            if action.kind != TERMS:
                continue
            terms = Terms.of(action)
            if self.terms is not None and terms.digest != self.terms.digest:
                gone += self._change(self.terms, terms)
            self.terms = terms
        return gone + self._drop(retired(entry))

    def _change(self, before: Terms, after: Terms) -> list[ModelKey]:
        then, now = (
            {name: plan.digest for name, plan in plans_of(terms.definition).items()}
            for terms in (before, after)
        )
        anew = {name for name, digest in then.items() if now.get(name) != digest}
        gone = [key for key in {**self._marks, **self.lineages} if key.stream in anew]
        return self._drop(gone)

    def _drop(self, gone: list[ModelKey]) -> list[ModelKey]:
        for key in gone:
            self._sum = self._sum.counting(self._marks.pop(key, 0), 0)
            self.lineages.pop(key, None)
        return gone

    def follow(self, placed: Placed) -> Iterator[Finding]:
        """Hold the next entry, whose terms are in force, against the sum."""
        entry = placed.entry
        self._is_whole = self._is_whole or entry.sequence == 0
        for model in entry.models:
            key = ModelKey(model.stream, model.asset, model.model)
            mark = mark_of(key, model.version, model.lineage, model.seen)
            self._sum = self._sum.counting(self._marks.get(key, 0), mark)
            self._marks[key], self.lineages[key] = mark, model.lineage
        added = self._sum
        if not self._is_whole or (added.models, added.digest) == (entry.learned, entry.fleet):
            return
        self._is_whole = False
        place = Place(DRIFT_LEDGER, entry.partition, placed.offset, placed.offset)
        must = f"{added.models} assets are watched as the entries up to here say"
        found = f"the entry says {entry.learned}, or others"
        yield Finding(Kind.LEDGER_CONTRADICTS, place, entry.sequence, must, found)

"""Where a model began at nothing, if its first ledger entry and the records of it are retained."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidemill.contracts.topics import EVENTS, LEDGER
from tidemill.fold.editing import Editing
from tidemill.fold.extracts import Extract
from tidemill.fold.ledger_log import find_terms, read_entry
from tidemill.fold.model_fold import ModelFold, plans_of
from tidemill.kernel.errors import RetentionError

if TYPE_CHECKING:
    from collections.abc import Generator

    from tidemill.fold.ledger import Changed, Entry
    from tidemill.fold.ledger_log import Placed
    from tidemill.kernel.processor import Log
    from tidemill.models.state import ModelKey, ModelState

FIRST_STEP = 64


class Beginnings:
    """Finds the ledger entries with which models of one partition began.

    Args:
        log: The topics.
        partition: The partition number.
    """

    def __init__(self, log: Log, partition: int) -> None:
        self._log = log
        self._partition = partition

    def find(self, key: ModelKey) -> Generator[None, None, int | None]:
        """Return the entry with which a model began; None if that is not retained.

        The ledger is read backwards, no further than to that entry.
        """
        begin, stop = self._log.span(LEDGER, self._partition)
        step = FIRST_STEP
        while stop > begin:
            start = max(begin, stop - step)
            found = yield from self._first_naming(key, start, stop)
            if found is not None and (yield from self._is_beginning(key, *found)):
                return found[0].entry.sequence
            stop, step = start, step * 2
        return None

    def _first_naming(
        self, key: ModelKey, start: int, stop: int
    ) -> Generator[None, None, tuple[Placed, Changed] | None]:
        needle = key.asset.encode()
        for messages in self._log.read(LEDGER, self._partition, start, stop):
            yield
            for message in messages:
                if needle in (message.value or b""):
                    placed = read_entry(message)
                    said = _said(placed.entry, key)
                    if said is not None:
                        return placed, said
        return None

    def _is_beginning(
        self, key: ModelKey, placed: Placed, said: Changed
    ) -> Generator[None, None, bool]:
        """Return whether the records of an entry, from nothing, lead to what it says."""
        entry = placed.entry
        events = sum(run.last - run.first + 1 for run in entry.runs if run.topic == EVENTS)
        if said.seen > events:
            return False
        try:
            state = yield from self._from_nothing(key, placed)
        except RetentionError:
            return False
        if state is None:
            return False
        found = (state.version, state.lineage, state.recent.count)
        return found == (said.version, said.lineage, said.seen)

    def _from_nothing(
        self, key: ModelKey, placed: Placed
    ) -> Generator[None, None, ModelState | None]:
        entry, where = placed.entry, (self._log, self._partition)
        terms = yield from find_terms(*where, entry.definition, placed.offset + 1)
        plan = plans_of(terms).get(key.stream)
        if plan is None or key.model not in {each.name for each in plan.blueprints}:
            return None
        fold = ModelFold(terms, self._partition, key, Editing(()))
        needle = key.asset.encode()
        for run in entry.runs:
            extract = Extract(self._log, run.topic, self._partition, needle)
            try:
                messages = yield from extract.take(run.first, run.last)
            finally:
                extract.close()
            for message in messages:
                fold.take(message, entry.sequence, frozenset())
                yield
        return fold.state


def _said(entry: Entry, key: ModelKey) -> Changed | None:
    """Return what an entry says of a model."""
    for model in entry.models:
        if (model.stream, model.asset, model.model) == key:
            return model
    return None

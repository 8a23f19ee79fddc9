"""An explainer over topics that are lists, committed as the runtime does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fold.history import KEY, POLICY, TERMS, History
from tidemill.contracts.topics import LEDGER
from tidemill.fold.audit.starting import drained
from tidemill.processors.explainer.processor import Explainer, ExplainerFactory
from tidemill.testing.plants import event_value

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fold.history import ListLog
    from tidemill.fold.books import Policy
    from tidemill.fold.terms import Terms
    from tidemill.kernel.records import Emit


class Reader:
    """One partition's explainer."""

    def __init__(
        self,
        log: ListLog,
        terms: Terms = TERMS,
        *,
        from_end: bool = False,
        committed: int | None = None,
        policy: Policy = POLICY,
    ) -> None:
        self.log = log
        self.committed = committed
        self._factory = ExplainerFactory(terms, KEY, policy, from_end=from_end)
        self.open()

    def open(self) -> None:
        """Start, as a worker does after each assignment."""
        opened = drained(self._factory.open(0, {LEDGER: self.committed}, self.log))
        assert isinstance(opened.task, Explainer)
        self.task, self.at = opened.task, opened.positions[LEDGER]
        self._write(opened.first_emits)

    def read(self, most: int | None = None) -> list[Emit]:
        """Follow the next entries in one transaction; return what they are explained by."""
        found = [m for m in self.log.topics[LEDGER] if m.offset >= self.at][:most]
        if not found:
            return []
        emits = self.task.process_batch(found)
        self.at = self.committed = found[-1].offset + 1
        self._write([*emits, *self.task.seal({LEDGER: self.at})])
        return emits

    def _write(self, emits: Sequence[Emit]) -> None:
        for emit in emits:
            self.log.append(emit.topic, emit.value, key=emit.key, headers=emit.headers)


def x_of(number: int) -> dict[str, float | None]:
    """Return readings that vary."""
    return {"vibration": number % 5 / 10, "temperature": 60.0, "flow": number % 7 / 10}


def small_history() -> History:
    """Return four transactions of six events each."""
    history = History()
    for start in (0, 6, 12, 18):
        values = [event_value("north/1", n, x_of(n), n % 6) for n in range(start, start + 6)]
        history.commit([[history.event(value) for value in values]])
    return history

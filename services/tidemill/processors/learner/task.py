"""One partition of the learner as the runtime drives it: the fold, its books, its corrections."""

from __future__ import annotations

import pickle
from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING, Any

from tidemill.contracts.codec import MAGIC, schema_id_of, wire_prefix
from tidemill.contracts.topics import EVENTS
from tidemill.fold.arithmetic import arithmetic_digest, code_digest
from tidemill.kernel.reports import NO_CORRECTIONS, Report
from tidemill.models.pickles import dump_state, load_state
from tidemill.models.state import ModelKey

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tidemill.fold.applying import Fold
    from tidemill.fold.books import Books
    from tidemill.kernel.records import Emit, Message
    from tidemill.kernel.reports import Corrections, Refused
    from tidemill.processors.learner.correcting import Correcting


class Learner:
    """One partition of the learner.

    Attributes:
        refused: Snapshots that recovery did not accept.
        refolded: Records that recovery folded again.
        replaced: Models in whose place a changed definition started new ones, by name.
        at_budget: Models that met their budget before the task was opened.
    """

    def __init__(self, fold: Fold, books: Books, correcting: Correcting | None = None) -> None:
        self.fold = fold
        self.books = books
        self.correcting = correcting
        self.refused: tuple[Refused, ...] = ()
        self.refolded = 0
        self.replaced: tuple[str, ...] = ()
        self.at_budget = 0

    def process_batch(self, records: Sequence[Message]) -> list[Emit]:
        """Apply records in order; see `tidemill.kernel.processor.Processor`."""
        emits = []
        for _, run in groupby(records, key=lambda record: record.topic):
            messages = list(run)
            caused = self.fold.apply(messages, self.books.sequence)
            self.books.note(messages, caused)
            if self.correcting is not None:
                self.correcting.note(messages)
            emits += caused
        return emits

    def seal(self, positions: Mapping[str, int]) -> list[Emit]:
        """Return the ledger entry of the transaction, and the snapshots that go with it."""
        if self.correcting is not None:
            self.correcting.look(self.fold.fleet.changed)
        return self._closed(self.books.seal(positions))

    def _closed(self, sealed: list[Emit]) -> list[Emit]:
        """Let corrections under way know of the entry just sealed."""
        if self.correcting is not None and self.books.tail is not None:
            self.correcting.close(self.books.tail)
        return sealed

    @property
    def is_busy(self) -> bool:
        """Whether corrections wait; see `tidemill.kernel.processor.Laborious`."""
        return self.correcting is not None and self.correcting.is_busy

    def work(self, budget_s: float) -> bool:
        """Fold again what corrections ask for; see `tidemill.kernel.processor.Laborious`."""
        return self.correcting is not None and self.correcting.work(budget_s)

    def take_over(self, positions: Mapping[str, int]) -> list[Emit]:
        """Swap what was folded again; see `tidemill.kernel.processor.Laborious`."""
        assert self.correcting is not None
        return self.correcting.take_over(positions)

    def give_up(self, why: str) -> None:
        """Compensate what is being folded again; see `tidemill.kernel.processor.Laborious`."""
        if self.correcting is not None:
            self.correcting.give_up(why)

    def let_go(self) -> None:
        """Let go of a re-fold under way; see `tidemill.kernel.processor.Laborious`."""
        if self.correcting is not None:
            self.correcting.let_go()

    def unread(self, records: Sequence[Message]) -> set[int]:
        """Return the ids of unknown schemas; see `tidemill.kernel.processor.Growing`."""
        known = {wire_prefix(schema_id) for schema_id in self.fold.terms.schemas}
        met = {record.value[:5] for record in records if record.topic == EVENTS and record.value}
        whole = [prefix for prefix in met - known if len(prefix) == 5 and prefix[0] == MAGIC]
        return set(map(schema_id_of, whole))

    def grow(self, schemas: Mapping[int, Any], positions: Mapping[str, int]) -> list[Emit]:
        """Read by more schemas from here on; see `tidemill.kernel.processor.Growing`."""
        fold, sequence = self.fold, self.books.sequence
        known = {**fold.terms.schemas, **schemas}
        terms = replace(fold.terms, schemas=known).after(fold.terms, entry=sequence, retired={})
        fold.adopt(terms, sequence)
        actions = [terms.action()]
        return self._closed(self.books.seal(positions, kind="ACTION", actions=actions, saves=False))

    @property
    def mark(self) -> str:
        """Sequence of the last ledger entry; see `tidemill.kernel.processor.Marked`."""
        return "" if self.books.tail is None else str(self.books.tail.sequence)

    def report(self) -> Report:
        """Return what was done and what is held; see `tidemill.kernel.reports.Reporting`."""
        counts, oversized = self.fold.counts, tuple(self.books.oversized)
        return Report(
            learned=counts.learned,
            examples=counts.examples,
            repeated=counts.repeated,
            foreign_keys=counts.foreign_keys,
            dead=sum(counts.dead.values()),
            last_dead=self.fold.last_error,
            flags=dict(counts.flags),
            scores={stream: scores.copy() for stream, scores in counts.scores.items()},
            models=len(self.fold.fleet),
            at_budget=self.at_budget + len(oversized),
            oversized=oversized,
            refused=self.refused,
            refolded=self.refolded,
            replaced=self.replaced,
            corrections=self._corrections(),
            code=code_digest(),
            arithmetic=arithmetic_digest(),
        )

    def _corrections(self) -> Corrections:
        return NO_CORRECTIONS if self.correcting is None else self.correcting.counts

    def snapshot(self) -> bytes:
        """Return the state of all models of the partition."""
        held = [tracked for tracked in self.fold.fleet if not tracked.is_new]
        states = {tracked.key: dump_state(tracked.state) for tracked in held}
        return pickle.dumps([(tuple(key), state) for key, state in sorted(states.items())])

    def restore(self, state: bytes) -> None:
        """Become what `snapshot` returned; only for states of this very process."""
        for key, dumped in pickle.loads(state):  # noqa: S301 - never crosses a process
            self.fold.fleet.restore(ModelKey(*key), load_state(dumped), -1)

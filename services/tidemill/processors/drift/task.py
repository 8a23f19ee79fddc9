"""One partition of the drift processor as the runtime drives it: what is watched, and its books."""

from __future__ import annotations

from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING, Any

from tidemill.contracts.codec import MAGIC, schema_id_of, wire_prefix
from tidemill.contracts.topics import EVENTS
from tidemill.fold.arithmetic import arithmetic_digest, code_digest
from tidemill.fold.entry_marks import marked
from tidemill.kernel.reports import Report
from tidemill.models.state import ModelKey
from tidemill.processors.drift.books import CODE, TOLD
from tidemill.processors.drift.packing import packed, unpacked
from tidemill.processors.drift.saving import restored, saved

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tidemill.kernel.records import Emit, Message
    from tidemill.kernel.reports import Refused
    from tidemill.processors.drift.books import Books
    from tidemill.processors.drift.watching import Watching


class DriftTask:
    """One partition of the drift processor.

    Attributes:
        refused: Snapshots that recovery did not accept.
        refolded: Records that recovery folded again.
    """

    def __init__(self, watching: Watching, books: Books) -> None:
        self.watching = watching
        self.books = books
        self.refused: tuple[Refused, ...] = ()
        self.refolded = 0

    def process_batch(self, records: Sequence[Message]) -> list[Emit]:
        """Apply records in order; see `tidemill.kernel.processor.Processor`."""
        emits: list[Emit] = []
        for _, run in groupby(records, key=lambda record: record.topic):
            messages = list(run)
            caused = self.watching.apply(messages, self.books.sequence)
            self.books.note(messages, caused)
            emits += marked(caused, self.books.sequence, TOLD)
        return emits

    def seal(self, positions: Mapping[str, int]) -> list[Emit]:
        """Return the ledger entry of the transaction, and the states that go with it."""
        return self.books.seal(positions)

    def unread(self, records: Sequence[Message]) -> set[int]:
        """Return the ids of unknown schemas; see `tidemill.kernel.processor.Growing`."""
        known = {wire_prefix(schema_id) for schema_id in self.watching.terms.schemas}
        met = {record.value[:5] for record in records if record.topic == EVENTS and record.value}
        whole = [prefix for prefix in met - known if len(prefix) == 5 and prefix[0] == MAGIC]
        return set(map(schema_id_of, whole))

    def grow(self, schemas: Mapping[int, Any], positions: Mapping[str, int]) -> list[Emit]:
        """Read by more schemas from here on; see `tidemill.kernel.processor.Growing`."""
        before, sequence = self.watching.terms, self.books.sequence
        known = {**before.schemas, **schemas}
        terms = replace(before, schemas=known).after(before, entry=sequence, retired={})
        told = self.books.tell(self.watching.adopt(terms, sequence).emits)
        return told + self.books.seal(positions, kind="ACTION", actions=[terms.action()])

    @property
    def mark(self) -> str:
        """Sequence of the last ledger entry; see `tidemill.kernel.processor.Marked`."""
        return "" if self.books.tail is None else str(self.books.tail.sequence)

    def report(self) -> Report:
        """Return what was done and what is held; see `tidemill.kernel.reports.Reporting`."""
        return Report(
            models=len(self.watching.watched),
            refused=self.refused,
            refolded=self.refolded,
            drifts=self.watching.tally.drifts(),
            code=code_digest(CODE),
            arithmetic=arithmetic_digest(),
        )

    def snapshot(self) -> bytes:
        """Return all that is watched in the partition."""
        states = [[list(key), saved(each)] for key, each in sorted(self.watching.watched.items())]
        return packed(states)

    def restore(self, state: bytes) -> None:
        """Become what `snapshot` returned."""
        watching = self.watching
        for names, dumped in unpacked(state):
            key = ModelKey(*names)
            plan = watching.plans[key.stream]
            each = restored(plan, key.asset, watching.partition, dumped)
            watching.put(key, each, -1)

"""All assets of one partition, watched: records in, drifts and instructions out."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from typing import TYPE_CHECKING, NamedTuple

from tidemill.contracts.codec import codec
from tidemill.contracts.topics import DRIFT, UPDATES
from tidemill.fold.retirement import KIND as RETIREMENT
from tidemill.fold.standing import NONE_LEARNED, mark_of
from tidemill.kernel.records import Emit, trace_headers
from tidemill.models.state import ModelKey
from tidemill.processors.drift.plans import REFERENCE, plans_of
from tidemill.processors.drift.reading import Reader
from tidemill.processors.drift.tally import Tally
from tidemill.processors.drift.watched import Watched

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tidemill.fold.ledger import Entry
    from tidemill.fold.standing import Standing
    from tidemill.fold.terms import Terms
    from tidemill.kernel.records import Message
    from tidemill.processors.drift.episodes import Said
    from tidemill.processors.drift.plans import Plan
    from tidemill.processors.drift.reading import Reading

# What is watched of an asset stands in ledger and snapshots under this name, as a model would.
NAME = "drift"


def retired(entry: Entry) -> list[ModelKey]:
    """Return what an entry says is watched no more, by an operator's word."""
    return [
        ModelKey(each.detail["stream"], each.detail["asset"], NAME)
        for each in entry.actions
        if each.kind == RETIREMENT
    ]


class Unsaved(NamedTuple):
    """Since when a state is not saved: a ledger entry, and records of the partition before it."""

    sequence: int
    records: int


class Adopted(NamedTuple):
    """What other terms led to: what is watched no more, and what is told of it."""

    gone: list[ModelKey]
    emits: list[Emit]


class Watching:
    """What is watched of the assets of one partition.

    Args:
        terms: Definition and schemas.
        partition: Its number.
        reference: Events that sensors watched together are held against.

    Attributes:
        watched: By stream and asset, as ledger and snapshots name them.
        changed: Those that the ledger entry being written has changed.
        dirty: Those whose newest state is not saved, oldest first.
        records: Read so far.
        since: Ledger entry that a restored state follows: what it has seen is passed over.
    """

    def __init__(self, terms: Terms, partition: int, reference: int = REFERENCE) -> None:
        self.partition = partition
        self.reference = reference
        self.watched: dict[ModelKey, Watched] = {}
        self.changed: dict[ModelKey, Watched] = {}
        self.dirty: OrderedDict[ModelKey, Unsaved] = OrderedDict()
        self.records = 0
        self.since: dict[ModelKey, int] = {}
        self.standing: Standing = NONE_LEARNED
        self.tally = Tally()
        self._marks: dict[ModelKey, int] = {}
        self.plans: dict[str, Plan] = {}
        self.adopt(terms, 0)

    def adopt(self, terms: Terms, sequence: int) -> Adopted:
        """Come under terms with a ledger entry; what does not fit them is watched no more.

        Where a stream's models are others, references of what they say begin anew.
        """
        self.terms = terms
        before, self.plans = self.plans, plans_of(terms.definition, self.reference)
        self._reader = Reader(terms.definition, terms.schemas, self.plans)
        gone, emits = [], []
        for key, watched in sorted(self.watched.items()):
            if self.since.get(key, -1) >= sequence:
                continue
            plan = self.plans.get(key.stream)
            said: list[Said] = []
            if plan is None or plan.digest != watched.plan.digest:
                # Where the stream is gone no models are left to be told.
                said = [each for each in watched.close() if plan or not each.is_update]
                gone.append(key)
                self._forget(key)
            elif plan.models != before[key.stream].models:
                said = watched.begin_models_anew()
                self.changed[key] = watched
                self.dirty.setdefault(key, Unsaved(sequence, self.records))
            if plan is not None:
                watched.plan = watched.episodes.plan = plan
            emits += [self._emit(key, each, ()) for each in said]
        return Adopted(gone, emits)

    def retire(self, key: ModelKey, sequence: int) -> list[Emit]:
        """Let go of an asset with a ledger entry; its models go too, and are told nothing."""
        watched = self.watched.get(key)
        if watched is None or self.since.get(key, -1) >= sequence:
            return []
        said = [each for each in watched.close() if not each.is_update]
        self._forget(key)
        return [self._emit(key, each, ()) for each in said]

    def _forget(self, key: ModelKey) -> None:
        del self.watched[key]
        self.changed.pop(key, None)
        self.dirty.pop(key, None)
        self.standing = self.standing.counting(self._marks.pop(key, 0), 0)
        self.tally.forget(key)

    def apply(self, messages: Sequence[Message], sequence: int) -> list[Emit]:
        """Take records of one topic in; return what they cause, in their order.

        Args:
            messages: The records.
            sequence: Of the ledger entry that names them.
        """
        by_asset: dict[ModelKey, list[Reading]] = {}
        for index, message in enumerate(messages):
            found = self._reader.read(message, index)
            if found is None:
                continue
            stream, asset, reading = found
            key = ModelKey(stream, asset, NAME)
            if self.since.get(key, -1) >= sequence:
                continue
            by_asset.setdefault(key, []).append(reading)
        said: list[tuple[ModelKey, Said]] = []
        for key, readings in by_asset.items():
            said += [(key, each) for each in self._take(key, messages, readings, sequence)]
        self.records += len(messages)
        said.sort(key=lambda each: each[1].index)
        return [self._emit(key, each, messages) for key, each in said]

    def _take(
        self,
        key: ModelKey,
        messages: Sequence[Message],
        readings: Sequence[Reading],
        sequence: int,
    ) -> list[Said]:
        watched = self.watched.get(key)
        if watched is None:
            if messages[0].topic == UPDATES:
                self.tally.unmet += len(readings)
                return []
            watched = Watched(self.plans[key.stream], key.asset, self.partition)
            self.watched[key] = watched
        for reading in readings:
            value = messages[reading.index].value or b""
            watched.version += 1
            watched.lineage = hashlib.sha256(watched.lineage + value).digest()
        self.changed[key] = watched
        self.dirty.setdefault(key, Unsaved(sequence, self.records))
        unknown = watched.unknown
        said = watched.take(messages[0].topic, readings)
        self.tally.unmet += watched.unknown - unknown
        return said

    def _emit(self, key: ModelKey, said: Said, messages: Sequence[Message]) -> Emit:
        if not said.is_update:
            self.tally.told[said.record["kind"], said.record["status"]] += 1
        topic, name = (UPDATES, "Update") if said.is_update else (DRIFT, "Drift")
        headers = trace_headers(messages[said.index].headers) if messages else ()
        value = codec(name).encode(said.record)
        return Emit(topic, self.partition, key.asset.encode(), value, headers)

    def settle(self) -> Mapping[ModelKey, Watched]:
        """Return what changed since, and count it in the standing of all."""
        changed = self.changed
        for key, watched in changed.items():
            mark = mark_of(key, watched.version, watched.lineage, watched.allowance.events)
            self.standing = self.standing.counting(self._marks.get(key, 0), mark)
            self._marks[key] = mark
            self.tally.note(key, watched)
        self.changed = {}
        return changed

    def put(self, key: ModelKey, watched: Watched, since: int) -> None:
        """Put a restored state in, which follows a ledger entry."""
        self.watched[key] = self.changed[key] = watched
        self.since[key] = since

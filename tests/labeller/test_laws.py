"""The labeller keeps the five laws; its state lies in the store."""

from __future__ import annotations

import copy
import pickle
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from labeller.cases import DEFINITION, PARTITIONS, label, prediction, second
from labeller.no_ends import NoEnds
from tidemill.contracts.codec import codec
from tidemill.contracts.topics import LABELS, PREDICTIONS
from tidemill.kernel.records import Message
from tidemill.processors.labeller.streams import label_streams
from tidemill.processors.labeller.task import Labeller
from tidemill.processors.labeller.trail import Starts, Trail
from tidemill.testing.laws import check_processor
from tidemill.testing.memory_pending import MemoryPending

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tidemill.kernel.records import Emit

NO_STARTS = Starts(0, 0, 0, 0)


class Alone:
    """A labeller of one partition that has a store for itself; the store's state is its own."""

    def __init__(self) -> None:
        streams = label_streams(DEFINITION)
        self.store = MemoryPending(PARTITIONS, {n: each.ttl_us for n, each in streams.items()})
        generation = self.store.generation()
        for partition in range(PARTITIONS):
            self.store.finish(generation, partition, 0, 0)
        self.task = Labeller(
            self.store,
            (generation, 0),
            streams,
            trail=Trail([NO_STARTS]),
            ends=NoEnds(),
            room=1000,
        )

    def process_batch(self, records: Sequence[Message]) -> list[Emit]:
        emits: list[Emit] = []
        run: list[Message] = []
        for record in records:
            if run and run[-1].topic != record.topic:
                emits += self.task.process_batch(run)
                run = []
            run.append(record)
        return emits + self.task.process_batch(run)

    def snapshot(self) -> bytes:
        return pickle.dumps(self.store._state)

    def restore(self, state: bytes) -> None:
        self.store._state = copy.deepcopy(pickle.loads(state))


_events = st.integers(0, 3)
_drawn = st.one_of(
    st.tuples(st.just("prediction"), _events, st.sampled_from(["", "DUPLICATE", "bare"])),
    st.tuples(
        st.just("label"),
        _events,
        st.tuples(st.sampled_from([None, 1.0, 2.0]), st.integers(-1, 2), st.sampled_from([0, 101])),
    ),
    st.tuples(st.just("junk"), _events, st.none()),
)


def record(offset: int, drawn: tuple[str, int, object]) -> Message:
    kind, event, given_ = drawn
    if kind == "prediction":
        other = {"features": None} if given_ == "bare" else {"quality": [given_] if given_ else []}
        value = codec("Prediction").encode(prediction(event, **other))
        return Message(PREDICTIONS, 0, offset, b"press", value)
    if kind == "junk":
        return Message(LABELS, 0, offset, b"press", b"junk")
    assert isinstance(given_, tuple)
    number, revision, late_s = given_
    record_ = label(event, number, revision=revision, time=second(late_s))
    return Message(LABELS, 0, offset, b"press", codec("Label").encode(record_))


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(_drawn, min_size=1, max_size=14))
def test_the_labeller_keeps_the_laws(stream: list[tuple[str, int, object]]) -> None:
    records = [record(offset, drawn) for offset, drawn in enumerate(stream)]
    check_processor(Alone, records, max_state_bytes=60_000, repeat=3)

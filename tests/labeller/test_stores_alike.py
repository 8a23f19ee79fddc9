"""Any calls are answered alike by the store in memory and by the real Redis."""

from __future__ import annotations

import uuid
from contextlib import closing
from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st

from labeller.stores import EQUAL, PARTITIONS, TWO, held, kept, recovered
from tidemill.contracts.pending import MICROS, Buried, Done, Progress, Source, case_of
from tidemill.runtime.pending_redis import RedisPending
from tidemill.testing.memory_pending import MemoryPending

if TYPE_CHECKING:
    from tidemill.contracts.pending import PendingStore, Tidied
    from tidemill.local.redis import EmbeddedRedis

Made = tuple[str, tuple[Any, ...]]  # Any: arguments of a call
# Few cases and short times, so that all of it meets.
_case, _offset, _time = (
    st.integers(0, 2),
    st.integers(0, 5),
    st.sampled_from([0, 50, 100, 101, 260]),
)
_partition = st.integers(0, PARTITIONS - 1)
_kept = st.builds(
    lambda case, offset, time, made, stream: kept(
        case, offset, time=time, made=made, stream=stream
    ),
    _case, _offset, _time, _time, st.sampled_from(["pump", "fan"]),
)  # fmt: skip
_texts = st.dictionaries(
    st.sampled_from(["pump", "fan"]), st.sampled_from(["1.0", "2.0"]), min_size=1
)
_held = st.builds(
    lambda case, offset, time, rest: held(case, offset, time=time, revision=rest[0])._replace(
        texts=rest[1]
    ),
    _case, _offset, _time, st.tuples(st.integers(0, 2), _texts),
)  # fmt: skip
_progress = st.builds(
    Progress, _offset, _offset, st.one_of(st.none(), st.integers(0, 9)), st.booleans(),
    st.integers(0, 2), st.integers(1, 12),
)  # fmt: skip
_done = st.builds(
    Done, _case.map(lambda n: case_of("a", f"e{n}")), st.sampled_from(["pump", "fan"]),
    st.integers(0, 2), st.builds(Source, st.sampled_from("LP"), _partition, _offset),
    _time.map(lambda time: time * MICROS), st.sampled_from(["", "1.0", "2.0"]),
    st.sampled_from(["1.0", "2.0"]),
)  # fmt: skip
_buried = st.builds(
    Buried, _case.map(lambda n: case_of("a", f"e{n}")), _offset,
    _time.map(lambda time: time * MICROS), st.booleans(),
)  # fmt: skip
_calls = st.one_of(
    st.tuples(st.just("keep"), st.tuples(_partition, st.lists(_kept, max_size=3), _offset)),
    st.tuples(st.just("hold"), st.tuples(_partition, st.lists(_held, max_size=3), _offset)),
    st.tuples(st.just("tidy"), st.tuples(_partition, _progress)),
    st.tuples(st.just("restore_done"), st.tuples(_partition, st.lists(_done, max_size=2), _offset)),
    st.tuples(
        st.just("restore_buried"),
        st.tuples(_partition, st.lists(_buried, max_size=2), st.tuples(_offset, _offset)),
    ),
    st.tuples(st.just("restore_kept"), st.tuples(_partition, st.lists(_kept, max_size=2))),
    st.tuples(st.just("restore_held"), st.tuples(_partition, st.lists(_held, max_size=2))),
    st.tuples(st.just("standing"), st.tuples(_partition)),
)


def answered(store: PendingStore, generation: str, made: Made) -> object:
    """Return what a store answers, in an order of its own where it promises none."""
    name, arguments = made
    answer = getattr(store, name)(generation, *arguments)
    if name == "tidy":
        found: Tidied = answer
        return found._replace(given_up=sorted(found.given_up))
    return answer


@settings(max_examples=150)
@given(calls=st.lists(_calls, min_size=5, max_size=40), streams=st.sampled_from([EQUAL, TWO]))
def test_any_calls_are_answered_alike(
    redis: EmbeddedRedis, calls: list[Made], streams: dict[str, int]
) -> None:
    assert redis.url is not None
    real = RedisPending(redis.url, (f"test-{uuid.uuid4()}", str), PARTITIONS, streams)
    with closing(real):
        memory = MemoryPending(PARTITIONS, streams)
        generations = recovered(memory), recovered(real)
        for number, made in enumerate(calls):
            wanted = answered(memory, generations[0], made)
            found = answered(real, generations[1], made)
            assert found == wanted, f"call {number}: {made}"

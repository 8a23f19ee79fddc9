"""What the store of cases is called with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tidemill.contracts.pending import MICROS, Held, Kept, Progress, case_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tidemill.contracts.pending import Met, PendingStore

PARTITIONS = 2
TTL_US = 100 * MICROS
ONE = {"pump": TTL_US}
TWO = {"pump": TTL_US, "fan": 50 * MICROS + 1}
EQUAL = {"pump": TTL_US, "fan": TTL_US}


def kept(case: int, offset: int, *, time: int = 0, made: int = 0, stream: str = "pump") -> Kept:
    name = case_of("a", f"e{case}")
    return Kept(name, stream, offset, time * MICROS, made * MICROS, b"half\n\x00%d" % offset)


def held(case: int, offset: int, *, time: int = 0, revision: int = 0, text: str = "1.0") -> Held:
    name, at = case_of("a", f"e{case}"), time * MICROS
    texts = {"pump": text, "fan": f"fan's {text}"}
    return Held(name, revision, offset, at, texts, b"letter\n\x00%d" % offset)


def progress(predictions: int, labels: int, **other: Any) -> Progress:
    given = {"through": None, "is_caught_up": False, "given_up": 0, "room": 1_000_000}
    return Progress(predictions, labels, **{**given, **other})


def recovered(store: PendingStore) -> str:
    """Recover a store of nothing; return its generation."""
    generation = store.generation()
    for partition in range(PARTITIONS):
        store.finish(generation, partition, 0, 0)
    return generation


def brief(met: Sequence[Met]) -> list[tuple[int, str, str]]:
    return [(each.number, each.verdict.value, each.replaced) for each in met]

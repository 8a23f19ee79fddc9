"""What is saved when: chunks that are no longer needed go, a crowd is spread over the entries."""

from __future__ import annotations

import pytest

from fold.history import History
from tidemill.contracts.topics import EVENTS, LEDGER, SNAPSHOTS
from tidemill.fold.books import Policy
from tidemill.fold.ledger_log import read_entry
from tidemill.fold.saving import CROWD
from tidemill.testing.plants import event_value, sample_terms

X = {"vibration": 1.0, "temperature": 60.0, "flow": 0.5}
PLAIN = sample_terms()
SMALL = sample_terms(["linear_model.LinearRegression"])
IN_CHUNKS = Policy(snapshot_every=1, chunk_bytes=400)
IN_ONE = Policy(snapshot_every=1)


def learn(history: History, asset: str = "north/1", *, size: int = 1) -> None:
    """Let an asset's models learn in one entry."""
    start = history.log.ends[EVENTS]
    numbers = range(start, start + size)
    history.commit([[history.event(event_value(asset, n, X, 1.0 + n % 5)) for n in numbers]])


def kept(history: History) -> set[bytes | None]:
    """Return the keys of snapshots that compaction would keep."""
    last = {message.key: message.value for message in history.log.topics[SNAPSHOTS]}
    return {key for key, value in last.items() if value is not None}


def tombstones(history: History) -> int:
    return sum(message.value is None for message in history.log.topics[SNAPSHOTS])


@pytest.mark.parametrize("is_restarted", [False, True], ids=["in one life", "after a restart"])
def test_chunks_that_a_smaller_snapshot_leaves_are_deleted_and_that_ends(
    is_restarted: bool,
) -> None:
    history = History(PLAIN, policy=IN_CHUNKS)
    learn(history)
    many = len(kept(history))
    assert many > 2

    def go_on() -> None:
        if is_restarted:
            history.open(PLAIN)
        learn(history)

    history._policy = history.learner.books._saving.policy = IN_ONE
    go_on()
    assert len(kept(history)) == 1
    assert tombstones(history) == many - 1
    go_on()
    before = tombstones(history)
    go_on()
    assert tombstones(history) == before


def test_a_crowd_is_shared_among_the_entries_of_the_bounds_second_half() -> None:
    bound, crowd, size = 4_000, 16 * CROWD, 200
    history = History(SMALL, policy=Policy(snapshot_every=bound))
    values = [event_value(f"asset/{n}", n, X, 1.0) for n in range(crowd)]
    history.commit([[history.event(value) for value in values]])
    saved: list[tuple[int, int]] = []
    while history.learner.fold.records < bound + size:
        learn(history, "asset/0", size=size)
        entry = read_entry(history.log.topics[LEDGER][-1]).entry
        saved.append((history.learner.fold.records, len(entry.snapshots)))
    assert not [count for records, count in saved if records < bound / 2 and count]
    assert sum(count for _, count in saved) >= crowd
    assert max(count for _, count in saved) <= 2 * CROWD

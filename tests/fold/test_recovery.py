"""What recovery accepts of snapshots, ledger and offsets, and what it refuses or waits for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fold.history import CHALLENGERS, KEY, History
from tidemill.contracts.codec import codec
from tidemill.contracts.topics import ANCHORS, EVENTS, LEDGER, PREDICTIONS, SNAPSHOTS
from tidemill.fold.books import Policy
from tidemill.fold.ledger import Entry
from tidemill.fold.ledger_log import entries_after, read_entry
from tidemill.fold.saving import CROWD
from tidemill.fold.shelf import Shelf
from tidemill.fold.snapshots import SigningKey, chunk_key, split_key
from tidemill.kernel.errors import DependencyUnavailableError, InvariantError, SnapshotRefusal
from tidemill.models.state import ModelKey
from tidemill.testing.plants import event_value, sample_terms

if TYPE_CHECKING:
    from tidemill.kernel.records import Message
    from tidemill.processors.learner.processor import Learner

X = {"vibration": 1.0, "temperature": 60.0, "flow": 0.5}
PLAIN = sample_terms()
OTHER = sample_terms(challengers=CHALLENGERS)
SMALL = sample_terms(["linear_model.LinearRegression"])


def learn(history: History, asset: str, *, entries: int = 1, size: int = 3) -> None:
    """Let an asset's models learn, some records per ledger entry."""
    for _ in range(entries):
        start = history.log.ends[EVENTS]
        numbers = range(start, start + size)
        history.commit([[history.event(event_value(asset, n, X, 1.0 + n % 5)) for n in numbers]])


def versions(learner: Learner) -> dict[str, tuple[int, bytes]]:
    return {
        tracked.key.encode().decode(): (tracked.state.version, tracked.state.lineage)
        for tracked in learner.fold.fleet
        if tracked.state.version
    }


def snapshots(history: History, asset: str) -> list[Message]:
    part = f"|{asset}|".encode()
    return [m for m in history.log.topics[SNAPSHOTS] if part in (m.key or b"") and m.value]


def alter(history: History, message: Message) -> None:
    value = bytearray(message.value or b"")
    value[len(value) // 2] ^= 1
    history.log.put(message._replace(value=bytes(value)))


def spoil(history: History, asset: str) -> None:
    """Leave of an asset's states only one, and that altered: it is rebuilt from the genesis."""
    *older, newest = [m for m in snapshots(history, asset) if b"champion" in (m.key or b"")]
    history.log.topics[ANCHORS].clear()
    for message in older:
        history.log.remove(message)
    alter(history, newest)


def tail(history: History) -> Entry:
    return Entry.decode(history.log.topics[LEDGER][-1].value)


@pytest.mark.parametrize("asset", ["#1", "hall|#2", "a|#b", "|#7", "x|#3|y"])
def test_an_asset_with_a_chunks_bar_in_its_name_is_restored(asset: str) -> None:
    history = History(PLAIN)
    learn(history, asset, entries=5)
    before = versions(history.learner)
    assert versions(history.open(PLAIN)) == before
    assert history.learner.refused == ()


def test_keys_of_chunks_are_told_from_keys_of_models() -> None:
    for asset in ("#1", "a|#2", "|#3|"):
        key = ModelKey("pump", asset, "pump/champion").encode()
        assert split_key(key) == (key, 0)
        assert split_key(chunk_key(key, 12)) == (key, 12)
    assert split_key(b"s|a|m|#" + b"9" * 5000)[1] == 0


def test_snapshots_newer_than_the_ledger_are_waited_for_and_never_taken() -> None:
    history = History(PLAIN)
    learn(history, "north/1", entries=6)
    entries = history.log.topics[LEDGER]
    saved_with = [read_entry(m).entry for m in entries if read_entry(m).entry.snapshots]
    cut = next(n for n, m in enumerate(entries) if read_entry(m).entry == saved_with[-1])
    del entries[cut:]
    history.positions = dict(tail(history).positions or {})
    with pytest.raises(DependencyUnavailableError, match="restore the ledger topic"):
        history.open(PLAIN)


def test_a_partition_with_snapshots_and_no_ledger_is_not_founded() -> None:
    history, lost = History(PLAIN), History(PLAIN)
    learn(history, "north/1", entries=4)
    lost.log.topics[SNAPSHOTS] = list(history.log.topics[SNAPSHOTS])
    lost.log.ends[SNAPSHOTS] = history.log.ends[SNAPSHOTS]
    lost.log.topics[LEDGER].clear()
    lost.log.ends[LEDGER] = 0
    with pytest.raises(InvariantError, match="without a ledger there must be no snapshot"):
        lost.open(PLAIN)


def test_the_live_learner_passes_over_no_record() -> None:
    history = History(PLAIN)
    learn(history, "north/1")
    fleet = history.learner.fold.fleet
    (tracked,) = list(fleet)
    fleet.restore(tracked.key, tracked.state, 5000)
    with pytest.raises(InvariantError, match="models must stand before it"):
        learn(history, "north/1")


def test_a_snapshot_of_another_partition_or_plant_is_misplaced() -> None:
    history = History(PLAIN)
    learn(history, "north/1", entries=3)
    message = snapshots(history, "north/1")[-1]
    plant = PLAIN.definition.plant

    def refused(message: Message, plant: str) -> list[SnapshotRefusal]:
        shelf = Shelf(KEY, plant=plant)
        shelf.add(message)
        assert bool(shelf.newest) != bool(shelf.refused)
        return [refusal[2] for refusal in shelf.refused]

    assert refused(message, plant) == []
    assert refused(message._replace(partition=1), plant) == [SnapshotRefusal.MISPLACED]
    assert refused(message, "another") == [SnapshotRefusal.MISPLACED]
    record = codec("Snapshot").decode(message.value)
    forged = codec("Snapshot").encode({**record, "partition": 1})
    assert refused(message._replace(partition=1, value=forged), plant) == [SnapshotRefusal.ALTERED]


def test_topics_of_one_plant_are_not_taken_over_by_another() -> None:
    history = History(PLAIN)
    learn(history, "north/1", entries=2)
    other = PLAIN.definition.model_copy(update={"plant": "other"})
    terms = type(PLAIN)(other, PLAIN.schemas)
    with pytest.raises(InvariantError, match="must stay those of plant"):
        history.open(terms)


@pytest.mark.parametrize("change", [OTHER, SMALL], ids=["a model more", "another pipeline"])
def test_a_refused_snapshot_is_rebuilt_across_a_change_of_terms(change: object) -> None:
    assert change in (OTHER, SMALL)
    terms = OTHER if change == OTHER else SMALL
    history = History(PLAIN)
    for asset in ("north/1", "north/2", "south/1"):
        learn(history, asset, entries=3)
    history.open(terms)
    for asset in ("north/1", "north/2"):
        learn(history, asset, entries=4)
    before = versions(history.learner)
    spoil(history, "north/1")
    assert versions(history.open(terms)) == before
    assert [refusal[2] for refusal in history.learner.refused] == [SnapshotRefusal.ALTERED]


def test_terms_that_come_back_find_their_newest_states() -> None:
    history = History(PLAIN)
    learn(history, "north/1", entries=3)
    learn(history, "north/2", entries=3)
    history.open(SMALL)
    learn(history, "north/1", entries=3)
    history.open(PLAIN, redefines=True)
    learn(history, "north/1", entries=3)
    learn(history, "north/2", entries=3)
    before = versions(history.learner)
    spoil(history, "north/2")
    assert versions(history.open(PLAIN)) == before


def test_a_state_that_fits_no_terms_is_refused_at_the_end() -> None:
    history = History(PLAIN)
    learn(history, "north/1", entries=3)
    message = snapshots(history, "north/1")[-1]
    record = codec("Snapshot").decode(message.value)
    record |= {"state_digest": bytes(32), "signature": b""}
    record["signature"] = KEY.sign(message.key or b"", codec("Snapshot").encode(record))
    history.log.put(message._replace(value=codec("Snapshot").encode(record)))
    with pytest.raises(InvariantError, match="must fit the definition in force"):
        history.open(PLAIN)


@pytest.mark.parametrize("is_older", [False, True], ids=["gone", "rolled back"])
def test_a_quiet_models_lost_snapshot_is_noticed(is_older: bool) -> None:
    history = History(PLAIN)
    learn(history, "north/1", entries=6)
    while tail(history).snapshots or not any(m for m in snapshots(history, "south/1")):
        learn(history, "south/1", size=1)
    before = versions(history.learner)
    kept = history.log.copy()
    saved = snapshots(history, "north/1")
    for message in saved[1:] if is_older else saved:
        history.log.remove(message)
    with pytest.raises(DependencyUnavailableError, match="snapshots of all 2 models"):
        history.open(PLAIN)
    history.log = kept
    assert versions(history.open(PLAIN)) == before


def test_the_sum_over_all_models_is_the_same_however_it_is_reached() -> None:
    history = History(OTHER)
    for asset in ("a", "b", "a", "c"):
        learn(history, asset, entries=2)
    live = history.learner.fold.fleet.standing()
    assert live.models == 6
    assert tail(history).fleet == live.digest
    rebuilt = history.open(OTHER).fold.fleet.standing()
    assert rebuilt == live
    dropped = history.open(PLAIN).fold.fleet.standing()
    assert dropped.models == 3
    assert (tail(history).learned, tail(history).fleet) == (3, dropped.digest)


def test_chunks_that_a_smaller_snapshot_leaves_are_deleted() -> None:
    history = History(PLAIN, policy=Policy(snapshot_every=1, chunk_bytes=400))
    learn(history, "north/1")
    many = {m.key for m in snapshots(history, "north/1")}
    assert len(many) > 2
    for policy in (Policy(snapshot_every=1), Policy(snapshot_every=1, chunk_bytes=100_000)):
        history._policy = policy
        history.open(PLAIN)
        learn(history, "north/1")
    left = {m.key: m.value for m in history.log.topics[SNAPSHOTS]}
    assert {key for key, value in left.items() if value is not None} == {min(many, key=len)}  # type: ignore[arg-type]  # no key is None
    assert versions(history.open(PLAIN))


def test_a_dropped_model_leaves_no_chunk_and_no_suspect() -> None:
    history = History(OTHER, policy=Policy(snapshot_every=1, chunk_bytes=400))
    learn(history, "north/1", entries=2)
    leftover = next(
        m for m in snapshots(history, "north/1") if (m.key or b"").endswith(b"plain|#1")
    )
    history.open(PLAIN)
    left = {m.key: m.value for m in history.log.topics[SNAPSHOTS]}
    assert not [key for key, value in left.items() if value and b"pump/plain" in (key or b"")]

    history.log.append(SNAPSHOTS, b"\x00" + (leftover.value or b"")[1:-4], key=leftover.key)
    history.log.forget_before(EVENTS, history.log.ends[EVENTS])
    learn(history, "north/1")
    assert versions(history.open(PLAIN)) == versions(history.learner)
    assert history.learner.refused


@pytest.mark.parametrize("size", [1, 7, 40])
def test_a_rebuild_folds_fewer_records_than_the_bound(size: int) -> None:
    bound = 30
    history = History(PLAIN, policy=Policy(snapshot_every=bound))
    for n in range(40):
        learn(history, f"asset/{n * 7 % 5}", size=size)
        last = read_entry(history.log.topics[LEDGER][-1])
        after = [p.entry for p in entries_after(history.log, 0, last.entry.resume, last) if p]
        folded = sum(run.last - run.first + 1 for entry in after for run in entry.runs)
        assert folded < bound


def test_a_crowd_that_learned_at_once_is_saved_over_several_entries() -> None:
    history = History(SMALL, policy=Policy(snapshot_every=1000))
    crowd = 4 * CROWD
    values = [event_value(f"asset/{n}", n, X, 1.0) for n in range(crowd)]
    history.commit([[history.event(value) for value in values]])
    while history.learner.fold.records < 1500:
        learn(history, "asset/0", size=50)
    saved = [len(read_entry(m).entry.snapshots) for m in history.log.topics[LEDGER]]
    assert sum(saved) >= crowd
    assert max(saved) <= crowd // 2


def test_predictions_go_on_after_every_restart() -> None:
    history = History(PLAIN, signing=SigningKey(b"s" * 32))
    for n in range(4):
        learn(history, f"asset/{n}", entries=3)
        history.open(PLAIN)
    assert len(history.log.topics[PREDICTIONS]) == len(history.log.topics[EVENTS])

"""A cluster that is away, refuses for a while, or has lost records: waited for, told, in bounds."""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, Any

import pytest

from tidemill.kernel.errors import DependencyUnavailableError, InvariantError
from tidemill.kernel.processor import Opened
from tidemill.kernel.records import Emit
from tidemill.runtime.assignment import ANSWER_S
from tidemill.runtime.clients import KafkaError, KafkaException
from tidemill.runtime.failures import Remedy, check_callback_error, remedy
from tidemill.runtime.kafka_log import KafkaLog
from tidemill.runtime.membership import Membership
from tidemill.runtime.observer import Silent
from tidemill.runtime.outage import REFUSED_FOR_S
from tidemill.runtime.transactions import Outcome, Transactor
from tidemill.runtime.worker import Worker, WorkerSettings
from tidemill.testing.cluster import MemoryCluster
from tidemill.testing.consumers import MemoryConsumer
from tidemill.testing.faults import Operation, fatal, timed_out

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence

    from tidemill.kernel.processor import Log
    from tidemill.kernel.records import Message

SETTINGS = WorkerSettings("g", "a", 1, batch=10)
AWAY = KafkaError(KafkaError._TRANSPORT, "planned: away", retriable=True)


class Echo:
    """Emits what it is given; its restores do what is planned, one thing after another."""

    name = "echo"
    inputs: tuple[str, ...] = ("in",)
    outputs: tuple[str, ...] = ("out",)

    def __init__(self, *steps: Callable[[], None]) -> None:
        self.steps = deque(steps)
        self.tries: list[float] = []

    def open(
        self, partition: int, committed: Mapping[str, int | None], log: Log
    ) -> Generator[None, None, Opened]:
        yield
        if self.steps:
            self.steps.popleft()()
        return Opened(self, {topic: offset or 0 for topic, offset in committed.items()})

    def process_batch(self, records: Sequence[Message]) -> list[Emit]:
        return [Emit("out", r.partition, r.key, r.value, r.headers) for r in records]

    def seal(self, positions: Mapping[str, int]) -> list[Emit]:
        return []

    def write_smaller(self) -> None:
        raise AssertionError


class Ear(Silent):
    """Keeps what it hears of outages and restores."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.seconds = 0.0

    def restored(self, partition: int, task: object, seconds: float) -> None:
        self.heard.append("restored")

    def away(self, why: str) -> None:
        self.heard.append(f"away: {why}")

    def back(self, seconds: float) -> None:
        self.heard.append("back")
        self.seconds = seconds


def make_worker(
    cluster: MemoryCluster,
    factory: Echo | None = None,
    *,
    failures: Callable[[], list[KafkaError]] = list,
    ear: Ear | None = None,
) -> Worker:
    return Worker(
        factory or Echo(),
        cluster.process(),
        SETTINGS,
        clock=cluster.now,
        observer=ear,
        failures=failures,
        wall=lambda: cluster.now_ms() / 1000,
    )


def one_topic() -> MemoryCluster:
    return MemoryCluster({"in": 1, "out": 1})


def missing(what: str, retry_after_s: float = 0.5) -> Callable[[], None]:
    def step() -> None:
        raise DependencyUnavailableError(what, retry_after_s=retry_after_s)

    return step


def run_until(worker: Worker, is_done: Callable[[], bool], *, turns: int = 3000) -> None:
    for _ in range(turns):
        if is_done():
            return
        worker.step()
    msg = "it never came"
    raise AssertionError(msg)


def test_the_deadline_runs_from_when_something_was_first_missed_not_from_the_assignment() -> None:
    cluster, ear = one_topic(), Ear()

    def take_long() -> None:
        cluster.advance(500.0)
        missing("entry")()

    worker = make_worker(cluster, Echo(take_long), ear=ear)
    run_until(worker, lambda: "restored" in ear.heard)


def test_what_stays_hidden_past_the_deadline_halts() -> None:
    cluster = one_topic()
    worker = make_worker(cluster, Echo(*[missing("entry")] * 1000))

    with pytest.raises(InvariantError, match=r"within 60 s, still missing: entry"):
        run_until(worker, lambda: False)
    assert 60.0 < cluster.now() < 65.0


def test_when_one_thing_came_the_next_has_the_whole_deadline() -> None:
    cluster, ear = one_topic(), Ear()
    steps = [missing("entry")] * 80 + [missing("snapshot")] * 80
    run_until(make_worker(cluster, Echo(*steps), ear=ear), lambda: "restored" in ear.heard)

    assert cluster.now() > 75.0


def test_a_restore_is_tried_again_no_sooner_than_the_error_asks_for() -> None:
    cluster, ear = one_topic(), Ear()
    worker = make_worker(cluster, Echo(missing("entry", 7.0)), ear=ear)
    run_until(worker, lambda: "restored" in ear.heard)

    assert 7.0 <= cluster.now() < 8.0


def test_an_outage_while_restoring_is_told_and_does_not_use_the_deadline_up() -> None:
    cluster, ear = one_topic(), Ear()

    def away() -> None:
        cluster.advance(2.0)
        raise KafkaException(AWAY)

    steps = [missing("entry"), *[away] * 40, missing("entry")]
    worker = make_worker(cluster, Echo(*steps), ear=ear)
    run_until(worker, lambda: "restored" in ear.heard)

    assert ear.heard == ["away: _TRANSPORT", "restored", "back"]


@pytest.mark.parametrize(
    "code",
    [
        KafkaError.INVALID_TRANSACTION_TIMEOUT,
        KafkaError._UNSUPPORTED_FEATURE,
        KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER,
    ],
)
def test_a_producer_that_can_never_be_initialised_halts_with_the_reason(code: int) -> None:
    cluster = one_topic()
    error = KafkaError(code, "planned: does not fit", fatal=True)
    cluster.fail_next(Operation.INIT, error, times=50)

    with pytest.raises(InvariantError, match="planned: does not fit"):
        make_worker(cluster)
    assert cluster.faults.calls[Operation.INIT] == 1


def test_a_producer_that_is_fenced_while_it_is_initialised_is_replaced_after_a_pause(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cluster = one_topic()
    polled: list[float] = []

    def poll(_: object, timeout: float) -> int:
        polled.append(timeout)
        return 0

    monkeypatch.setattr("tidemill.testing.producers.MemoryProducer.poll", poll)
    cluster.fail_next(Operation.INIT, fatal(), times=3)
    make_worker(cluster)

    assert cluster.faults.calls[Operation.INIT] == 4
    assert polled == [0.5] * 3


def test_an_outage_that_lasts_is_told_once_and_so_is_its_end() -> None:
    cluster, ear = one_topic(), Ear()
    cluster.fail_next(Operation.INIT, timed_out(), times=4)
    make_worker(cluster, ear=ear)

    assert ear.heard == ["away: _TIMED_OUT", "back"]
    assert ear.seconds == 15.0


def test_a_single_call_that_timed_out_is_nothing_to_tell() -> None:
    cluster, ear = one_topic(), Ear()
    for n in range(3):
        cluster.append("in", 0, str(n).encode())
    worker = make_worker(cluster, ear=ear)
    cluster.fail_next(Operation.COMMIT, timed_out())
    run_until(worker, lambda: len(cluster.read("out")) == 3)

    assert ear.heard == ["restored"]


def test_a_reader_does_not_wait_for_records_that_its_leader_no_longer_has() -> None:
    cluster = one_topic()
    for n in range(5):
        cluster.append("in", 0, str(n).encode())
    batches = KafkaLog(cluster).read("in", 0, 0, 9)

    with pytest.raises(DependencyUnavailableError, match=r"in-0 from 5 to 9"):
        deque(islice(batches, 100))


def test_a_restore_gives_the_cluster_a_short_while_to_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Four of them in one turn must leave the loop alive, and a signal heard."""
    allowed: list[float] = []
    ask = MemoryConsumer.get_watermark_offsets

    def noting(
        self: MemoryConsumer, where: Any, timeout: float = 0.0, *, cached: bool = False
    ) -> Any:
        if not cached:
            allowed.append(timeout)
        return ask(self, where, timeout, cached=cached)

    class Spanning(Echo):
        def open(
            self, partition: int, committed: Mapping[str, int | None], log: Log
        ) -> Generator[None, None, Opened]:
            log.span("in", partition)
            return (yield from super().open(partition, committed, log))

    monkeypatch.setattr(MemoryConsumer, "get_watermark_offsets", noting)
    cluster, ear = one_topic(), Ear()
    run_until(make_worker(cluster, Spanning(), ear=ear), lambda: "restored" in ear.heard)

    assert allowed == [ANSWER_S]
    assert ANSWER_S <= 2.0


def test_a_turn_of_the_loop_waits_for_one_restore_and_not_for_all_when_none_is_answered() -> None:
    cluster = MemoryCluster({"in": 4, "out": 4})

    def away() -> None:
        cluster.advance(2.0)
        raise KafkaException(AWAY)

    settings = WorkerSettings("g", "a", 4, batch=10)
    factory = Echo(*[away] * 8)
    worker = Worker(factory, cluster.process(), settings, clock=cluster.now)
    longest = 0.0
    while factory.steps:
        before = cluster.now()
        worker.step()
        longest = max(longest, cluster.now() - before)

    assert longest < 3.0


@pytest.mark.parametrize(
    "code",
    [
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.OFFSET_NOT_AVAILABLE,
        KafkaError.FENCED_LEADER_EPOCH,
        KafkaError.UNKNOWN_LEADER_EPOCH,
        KafkaError.KAFKA_STORAGE_ERROR,
        KafkaError.REPLICA_NOT_AVAILABLE,
        KafkaError.REQUEST_TIMED_OUT,
        KafkaError.NETWORK_EXCEPTION,
        KafkaError.BROKER_NOT_AVAILABLE,
        KafkaError.UNSTABLE_OFFSET_COMMIT,
        KafkaError.NOT_ENOUGH_REPLICAS,
        KafkaError.NOT_ENOUGH_REPLICAS_AFTER_APPEND,
        KafkaError.CONCURRENT_TRANSACTIONS,
        KafkaError.THROTTLING_QUOTA_EXCEEDED,
        KafkaError._TIMED_OUT_QUEUE,
        KafkaError._WAIT_COORD,
    ],
)
def test_what_a_cluster_says_while_it_moves_things_about_passes(code: int) -> None:
    error = KafkaError(code, "planned")
    check_callback_error(error)

    assert remedy(error) is Remedy.REPEAT


@pytest.mark.parametrize("code", [KafkaError._SSL, KafkaError._AUTHENTICATION])
def test_a_handshake_that_is_broken_off_halts_only_if_that_lasts(code: int) -> None:
    cluster, failures = one_topic(), list[KafkaError]()

    def take() -> list[KafkaError]:
        taken = [*failures]
        failures.clear()
        return taken

    worker = make_worker(cluster, failures=take)
    run_until(worker, lambda: worker.idle_s() > 1.0)
    for _ in range(8):
        failures.append(KafkaError(code, "planned"))
        worker.step()
        end = cluster.append("in", 0, b"x") + 1
        while cluster.committed_offset("g", "in", 0) != end:
            worker.step()
        cluster.advance(REFUSED_FOR_S / 2)
    failures.append(KafkaError(code, "planned"))
    worker.step()
    cluster.advance(REFUSED_FOR_S)
    failures.append(KafkaError(code, "planned: no certificate"))

    with pytest.raises(InvariantError, match="planned: no certificate"):
        worker.step()


def test_rights_that_are_missing_halt_at_once() -> None:
    error = KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED, "planned: not yours")
    worker = make_worker(one_topic(), failures=lambda: [error])

    with pytest.raises(InvariantError, match="planned: not yours"):
        worker.step()


def test_lost_records_are_told_though_the_broker_goes_away_meanwhile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cluster = one_topic()
    for n in range(5):
        cluster.append("in", 0, str(n).encode())
    cluster.delete_records("in", 0, 3)
    worker = make_worker(cluster)

    def away(*_: object, cached: bool = False, **__: object) -> tuple[int, int]:
        raise KafkaException(AWAY)

    monkeypatch.setattr(MemoryConsumer, "get_watermark_offsets", away)
    with pytest.raises(InvariantError, match=r"in-0: the next record to read is 0.*tidemill skip"):
        run_until(worker, lambda: False)


def count_of(cluster: MemoryCluster, *errors: KafkaError) -> list[str]:
    """Check the counts of a topic that answers with errors first; return why it was waited."""
    answers = deque(errors)
    ask = MemoryConsumer.list_topics

    def answer(self: MemoryConsumer, topic: str | None = None, *, timeout: float) -> Any:
        found = ask(self, topic, timeout=timeout)
        if answers:
            info = found.topics["in"]
            found.topics["in"] = type(info)(info.topic, {}, answers.popleft())
        return found

    waits: list[str] = []

    def breathe(why: str) -> None:
        waits.append(why)
        assert len(waits) < 10, "waits for ever"

    member = Membership(cluster, ("in",), group="g", instance="a", expected=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MemoryConsumer, "list_topics", answer)
        member.check_counts(breathe)
    return waits


def test_a_topic_whose_leader_is_being_chosen_is_not_taken_for_one_of_no_partitions() -> None:
    error = KafkaError(KafkaError.LEADER_NOT_AVAILABLE, "planned")

    assert len(count_of(one_topic(), error, error)) == 2


def test_a_topic_that_may_not_be_described_is_told_as_that() -> None:
    error = KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED, "planned: not yours")

    with pytest.raises(InvariantError, match="planned: not yours"):
        count_of(one_topic(), error)


def test_a_topic_that_is_not_there_is_told_by_its_count() -> None:
    with pytest.raises(InvariantError, match="in has 0"):
        count_of(MemoryCluster({"out": 1}))


@pytest.mark.parametrize("slept_s", [0.0, 3600.0])
def test_a_transaction_that_timed_out_while_the_machine_slept_is_no_second_worker(
    slept_s: float,
) -> None:
    """The monotonic clock stands still meanwhile; the wall's does not."""
    cluster = one_topic()
    wall = [100.0]

    def metadata() -> object:
        wall[0] += slept_s
        raise KafkaException(fatal())

    transactor = Transactor(
        cluster, "t", clock=cluster.now, breathe=lambda _: None, wall=lambda: wall[0]
    )
    if slept_s:
        assert transactor.run([], {("in", 0): 1}, metadata).outcome is Outcome.ABORTED
        return
    with pytest.raises(InvariantError, match="must belong to one worker"):
        transactor.run([], {("in", 0): 1}, metadata)


class LosesItsPlace(MemoryConsumer):
    """Is told that another took its place, when the test says so."""

    lost = 0

    def consume(self, num_messages: int, timeout: float) -> list[Any]:
        if type(self).lost:
            type(self).lost -= 1
            raise KafkaException(KafkaError(KafkaError._FATAL, "fenced", fatal=True))
        return super().consume(num_messages, timeout)


@pytest.mark.parametrize(("apart_s", "halts"), [(2.0, True), (11.0, False)])
def test_outages_one_after_another_are_not_taken_for_a_second_worker(
    monkeypatch: pytest.MonkeyPatch, apart_s: float, *, halts: bool
) -> None:
    monkeypatch.setattr("tidemill.testing.processes.MemoryConsumer", LosesItsPlace)
    cluster = one_topic()
    worker = make_worker(cluster)
    run_until(worker, lambda: worker.idle_s() > 1.0)

    def lose_place() -> None:
        for _ in range(5):
            monkeypatch.setattr(LosesItsPlace, "lost", 1)
            worker.step()
            cluster.advance(apart_s)

    if not halts:
        lose_place()
        return
    with pytest.raises(InvariantError, match="again and again"):
        lose_place()

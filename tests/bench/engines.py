"""The engines compared: what each guarantees, and how one worker of it is run and read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from bench.environments import build_environment, read_version
from bench.measure import Usage, run_worker
from bench.peers.job import decode_prediction
from bench.verify import Verdict, check_copies, check_predictions

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bench.broker import Broker
    from bench.stream import Encoded, Reference

COMMITTED = "read_committed"
UNCOMMITTED = "read_uncommitted"
START_S = 120.0
PER_EVENT_S = 0.004


@dataclass(frozen=True, slots=True)
class Run:
    """One run of one engine over one input."""

    name: str
    broker: Broker
    source: str
    records: Sequence[Encoded]
    reference: Reference
    folder: Path

    @property
    def events(self) -> int:
        """How many events the input holds."""
        return len(self.records)

    @property
    def deadline_s(self) -> float:
        """When the slowest engine must have ended."""
        return START_S + PER_EVENT_S * self.events


class Engine(Protocol):
    """What the comparison asks of a row."""

    @property
    def name(self) -> str:
        """Name on the command line and in the table."""

    @property
    def guarantee(self) -> str:
        """What its output means after a crash."""

    @property
    def saved(self) -> str:
        """Which model state survives a crash."""

    @property
    def commits(self) -> str:
        """How often it commits, by default or as set."""

    def version(self) -> str:
        """Return package and version."""

    def prepare(self) -> None:
        """Install what it needs."""

    def execute(self, run: Run) -> tuple[Usage, Verdict]:
        """Process the input once; return what it used and what it wrote."""


@dataclass(frozen=True, slots=True)
class Peer:
    """An engine with a worker script in `peers`, in an environment of its own."""

    name: str
    guarantee: str
    saved: str
    commits: str
    script: str
    environment: str
    package: str
    isolation: str
    mode: str = ""

    def version(self) -> str:
        """Return the pinned package."""
        return f"{self.package} {read_version(self.environment, self.package)}"

    def prepare(self) -> None:
        """Make the environment."""
        build_environment(self.environment)

    def execute(self, run: Run) -> tuple[Usage, Verdict]:
        """Run the worker into a topic of its own, check the topic, delete it."""
        sink = f"bench.out.{run.name}"
        run.broker.create_topic(sink)
        command = [
            str(build_environment(self.environment)),
            *("-m", f"bench.peers.{self.script}"),
            *("--bootstrap", run.broker.bootstrap, "--source", run.source, "--sink", sink),
            *("--group", f"bench.{run.name}", "--events", str(run.events)),
            *("--state", str(run.folder / run.name), "--mode", self.mode),
        ]
        log = run.folder / f"{run.name}.log"
        try:
            usage = run_worker(command, {}, log, deadline_s=run.deadline_s)
            return usage, self._check(run, sink)
        finally:
            run.broker.delete_topics([sink])

    def _check(self, run: Run, sink: str) -> Verdict:
        values = run.broker.read(sink, self.isolation)
        if self.mode == "pass":
            verdict = check_copies(values, (r.value for r in run.records), run.events)
        else:
            predictions = (decode_prediction(value) for value in values)
            verdict = check_predictions(predictions, run.events, run.reference)
        if self.isolation == COMMITTED:
            run.broker.check_transactions(sink, verdict.found)
        return verdict


_TRANSACTIONS = "each 1,000 events"

PEERS: tuple[Engine, ...] = (
    Peer(
        name="pass-through",
        guarantee="exactly once",
        saved="has none",
        commits=_TRANSACTIONS,
        script="transactional",
        environment="transactional",
        package="confluent-kafka",
        isolation=COMMITTED,
        mode="pass",
    ),
    Peer(
        name="bare-loop",
        guarantee="exactly once for offsets and output",
        saved="no",
        commits=_TRANSACTIONS,
        script="transactional",
        environment="transactional",
        package="confluent-kafka",
        isolation=COMMITTED,
        mode="river",
    ),
    Peer(
        name="bytewax",
        guarantee="at least once (starts anew)",
        saved="no",
        commits="never",
        script="bytewax_flow",
        environment="bytewax",
        package="bytewax",
        isolation=UNCOMMITTED,
        mode="memory",
    ),
    Peer(
        name="bytewax-recovery",
        guarantee="at least once",
        saved="yes, on the local disk",
        commits="each 10 s",
        script="bytewax_flow",
        environment="bytewax",
        package="bytewax",
        isolation=UNCOMMITTED,
        mode="recovery",
    ),
    Peer(
        name="quix",
        guarantee="at least once",
        saved="no",
        commits="each 5 s",
        script="quix_app",
        environment="quix",
        package="quixstreams",
        isolation=UNCOMMITTED,
        mode="at-least-once",
    ),
    Peer(
        name="quix-exactly-once",
        guarantee="exactly once for offsets and output",
        saved="no",
        commits="each 5 s",
        script="quix_app",
        environment="quix",
        package="quixstreams",
        isolation=COMMITTED,
        mode="exactly-once",
    ),
    Peer(
        name="faust",
        guarantee="at least once",
        saved="no",
        commits="each 2.8 s",
        script="faust_app",
        environment="faust",
        package="faust-streaming",
        isolation=UNCOMMITTED,
        mode="at_least_once",
    ),
    Peer(
        # Its worker commits offsets in transactions, and writes any output to a topic that it does
        # not itself read outside of them: the log of the output holds no marker.
        name="faust-exactly-once",
        guarantee="at least once (set to exactly once, but writes outside its transactions)",
        saved="no",
        commits="each 2.8 s",
        script="faust_app",
        environment="faust",
        package="faust-streaming",
        isolation=UNCOMMITTED,
        mode="exactly_once",
    ),
)

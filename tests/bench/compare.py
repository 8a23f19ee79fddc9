"""The comparison: every engine over both inputs, in turn, as often as asked."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from bench.broker import BrokerError
from bench.engines import Run
from bench.measure import WorkerError
from bench.report import Failure, Row, Sample, build_row
from bench.stream import build_reference, encode_readings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from bench.broker import Broker
    from bench.engines import Engine
    from bench.measure import Usage
    from bench.stream import Encoded, Reference
    from bench.verify import Verdict

COMPARED = 1_000  # predictions held against plain River, of one asset


@dataclass(frozen=True, slots=True)
class Input:
    """One input topic, what is in it, and what plain River predicts for its beginning."""

    topic: str
    records: Sequence[Encoded]
    reference: Reference


@dataclass(frozen=True, slots=True)
class Comparison:
    """What every run of one comparison shares."""

    broker: Broker
    small: Input
    large: Input
    folder: Path
    say: Callable[[str], None]

    def measure(self, engine: Engine, repeat: int) -> Sample:
        """Run one engine over the small input, then over the large one."""
        small, check_small = self._execute(engine, repeat, self.small)
        large, check_large = self._execute(engine, repeat, self.large)
        return Sample(small, large, (check_small, check_large))

    def _execute(self, engine: Engine, repeat: int, source: Input) -> tuple[Usage, Verdict]:
        name = f"{engine.name}.{repeat}.{len(source.records)}"
        run = Run(name, self.broker, source.topic, source.records, source.reference, self.folder)
        usage, verdict = engine.execute(run)
        self.say(
            f"{name}: {usage.processor_s:.2f} s of processor, {usage.elapsed_s:.2f} s, {verdict}"
        )
        return usage, verdict

    def run(self, engines: Sequence[Engine], repeats: int) -> tuple[list[Row], list[Failure]]:
        """Measure all engines; one that fails is reported and not tried again."""
        samples: dict[str, list[Sample]] = {engine.name: [] for engine in engines}
        failures: dict[str, Failure] = {}

        def attempt(engine: Engine, work: Callable[[], object]) -> None:
            if engine.name in failures:
                return
            try:
                work()
            except (WorkerError, BrokerError) as error:
                self.say(f"{engine.name} failed: {error}")
                failures[engine.name] = Failure(engine.name, engine.version(), str(error))

        def sample(engine: Engine, repeat: int) -> None:
            samples[engine.name].append(self.measure(engine, repeat))

        for engine in engines:
            self.say(f"preparing {engine.name}: {engine.version()}")
            attempt(engine, engine.prepare)
        for repeat in range(repeats):
            for engine in engines:
                attempt(engine, partial(sample, engine, repeat))
        sizes = (len(self.small.records), len(self.large.records))
        rows = [
            build_row(engine, samples[engine.name], sizes)
            for engine in engines
            if engine.name not in failures
        ]
        return rows, list(failures.values())


def load_input(broker: Broker, topic: str, events: int) -> Input:
    """Fill a new topic with the first `events` events of the stream."""
    broker.delete_topics([topic])
    broker.create_topic(topic)
    records = encode_readings(events)
    broker.write(topic, records)
    return Input(topic, records, build_reference(events, COMPARED))

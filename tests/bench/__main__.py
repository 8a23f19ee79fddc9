"""Run the comparison: `python -m bench --events 200000`, with `tests` on the path."""

from __future__ import annotations

import argparse
import shlex
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from bench.broker import Broker
from bench.compare import Comparison, load_input
from bench.engines import PEERS, Engine
from bench.learner import Learner
from bench.report import Report, describe_machine, render_table
from tidemill.kernel.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

ENGINES: dict[str, Engine] = {engine.name: engine for engine in (*PEERS, Learner())}
SMALL_SHARE = 10


def read_arguments() -> argparse.Namespace:
    """Return the command line, checked."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--events", type=int, default=200_000, help="events of the large input")
    parser.add_argument("--small", type=int, help="events of the small one (default: a tenth)")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument(
        "--engines", default=",".join(ENGINES), help="comma-separated, of: %(default)s"
    )
    parser.add_argument("-b", "--bootstrap", help="a broker of your own, else an embedded one")
    parser.add_argument("--out", type=Path, default=Path("docs/proofs"), help="for the report")
    parser.add_argument("--note", help="a line about the circumstances, for the report")
    arguments = parser.parse_args()
    arguments.engines = arguments.engines.split(",")
    unknown = [name for name in arguments.engines if name not in ENGINES]
    if unknown:
        parser.error(f"an engine must be one of {', '.join(ENGINES)}, was {unknown}")
    arguments.small = arguments.small or arguments.events // SMALL_SHARE
    if not 0 < arguments.small < arguments.events:
        parser.error(f"--small must be in [1, {arguments.events}), was {arguments.small}")
    return arguments


@contextmanager
def open_broker(bootstrap: str | None, folder: Path) -> Iterator[Broker]:
    """Give the broker of the comparison; an embedded one is stopped in the end."""
    if bootstrap is not None:
        yield Broker(bootstrap)
        return
    from tidemill.local.kafka import EmbeddedKafka  # noqa: PLC0415 - a broker of one's own needs no Java

    kafka = EmbeddedKafka(folder)
    kafka.start()
    try:
        yield Broker(kafka.bootstrap)
    finally:
        kafka.stop()


def say(text: str) -> None:
    """Tell the operator how far the comparison is."""
    sys.stderr.write(f"{text}\n")


def main() -> int:
    """Compare, print the table, write the report; 1 where an engine failed or was wrong."""
    arguments = read_arguments()
    machine = describe_machine()
    if arguments.note:
        machine["note"] = arguments.note
    engines = [ENGINES[name] for name in arguments.engines]
    with (
        tempfile.TemporaryDirectory(prefix="tidemill-bench-") as name,
        open_broker(arguments.bootstrap, Path(name) / "kafka") as broker,
    ):
        small = load_input(broker, "bench.events.small", arguments.small)
        large = load_input(broker, "bench.events.large", arguments.events)
        comparison = Comparison(broker, small, large, Path(name), say)
        rows, failures = comparison.run(engines, arguments.repeats)
    sys.stdout.write(f"{render_table(rows)}\n")
    command = f"python -m bench {shlex.join(sys.argv[1:])}"
    Report(command, machine, rows, failures).write(arguments.out)
    return int(bool(failures) or not all(row.is_right for row in rows))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except ConfigError as error:
        say(str(error))
        sys.exit(78)

"""Tidemill's own row: the learner as an operator runs it, state saved, exactly once."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from bench.engines import COMMITTED
from bench.measure import Usage, WorkerError, run_worker
from bench.peers.job import EVENT_SCHEMA, FEATURES, Prediction
from bench.stream import EVENT_ID, PARTITIONS
from bench.verify import Verdict, check_predictions
from tidemill.contracts.codec import codec
from tidemill.contracts.id_lock import LOCK_FILE, lock_text
from tidemill.contracts.topics import EVENTS, PREDICTIONS, TOPICS

if TYPE_CHECKING:
    from bench.engines import Run

IDLE_S = 3
INSTANCE = "bench"  # always the same: a new name waits until the group forgets the last one
KEY_BYTES = 32
COMMAND = str(Path(sys.executable).with_name("tidemill"))

PLANT = {
    "plant": "bench",
    "partitions": PARTITIONS,
    "schemas": "./avro",
    "streams": {
        "reading": {
            "event": "bench.Reading",
            "asset": "asset",
            "time": "event_time",
            "id": "event_id",
            "features": {name: {} for name in FEATURES},
            "target": {"field": {"name": "y", "kind": "regression"}},
            "model": {
                "champion": ["preprocessing.StandardScaler", "linear_model.LinearRegression"]
            },
        }
    },
}


@dataclass(frozen=True, slots=True)
class Learner:
    """`tidemill run learner`, one worker, ended by an idle input."""

    name: str = "tidemill"
    guarantee: str = "exactly once, state included"
    saved: str = "yes, in the same transaction"
    commits: str = "each 1,000 events or 50 ms"

    def version(self) -> str:
        """Return this package."""
        try:
            return f"tidemill {version('tidemill')}"
        except PackageNotFoundError:
            return "tidemill, not installed"

    def prepare(self) -> None:
        """Find the command; the comparison runs in the environment of the package.

        Raises:
            WorkerError: The package is not installed there.
        """
        if not Path(COMMAND).exists():
            msg = "the package must be installed beside this Python, found no command tidemill"
            raise WorkerError(msg)

    def execute(self, run: Run) -> tuple[Usage, Verdict]:
        """Run the learner on topics of its own, made here and deleted after.

        Raises:
            WorkerError: The broker has such topics already: they are someone's, and stay.
        """
        plant = write_plant(run.folder / run.name)
        key = plant.with_name("signing.key")
        connection = ["-f", str(plant), "-b", run.broker.bootstrap]
        variables = {"TIDEMILL_SIGNING_KEY_FILE": str(key)}
        names = [topic.name for topic in TOPICS]
        found = run.broker.existing_topics(names)
        if found:
            msg = f"the broker must have none of the mesh's topics, found {sorted(found)}"
            raise WorkerError(msg)
        write_key(key)
        call_tidemill("topics", *connection, "--execute", "--short-retention")
        run.broker.write(EVENTS, run.records)
        worker = ["run", "learner", "--instance", INSTANCE, "--until-idle", str(IDLE_S)]
        log = run.folder / f"{run.name}.log"
        try:
            usage = run_worker(
                [COMMAND, *worker, *connection], variables, log, deadline_s=run.deadline_s
            )
            predictions = (read_prediction(v) for v in run.broker.read(PREDICTIONS, COMMITTED))
            verdict = check_predictions(predictions, run.events, run.reference)
            run.broker.check_transactions(PREDICTIONS, verdict.found)
            return usage, verdict
        finally:
            run.broker.delete_topics(names)


def write_plant(folder: Path) -> Path:
    """Write a definition with its record and id lock; return the definition's file."""
    schemas = folder / "avro"
    schemas.mkdir(parents=True)
    (schemas / "Reading.avsc").write_text(json.dumps(EVENT_SCHEMA, indent=1))
    (schemas / LOCK_FILE).write_text(lock_text({EVENT_ID: EVENT_SCHEMA}))
    plant = folder / "plant.yaml"
    plant.write_text(yaml.safe_dump(PLANT, sort_keys=False))
    return plant


def write_key(path: Path) -> None:
    """Write a new signing key, as `tidemill keygen` does."""
    path.touch(mode=0o600)
    path.write_text(secrets.token_hex(KEY_BYTES) + "\n")


def call_tidemill(*arguments: str) -> None:
    """Run a command to its end.

    Raises:
        WorkerError: Exit code not 0.
    """
    done = subprocess.run([COMMAND, *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        msg = f"tidemill {arguments[0]} must exit with 0, was {done.returncode}\n{done.stderr}"
        raise WorkerError(msg)


def read_prediction(value: bytes) -> Prediction:
    """Return what is compared of one of our own predictions."""
    record = codec("Prediction").decode(value)
    return Prediction(record["event_id"], record["asset"], record["value"], record["version"])

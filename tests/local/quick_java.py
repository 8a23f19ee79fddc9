"""Brokers that start in two seconds: Java with a cache of Kafka's classes, made once."""

from __future__ import annotations

import hashlib
import os
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from local.topics import create_topics
from tidemill.local import kafka as embedded
from tidemill.local.jars import cache_directory
from tidemill.local.java import FLAGS, Java
from tidemill.local.kafka import running

if TYPE_CHECKING:
    from collections.abc import Iterator

# Read by every Java that is started, those of the commands under test too.
VARIABLE = "JAVA_TOOL_OPTIONS"
# A broker of a test ends before the second compiler pays; where a cache is of no use, it says
# nothing and goes on without.
QUICK = ("-XX:TieredStopAtLevel=1", "-Xlog:disable", "-Xlog:all=error:stderr")
ANSWER_S = 180.0
# A broker that writes its classes down when it ends takes far longer than one that only ends.
WRITTEN_WITHIN_S = 600.0


@contextmanager
def quick_java() -> Iterator[None]:
    """Have every Java of the block start quickly."""
    before = os.environ.get(VARIABLE)
    cache = _class_cache()
    own = [*QUICK] if cache is None else [*QUICK, f"-XX:AOTCache={cache}"]
    os.environ[VARIABLE] = " ".join([*own, before or ""]).strip()
    try:
        yield
    finally:
        os.environ.pop(VARIABLE)
        if before is not None:
            os.environ[VARIABLE] = before


def _class_cache() -> Path | None:
    """Return the cache of the classes of this Kafka under this Java; made if there is none.

    None where Java made none: brokers start slowly then, but they start.
    """
    java = Java.provide(os.environ)
    release = (java.program.parents[1] / "release").read_text("utf-8")
    about = "\n".join([str(java.program), release, java.class_path, *FLAGS])
    folder = cache_directory(os.environ) / "classes"
    path = folder / f"{hashlib.sha256(about.encode()).hexdigest()[:16]}.aot"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as own:
            made = _make(Path(own))
            if not made.exists():
                return None
            made.replace(path)  # at once, whoever else makes one
    return path


def _make(folder: Path) -> Path:
    """Let a broker work for a moment; when it ends, it writes down what it had loaded."""
    made = folder / "classes.aot"
    before = os.environ.get(VARIABLE, "")
    os.environ[VARIABLE] = f"-XX:AOTCacheOutput={made} {before}".strip()
    with (
        pytest.MonkeyPatch.context() as patch,
        running(folder / "broker") as kafka,
    ):
        patch.setattr(embedded, "STOP_PATIENCE_S", WRITTEN_WITHIN_S)
        quiet = {"bootstrap.servers": kafka.bootstrap, "log_level": "0"}
        admin = AdminClient({**quiet})
        create_topics(admin, [NewTopic("classes", 1, 1)])
        producer = Producer({**quiet, "transactional.id": "classes"})
        producer.init_transactions(ANSWER_S)
        producer.begin_transaction()
        producer.produce("classes", b"value")
        producer.commit_transaction(ANSWER_S)
    return made

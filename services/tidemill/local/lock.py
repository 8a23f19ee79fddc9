"""Make the lock of the broker's jars anew: `python -m tidemill.local.lock`."""

from __future__ import annotations

import hashlib
import json
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from jgo.maven import MavenContext

from tidemill.local.jars import LOCK_FILE

if TYPE_CHECKING:
    from jgo.maven import Dependency

KAFKA_VERSION = "4.1.2"
# `kafka-clients` is named because an older one would be picked otherwise; the binding is the one
# for slf4j 1, which is what the broker brings: with that for slf4j 2 it would log nothing.
ROOTS = (
    f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}",
    f"org.apache.kafka:kafka-clients:{KAFKA_VERSION}",
    "org.apache.logging.log4j:log4j-slf4j-impl:2.25.1",
)


def build_lock(repository: Path) -> str:
    """Resolve the broker's jars into `repository`; return the text of the lock."""
    context = MavenContext(repo_cache=repository, timeout=60)
    roots = [context.create_dependency(root) for root in ROOTS]
    inputs, transitive = context.resolver.resolve(roots)
    entries = [_locked(dependency) for dependency in (*inputs, *transitive)]
    entries.sort(key=lambda entry: (entry["group"], entry["artifact"]))
    return json.dumps({"kafka": KAFKA_VERSION, "jars": entries}, indent=2) + "\n"


def _locked(dependency: Dependency) -> dict[str, str]:
    path = dependency.artifact.resolve()
    return {
        "group": dependency.groupId,
        "artifact": dependency.artifactId,
        "version": dependency.version,
        "file": path.name,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }


def main() -> None:
    """Write the lock file; what changed shows in version control."""
    with tempfile.TemporaryDirectory() as repository:
        text = build_lock(Path(repository))
    LOCK_FILE.write_text(text, encoding="utf-8")
    sys.stderr.write(f"wrote {LOCK_FILE}\n")


if __name__ == "__main__":
    main()

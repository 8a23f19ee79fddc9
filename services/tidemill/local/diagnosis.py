"""Why a broker ended or never came up, in one line each: what was found, what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidemill.kernel.errors import ConfigError
from tidemill.local.disk import MIN_FREE_MIB, disk_full, free_mib

if TYPE_CHECKING:
    from pathlib import Path

    from tidemill.local.instance import Home, Instance

TAIL_BYTES = 64 << 10
WORDS_CHARS = 300  # some of the broker's errors tell a whole request
NO_SPACE = "No space left on device"
TAKEN = "Address already in use"


def port_taken(port: int) -> ConfigError:
    """Return the error for a port that another process listens on."""
    msg = (
        f"port {port} must be free for the broker of this directory, another process listens on "
        "it; end that process, or choose another port: tidemill up --port N"
    )
    return ConfigError([msg])


def broker_ended(instance: Instance, home: Home) -> ConfigError:
    """Return the error for a broker that ended before it answered."""
    text = read_tail(home.log) + read_tail(home.console)
    if TAKEN in text:
        return port_taken(instance.port)
    if is_disk_full(text, home):
        return disk_full(home.folder)
    msg = (
        f"the broker must stay up, it ended while it started; the last it said: "
        f"{last_words(home)}; the whole log: {home.log}"
    )
    return ConfigError([msg])


def broker_silent(home: Home, patience_s: float) -> ConfigError:
    """Return the error for a broker that lives but did not answer in time."""
    if is_disk_full(read_tail(home.log), home):
        return disk_full(home.folder)
    msg = (
        f"the broker must answer within {patience_s:g} s, it did not; the last it said: "
        f"{last_words(home)}; the whole log: {home.log}"
    )
    return ConfigError([msg])


def explain_end(instance: Instance, home: Home) -> str | None:
    """Say how a broker ended that nobody stopped; None for one that was stopped."""
    if instance.process is None:
        return None
    text = read_tail(home.log) + read_tail(home.console)
    if is_disk_full(text, home):
        cause = "its disk was full"
    elif "ERROR" in text or "FATAL" in text:
        # A healthy broker logs errors too: which of the two it was cannot be told.
        cause = f"killed, or stopped by the last error in its log: {last_words(home)}"
    else:
        cause = "killed, or the machine went down"
    return f"the broker recorded here (process {instance.process.pid}) had ended: {cause}"


def is_disk_full(log: str, home: Home) -> bool:
    """Say whether the log, or the disk itself, tells that there was no room.

    A broker on a full disk often cannot write why it ended.
    """
    return NO_SPACE in log or free_mib(home.folder) < MIN_FREE_MIB


def last_words(home: Home) -> str:
    """Return the last error in the broker's log, else its last line; cut where it is long."""
    for path in (home.log, home.console):
        lines = [line for line in read_tail(path).splitlines() if line.strip()]
        grave = [line for line in lines if " ERROR " in line or " FATAL " in line]
        if chosen := grave or lines:
            return chosen[-1].strip()[:WORDS_CHARS]
    return "nothing"


def read_tail(path: Path) -> str:
    """Return the end of a file, empty where there is none."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - TAIL_BYTES))
            return file.read().decode(errors="replace")
    except FileNotFoundError:
        return ""

"""Why a Redis ended or never came up, in one line each: what was found, what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidemill.kernel.errors import ConfigError
from tidemill.local.diagnosis import TAKEN, is_disk_full, read_tail
from tidemill.local.disk import disk_full

if TYPE_CHECKING:
    from tidemill.local.instance import Home, Instance

CRASHED = "REDIS BUG REPORT START"
# How the server marks what matters, and what of it every start says.
GRAVE = " # "
USUAL = ("WARNING", "is starting", " version=", "Configuration loaded", "Server initialized")


def redis_port_taken(port: int, home: Home) -> ConfigError:
    """Return the error for a port that another process listens on."""
    msg = (
        f"port {port} must be free for the Redis of this directory, another process listens on "
        f"it; end that process, or remove {home.state} for another port"
    )
    return ConfigError([msg])


def redis_refused(port: int, home: Home) -> ConfigError:
    """Return the error for an address where our password is not taken."""
    directory = home.folder.parent
    msg = (
        f"the Redis at port {port} must take the password in {home.folder}, it refused: another "
        f"process listens there, or the password was changed; tidemill down --dir {directory}, "
        "then tidemill up"
    )
    return ConfigError([msg])


def redis_ended(instance: Instance, home: Home) -> ConfigError:
    """Return the error for a Redis that ended before it answered."""
    text = read_tail(home.console)
    if TAKEN in text:
        return redis_port_taken(instance.port, home)
    if is_disk_full(text, home):
        return disk_full(home.folder)
    msg = (
        f"Redis must stay up, it ended while it started; the last it said: {_last_words(text)}; "
        f"all of it: {home.console}"
    )
    return ConfigError([msg])


def redis_silent(home: Home, patience_s: float) -> ConfigError:
    """Return the error for a Redis that lives but did not answer in time."""
    said = _last_words(read_tail(home.console))
    msg = (
        f"Redis must answer with its data loaded within {patience_s:g} s, it did not; the last it "
        f"said: {said}; all of it: {home.console}"
    )
    return ConfigError([msg])


def newer_data(home: Home, version: tuple[int, int]) -> ConfigError:
    """Return the error for data that this server would leave aside, and begin empty."""
    msg = (
        f"the data in {home.data} must be read by Redis 7 or newer, which wrote it, found "
        f"{version[0]}.{version[1]}; install redis-server 7, or remove {home.data} to begin empty"
    )
    return ConfigError([msg])


def explain_redis_end(instance: Instance, home: Home) -> str | None:
    """Say how a Redis ended that nobody stopped; None for one that was stopped."""
    if instance.process is None:
        return None
    text = read_tail(home.console)
    if CRASHED in text:
        cause = f"it crashed, see {home.console}"
    elif is_disk_full(text, home):
        cause = "its disk was full"
    else:
        cause = "killed, or the machine went down"
    return f"the Redis recorded here (process {instance.process.pid}) had ended: {cause}"


def _last_words(text: str) -> str:
    """Return the last error, else the last line; a wrong setting is told over three lines."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if any("FATAL CONFIG FILE ERROR" in line for line in lines):
        return " ".join(lines[-3:])
    grave = [line for line in lines if GRAVE in line and not any(words in line for words in USUAL)]
    return (grave or lines or ["nothing"])[-1]

"""The one Redis client: every limit set here, every error the house's.

A command whose answer was lost is sent once more, so what is sent must be idempotent.
"""

from __future__ import annotations

import re
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit, urlunsplit

from redis import Redis
from redis.backoff import ConstantBackoff
from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    ClusterDownError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TryAgainError,
)
from redis.exceptions import ConnectionError as LostError
from redis.exceptions import TimeoutError as LateError
from redis.retry import Retry

from tidemill.kernel.errors import (
    ConfigError,
    DependencyUnavailableError,
    InvariantError,
    MeshError,
    ServiceAwayError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")

DEPENDENCY = "Redis"
# What may follow a URL as `?name=value`; anything else would change the limits below.
PARAMETERS = {"redis": (), "rediss": ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")}
# A health check and two attempts that are lost take 6 s: less than a transaction may (10 s).
CONNECT_S = 1.0
ANSWER_S = 2.0
RETRIES = 1
RETRY_AFTER_S = 0.1
# A connection that rested longer is asked first whether it still is one.
HEALTH_CHECK_S = 15
# What the runtime is told to wait before it delivers the same record again.
REDELIVER_AFTER_S = 1.0

_AWAY = (LostError, LateError, OutOfMemoryError, ReadOnlyError, ClusterDownError, TryAgainError)
_REFUSED = (AuthenticationError, AuthorizationError, NoPermissionError)
# A full disk, full memory and the like, as the code of an answer or, in a script, within it.
_PASSING = re.compile(
    r"(?:^|[ :]-?)(MISCONF|OOM|LOADING|BUSY|NOREPLICAS|READONLY|MASTERDOWN|CLUSTERDOWN|TRYAGAIN) "
)


class RedisClient:
    """One Redis, asked by `run`; nothing is connected before the first command.

    Args:
        url: `redis://user:password@host:port/0`, or `rediss://` for TLS, with `PARAMETERS`.

    Raises:
        ConfigError: The URL is not of that form.
    """

    def __init__(self, url: str) -> None:
        _check(url)
        self.address = without_password(url)
        self._redis = Redis.from_url(
            url,
            protocol=2,  # the same types from every version of server and client
            socket_connect_timeout=CONNECT_S,
            socket_timeout=ANSWER_S,
            retry=Retry(ConstantBackoff(RETRY_AFTER_S), RETRIES),
            health_check_interval=HEALTH_CHECK_S,
            decode_responses=False,
            driver_info=None,  # servers before 7.2 refuse to be told
        )

    def run(self, commands: Callable[[Redis], T]) -> T:
        """Return what `commands` make of the redis-py client; its errors become ours.

        Raises:
            DependencyUnavailableError: Redis is away, full or loading.
            InvariantError: It refuses us, or the commands are wrong.
        """
        with _translated(self.address):
            return commands(self._redis)

    def check(
        self, patience_s: float = 0.0, *, tell: Callable[[str], None] = lambda _: None
    ) -> None:
        """Hold that Redis answers and takes us; for before the start.

        Args:
            patience_s: For so long it may be away: it may be starting anew just now.
            tell: Hears, once, what is waited for.

        Raises:
            ConfigError: It does not.
        """
        deadline, is_told = time.monotonic() + patience_s, False
        while (error := self._refusal()) is not None:
            is_away = isinstance(translate(error, self.address), DependencyUnavailableError)
            if not is_away or time.monotonic() >= deadline:
                msg = (
                    f"Redis at {self.address} must answer within {max(ANSWER_S, patience_s):g} s "
                    f"and take user and password, found: {_one_line(error)}"
                )
                raise ConfigError([msg]) from error
            if not is_told:
                tell(f"Redis at {self.address}, found: {_one_line(error)}")
                is_told = True
            time.sleep(RETRY_AFTER_S)

    def _refusal(self) -> RedisError | None:
        try:
            self._redis.ping()
        except RedisError as error:
            return error
        return None

    def close(self) -> None:
        """Close every connection."""
        self._redis.close()


def without_password(url: str) -> str:
    """Return a URL fit for logs: user and place, no password and no parameters."""
    parts = urlsplit(url)
    user, _, place = parts.netloc.rpartition("@")
    name = user.partition(":")[0]
    return urlunsplit((parts.scheme, f"{name}@{place}" if name else place, parts.path, "", ""))


def translate(error: RedisError, address: str) -> MeshError:
    """Return what an error of redis-py means: wait, or halt."""
    said = f"{DEPENDENCY} at {address}"
    if isinstance(error, _REFUSED):
        return InvariantError(f"{said} must accept this worker, it refused: {_one_line(error)}")
    passes = isinstance(error, ResponseError) and _PASSING.search(str(error)) is not None
    if passes or isinstance(error, _AWAY):
        return ServiceAwayError(f"{said} ({_one_line(error)})", retry_after_s=REDELIVER_AFTER_S)
    return InvariantError(f"{said} must carry out what it is told, it answered: {_one_line(error)}")


@contextmanager
def _translated(address: str) -> Iterator[None]:
    try:
        yield
    except RedisError as error:
        raise translate(error, address) from error


def _check(url: str) -> None:
    """Hold that a URL is of the form; nothing of another is shown, for it may be the password."""
    wrong = _what_is_wrong(url)
    if wrong:
        tls = ", ".join(PARAMETERS["rediss"])
        msg = (
            "the Redis URL must be redis://user:password@host:port/0, or rediss:// for TLS, "
            f"followed by no parameters but those of TLS ({tls}), {wrong}; in a password, write "
            "/ ? # @ : [ ] and % as %2F %3F %23 %40 %3A %5B %5D and %25"
        )
        raise ConfigError([msg])


def _what_is_wrong(url: str) -> str:
    try:
        parts = urlsplit(url)
        is_placed = bool(parts.hostname) and parts.port != 0
    except ValueError:
        return "what was given has no host and port that can be read"
    allowed = PARAMETERS.get(parts.scheme)
    if allowed is None or not url.startswith(f"{parts.scheme}://"):
        return "what was given begins otherwise"
    if not is_placed:
        return "what was given names no host, or port 0"
    if not re.fullmatch(r"(/\d*)?", parts.path) or parts.fragment:
        return "what was given goes on otherwise behind the host"
    given = [option.partition("=")[0] for option in parts.query.split("&") if option]
    return "" if set(given) <= set(allowed) else "what was given has other parameters"


def _one_line(error: RedisError) -> str:
    return " ".join(str(error).split()) or type(error).__name__

"""Cases that wait, in Redis: one script, so that each call is atomic."""

from __future__ import annotations

import hashlib
import secrets
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any, TypeVar

from redis.exceptions import NoScriptError

from tidemill.contracts.pending import (
    Met,
    Standing,
    Tidied,
    Verdict,
    longest_s,
    second,
    tick,
    ticks,
)
from tidemill.kernel.errors import ConfigError, ServiceAwayError
from tidemill.runtime.redis_client import RETRY_AFTER_S, RedisClient

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from redis import Redis

    from tidemill.contracts.pending import Buried, Done, Held, Kept, Progress

T = TypeVar("T")

# What is written in another form is written under another number.
FORM = 2
TOKEN_BYTES = 8
# So much at once, and others wait no longer than for a batch.
MOST_FREED = 2_000
MOST_GIVEN_UP = 10_000
MOST_TURNS = 25
MOST_RESTORED = 1_000
_FORGOTTEN = [b"forgotten"]
_SAFE_POLICIES = ("noeviction", "volatile-")


class RedisPending:
    """See `tidemill.contracts.pending.PendingStore`; one for all labellers of a plant.

    Args:
        url: As `RedisClient` takes it.
        plant: Its name; and what returns the id of its cluster, asked for once, for the positions
            of another cluster mean nothing.
        streams: The ttl in microseconds of those whose labels come apart from their events.
    """

    def __init__(
        self,
        url: str,
        plant: tuple[str, Callable[[], str]],
        partitions: int,
        streams: Mapping[str, int],
    ) -> None:
        self._client = RedisClient(url)
        self._plant = plant
        self._known_prefix = ""
        self._partitions = partitions
        self._streams: tuple[int | str, ...] = (
            len(streams),
            *(part for name, ttl_us in streams.items() for part in (name, ticks(ttl_us))),
        )
        self._longest_s = longest_s(streams.values())

    def check(
        self, patience_s: float = 0.0, *, tell: Callable[[str], None] = lambda _: None
    ) -> None:
        """Hold that Redis is there, takes us and throws nothing away; for before the start.

        Args:
            patience_s: For so long it may be away.
            tell: Hears, once, what is waited for.

        Raises:
            ConfigError: It does not.
        """
        self._client.check(patience_s, tell=tell)
        memory: dict[str, Any] = self._client.run(lambda redis: redis.info("memory"))
        policy = str(memory.get("maxmemory_policy", "noeviction"))
        if memory.get("maxmemory") and not policy.startswith(_SAFE_POLICIES):
            msg = (
                f"Redis at {self._client.address} must refuse what does not fit "
                f"(maxmemory-policy noeviction), was {policy}: it would throw away cases that "
                "wait for their label"
            )
            raise ConfigError([msg])

    def close(self) -> None:
        """Close every connection."""
        self._client.close()

    def generation(self) -> str:
        """Return the present generation; begins one where there is none."""
        token = secrets.token_hex(TOKEN_BYTES)
        answer: bytes = self._call("generation", "", 0, token)
        return answer.decode()

    def standing(self, generation: str, partition: int) -> Standing:
        """Return what is known of a partition."""
        is_recovered, predictions, labels = self._call("standing", generation, partition)
        return Standing(bool(is_recovered), _whole(predictions), _whole(labels))

    def lease(self, generation: str, partition: int) -> str:
        """Return a new lease of a partition."""
        answer: bytes = self._call("lease", generation, partition)
        return answer.decode()

    def unrecovered(self, generation: str) -> list[int]:
        """Return the partitions that are still to be recovered."""
        return list(self._call("unrecovered", generation, 0, self._partitions))

    def keep(
        self, generation: str, partition: int, predictions: Sequence[Kept], following: int
    ) -> list[Met]:
        """Keep predictions; see `PendingStore`."""
        given = [part for kept in predictions for part in _kept(kept)]
        return _met(self._call("keep", generation, partition, following, *self._streams, *given))

    def hold(
        self, generation: str, partition: int, labels: Sequence[Held], following: int
    ) -> list[Met]:
        """Join labels or let them wait; see `PendingStore`."""
        given = [part for held in labels for part in _held(held)]
        return _met(self._call("hold", generation, partition, following, *self._streams, *given))

    def confirm(self, generation: str) -> None:
        """Hold that nothing was forgotten."""
        self._call("confirm", generation, 0)

    def tidy(self, generation: str, partition: int, progress: Progress) -> Tidied:
        """Free what can meet nothing any more."""
        letters: list[bytes] = []
        dropped = 0
        for number in range(MOST_TURNS):
            is_full, lost, turn, *left = self._call(
                "tidy",
                generation,
                partition,
                self._partitions,
                MOST_FREED,
                progress.predictions,
                progress.labels,
                "" if progress.through is None else progress.through,
                progress.given_up,
                max(0, min(MOST_FREED, MOST_GIVEN_UP - len(letters))),
                int(number == 0),
                progress.room,
                int(progress.is_caught_up),
                *self._streams,
            )
            prediction, predictions, label, labels, *more = left
            letters += more
            dropped += lost
            if not is_full or len(letters) >= MOST_GIVEN_UP:
                break
        oldest = _whole(prediction), _whole(label)
        return Tidied(letters, oldest, predictions, labels, turn, dropped)

    def restore_done(
        self, generation: str, partition: int, dones: Sequence[Done], low: int
    ) -> None:
        """Know joins again that were committed."""
        for some in _parts(dones):
            given = [part for done in some for part in _done(done)]
            self._call("restore_done", generation, partition, low, *given)

    def restore_buried(
        self, generation: str, partition: int, buried: Sequence[Buried], labels: tuple[int, int]
    ) -> None:
        """Forget labels that were set aside."""
        for some in _parts(buried):
            given = [part for each in some for part in _buried(each)]
            self._call("restore_buried", generation, partition, labels[1], labels[0], *given)

    def restore_kept(self, generation: str, partition: int, predictions: Sequence[Kept]) -> None:
        """Keep predictions that were committed."""
        for some in _parts(predictions):
            given = [part for kept in some for part in _kept(kept)]
            self._call("restore_kept", generation, partition, *given)

    def restore_held(self, generation: str, partition: int, labels: Sequence[Held]) -> None:
        """Let labels wait that were committed."""
        for some in _parts(labels):
            given = [part for held in some for part in _held(held)]
            self._call("restore_held", generation, partition, *self._streams, *given)

    def finish(self, generation: str, partition: int, predictions: int, labels: int) -> None:
        """Note that a partition is recovered."""
        self._call("finish", generation, partition, predictions, labels, self._partitions)

    def _call(
        self, what: str, generation: str, partition: int, *arguments: Any
    ) -> Any:  # Any: what redis-py sends and returns
        given = (self._prefix, what, generation, partition, self._longest_s, *arguments)
        answer = self._client.run(lambda redis: self._evaluate(redis, given))
        if answer == _FORGOTTEN:
            msg = f"Redis at {self._client.address}: what waits for its label"
            raise ServiceAwayError(msg, retry_after_s=RETRY_AFTER_S)
        return answer

    @property
    def _prefix(self) -> str:
        if not self._known_prefix:
            name, cluster = self._plant
            self._known_prefix = f"tidemill:{name}:labeller:{FORM}:{cluster()}:"
        return self._known_prefix

    def _evaluate(self, redis: Redis, arguments: Sequence[Any]) -> Any:  # Any: as above
        """Run the script by its digest, by its text where Redis does not know it yet."""
        try:
            return redis.evalsha(_digest(), 1, *arguments)
        except NoScriptError:
            return redis.eval(_script(), 1, *arguments)


@cache
def _script() -> str:
    return (resources.files("tidemill") / "runtime" / "pending.lua").read_text("utf-8")


@cache
def _digest() -> str:
    return hashlib.sha1(_script().encode(), usedforsecurity=False).hexdigest()


def _kept(kept: Kept) -> tuple[Any, ...]:  # Any: what redis-py sends
    time, made = tick(kept.time_us), second(kept.made_us)
    return (kept.case, kept.stream, kept.offset, time, made, kept.half)


def _held(held: Held) -> tuple[Any, ...]:  # Any: as above
    time = tick(held.time_us)
    texts = "\t".join(part for item in held.texts.items() for part in item)
    return (held.case, held.revision, held.offset, time, texts, held.letter)


def _done(done: Done) -> tuple[Any, ...]:  # Any: as above
    cause, time = str(done.cause), tick(done.time_us)
    return (done.case, done.stream, done.revision, cause, time, done.replaced, done.text)


def _buried(buried: Buried) -> tuple[Any, ...]:  # Any: as above
    case, offset, time_us, is_late = buried
    return (case, offset, tick(time_us), int(is_late))


def _met(answer: Sequence[Any]) -> list[Met]:  # Any: what redis-py returns
    return [
        Met(
            answer[at],
            Verdict(answer[at + 1].decode()),
            answer[at + 2].decode(),
            int(answer[at + 3]),
            answer[at + 4],
            answer[at + 5].decode(),
        )
        for at in range(0, len(answer), 6)
    ]


def _parts(items: Sequence[T]) -> Iterator[Sequence[T]]:
    for first in range(0, len(items), MOST_RESTORED):
        yield items[first : first + MOST_RESTORED]


def _whole(answer: bytes) -> int | None:
    return int(answer) if answer else None

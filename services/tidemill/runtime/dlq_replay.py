"""Which dead letters go back to where they came from, as what, and which do not and why."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from tidemill.kernel.deadletters import SUFFIX
from tidemill.kernel.errors import ConfigError, DependencyUnavailableError
from tidemill.kernel.records import Emit
from tidemill.runtime.dlq_letters import read_letter, replayed_position
from tidemill.runtime.dlq_records import UnfixableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from tidemill.kernel.processor import Log
    from tidemill.kernel.records import Message, Position
    from tidemill.runtime.dlq_fix import Change, Fix
    from tidemill.runtime.dlq_letters import Choice, Letter
    from tidemill.runtime.dlq_records import TopicRecords

    Check = Callable[[Message], str | None]

SETTLE_TRIES = 60


class Fate(StrEnum):
    """What becomes of a dead letter; a closed set."""

    SEND = "send"
    REPLAYED = "replayed"
    LOOP = "loop"
    UNPROVEN = "unproven"
    UNPLACED = "unplaced"
    UNFIXED = "unfixed"


REFUSED = (Fate.LOOP, Fate.UNPROVEN, Fate.UNPLACED, Fate.UNFIXED)


class Decision(NamedTuple):
    """One dead letter's fate; `why` says it for a person, `emit` is set where it is sent."""

    letter: Letter
    fate: Fate
    why: str = ""
    emit: Emit | None = None
    changes: tuple[Change, ...] = ()


@dataclass(frozen=True, slots=True)
class Licence:
    """What an operator accepts.

    Attributes:
        as_is: Letters that no rule changes go back although they would be set aside again.
        again: Letters that come from a replay already go back once more.
        unproven: Letters go back although what could show an earlier replay is not retained.
    """

    as_is: bool = False
    again: bool = False
    unproven: bool = False


@dataclass(slots=True)
class Survey:
    """What the topics hold, as of one moment.

    Attributes:
        spans: First and next offset of each partition of the dead-letter topic.
        begins: First retained offset of each partition of the source topic.
        replayed: By dead letter, where in the source topic its last replay stands.
    """

    topic: str
    spans: dict[int, tuple[int, int]]
    begins: dict[int, int] = field(default_factory=dict)
    replayed: dict[Position, int] = field(default_factory=dict)


class Replaying:
    """Decides.

    Args:
        topic: The source topic.
        choice: Which dead letters are meant.
        records: Reads what they hold.
        fix: Mends them.
        check: Returns why the topic's reader would set a record aside; None if it would take it.
        licence: What is accepted.
    """

    def __init__(
        self,
        topic: str,
        choice: Choice,
        *,
        records: TopicRecords,
        fix: Fix,
        check: Check,
        licence: Licence,
    ) -> None:
        self.topic = topic
        self.choice = choice
        self._records = records
        self._fix = fix
        self._check = check
        self._licence = licence

    def survey(
        self,
        log: Log,
        counts: Mapping[str, int],
        ends: Callable[[], dict[int, int]],
        pause: Callable[[], None],
    ) -> Survey:
        """Find out what there is, and what of it was replayed before.

        A replay stands behind the record that its letter was made of, in the same partition, and
        names the letter. So everything from the oldest such record to the end is read.

        Args:
            log: The cluster; nobody else replays this topic meanwhile.
            counts: Partitions of every topic.
            ends: Reads the end of each source partition, open transactions included.
            pause: Called between two looks at a transaction that is still open.
        """
        numbers = range(counts[self.topic + SUFFIX])
        chosen = [n for n in numbers if self.choice.partition in {None, n}]
        survey = Survey(self.topic, {n: log.span(self.topic + SUFFIX, n) for n in chosen})
        oldest: dict[int, int] = {}
        for letter in self.letters(log, survey):
            source = letter.source
            if source is not None and self._is_placed(source, counts[self.topic]):
                at = oldest.get(source.partition, source.offset)
                oldest[source.partition] = min(at, source.offset)
        survey.begins = {n: log.span(self.topic, n)[0] for n in range(counts[self.topic])}
        until = ends() if oldest else {}
        for partition, offset in oldest.items():
            self._await_stable(log, partition, until[partition], pause)
            start = max(offset + 1, survey.begins[partition])
            for messages in log.read(self.topic, partition, start, until[partition]):
                _note(survey, messages)
        return survey

    def letters(self, log: Log, survey: Survey) -> Iterator[Letter]:
        """Yield the dead letters that are meant, in order."""
        for partition, span in survey.spans.items():
            for messages in log.read(self.topic + SUFFIX, partition, *span):
                for message in messages:
                    letter = read_letter(message)
                    if self.choice.takes(letter, self._asset(message)):
                        yield letter

    def decisions(
        self, log: Log, survey: Survey, *, limit: int | None = None
    ) -> Iterator[Decision]:
        """Yield what becomes of each letter that is meant; ends after so many to be sent."""
        sends = 0
        for letter in self.letters(log, survey):
            if limit is not None and sends >= limit:
                return
            decision = self.decide(letter, survey)
            sends += decision.fate is Fate.SEND
            yield decision

    def decide(self, letter: Letter, survey: Survey) -> Decision:
        """Return what becomes of one letter."""
        source = letter.source
        if source is None or not self._is_placed(source, len(survey.begins)):
            why = f"its headers must name a place in {self.topic}, was {source or 'none'}"
            return Decision(letter, Fate.UNPLACED, why)
        at = survey.replayed.get(letter.message.position, -1)
        if at > source.offset:
            why = f"was sent before, to {self.topic}-{source.partition}@{at}"
            return Decision(letter, Fate.REPLAYED, why)
        if letter.replays and not self._licence.again:
            why = f"was replayed before and set aside again ({_times(letter.replays)}): --again"
            return Decision(letter, Fate.LOOP, why)
        if survey.begins[source.partition] > source.offset + 1 and not self._licence.unproven:
            why = (
                f"records of {self.topic}-{source.partition} from {source.offset + 1} on must be "
                f"retained to know whether it was sent before, they begin at "
                f"{survey.begins[source.partition]}: --unproven"
            )
            return Decision(letter, Fate.UNPROVEN, why)
        return self._mended(letter, source)

    def _mended(self, letter: Letter, source: Position) -> Decision:
        try:
            value, changes = self._fix.apply(letter)
        except UnfixableError as error:
            return Decision(letter, Fate.UNFIXED, str(error))
        headers = letter.replay_headers()
        emit = Emit(self.topic, source.partition, letter.message.key, value, headers)
        if changes or not self._licence.as_is:
            why = self._check(letter.message._replace(topic=self.topic, value=value))
            if why is not None:
                hint = "" if changes else "; mend it by --fix, or send it --as-is"
                return Decision(letter, Fate.UNFIXED, why + hint, None, changes)
        return Decision(letter, Fate.SEND, "", emit, changes)

    def _await_stable(
        self, log: Log, partition: int, until: int, pause: Callable[[], None]
    ) -> None:
        """Wait until no transaction is open before an end: a replay behind it would not be seen.

        Raises:
            ConfigError: One stays open.
        """
        for _ in range(SETTLE_TRIES):
            try:
                if log.span(self.topic, partition)[1] >= until:
                    return
            except DependencyUnavailableError:
                pass  # a broker that has just come back; asked again
            pause()
        msg = (
            f"{self.topic}-{partition}: transactions begun before offset {until} must have ended "
            "to know what was sent before, one has not; end its producer or wait for its time-out"
        )
        raise ConfigError([msg])

    def _is_placed(self, source: Position, partitions: int) -> bool:
        return source.topic == self.topic and source.partition < partitions

    def _asset(self, message: Message) -> str | None:
        schema_id, values = self._records.read(message.value)
        stream = self._records.stream(schema_id)
        found = (values or {}).get(stream.asset if stream is not None else "asset")
        return found if isinstance(found, str) else None


def _note(survey: Survey, messages: list[Message]) -> None:
    for message in messages:
        origin = replayed_position(message.headers) if message.headers else None
        if origin is not None and origin.topic == survey.topic + SUFFIX:
            survey.replayed[origin] = message.offset


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"

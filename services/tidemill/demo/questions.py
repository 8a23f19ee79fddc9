"""An asset whose sensor comes loose: what the mesh asks, what is answered, what that leads to."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from tidemill.demo.happenings import Reading

    Record = Mapping[str, Any]  # Any: the values of an Avro record

UNACKNOWLEDGED, HEARTBEAT = "UNACKNOWLEDGED", "HEARTBEAT"


@dataclass(frozen=True, slots=True)
class Loose:
    """An asset with a past on record, one of whose sensors comes loose for a while.

    Attributes:
        actor: Who answers, and acknowledges alarms of it.
        readings: All of it in order: first `past` of before, then `present` during the demo.
        begins, ends: From which of the latter on the sensor is loose, and no longer.
        what: What is noted then.
    """

    asset: str
    actor: str
    readings: Callable[[], Iterator[Reading]]
    past: int
    present: int
    begins: int
    ends: int
    what: str


@dataclass(frozen=True, slots=True)
class Answerable:
    """A record of a partition that somebody has something to say of."""

    record: Record
    partition: int


class QuestionTally:
    """Which questions were asked, how they ended, and what alarms told people.

    Attributes:
        asked: Questions by the id of their episode, as they were asked.
        answers: The verdicts that were sent.
        settled: How the drift processor took each of them.
        held, released: Instructions to hold and to release models, by episode.
        refolds: How often a model went on as its re-fold without the span.
        attended: Partitions whose alarms are told: what was over before that is none.
        news: What nobody was told yet.
    """

    def __init__(self, loose: Loose) -> None:
        self.loose = loose
        self.asked: dict[str, Answerable] = {}
        self.answers: dict[str, str] = {}
        self.settled: dict[str, str] = {}
        self.held: dict[str, Record] = {}
        self.released: dict[str, Record] = {}
        self.refolds = 0
        self.attended: set[int] = set()
        self.news: deque[str] = deque()
        self._notes: list[str] = []
        self._alarms: dict[str, Answerable] = {}
        self._acknowledged: dict[str, int] = {}

    def note_drift(self, record: Record, partition: int) -> None:
        """Take in a change of an episode; of those that ask, each one."""
        if record["kind"] != "MULTIVARIATE":
            return
        name, status = record["drift_id"], record["status"]
        if status == "OPEN":
            self.asked[name] = Answerable(record, partition)
            self.news.append(question_text(record))
        elif name in self.asked and status != "CLOSED":
            self.settled[name] = status

    def note_update(self, record: Record) -> None:
        """Take in an instruction to models: nobody holds one here but who asks."""
        if record["kind"] == "HOLD":
            self.held[record["origin"]] = record
        elif record["kind"] == "RELEASE":
            self.released[record["target_id"]] = record
            self.news.append(release_text(record))

    def note_entry(self, record: Record) -> None:
        """Take in a ledger entry: what of it is a model of the asset that was folded again."""
        for action in record["actions"]:
            detail = action["detail"]
            if action["kind"] == "swap" and self.loose.asset in detail["model"].split("|"):
                self.refolds += 1
                self.news.append(
                    f"the model of {self.loose.asset} goes on as its fold without the span: "
                    f"{detail['events']} events folded again, lineage {detail['lineage'][:16]}"
                )

    def note_alarm(self, record: Record, partition: int) -> None:
        """Take in a change of an alarm, once; and that alarms are told at all."""
        if record["kind"] == HEARTBEAT:
            self.attended.add(partition)
        if record["kind"] != "DRIFT" or record["asset"] != self.loose.asset:
            return
        before = self._alarms.get(record["alarm_id"])
        if before is None or before.record["revision"] < record["revision"]:
            self._alarms[record["alarm_id"]] = Answerable(record, partition)
            self._notes.append(record["note"] or "")
            is_word = record["actor"] is not None and record["state"] != UNACKNOWLEDGED
            if is_word and is_of_question(record):
                self.news.append(f"alarm {record['alarm_id']}: {record['state'].lower()}")

    @property
    def unanswered(self) -> list[Answerable]:
        """The questions that nobody has answered yet."""
        return [each for name, each in self.asked.items() if name not in self.answers]

    def take_alarms(self) -> list[Answerable]:
        """Return the alarms that ask to be acknowledged; each change of one is returned once."""
        found = []
        for name, alarm in self._alarms.items():
            revision = alarm.record["revision"]
            is_open = alarm.record["state"] == UNACKNOWLEDGED
            if is_open and self._acknowledged.get(name, -1) < revision:
                self._acknowledged[name] = revision
                found.append(alarm)
        return found

    @property
    def alarms(self) -> int:
        """How many alarms of drift the asset had."""
        return len(self._alarms)

    @property
    def unacknowledged(self) -> int:
        """How many of them nobody has acknowledged."""
        return sum(a.record["state"] == UNACKNOWLEDGED for a in self._alarms.values())

    @property
    def open(self) -> int:
        """Questions that are not settled, or whose hold is not released."""
        return len(
            self.asked.keys() - self.settled.keys() | self.held.keys() - self.released.keys()
        )

    @property
    def is_balanced(self) -> bool:
        """Whether it was asked, each question settled, each hold released, each alarm seen."""
        mine = [n for n, each in self.asked.items() if each.record["asset"] == self.loose.asset]
        is_told = all(any(name in note for note in self._notes) for name in mine)
        is_asked = bool(mine) and self.settled == self.answers
        return is_asked and is_told and self.open == self.unacknowledged == 0

    @property
    def progress(self) -> tuple[int, ...]:
        """Counts of which one rises as long as anything comes."""
        revisions = sum(each.record["revision"] for each in self._alarms.values())
        return len(self.asked), len(self.settled), len(self.released), self.refolds, revisions


def is_of_question(alarm: Record) -> bool:
    """Return whether an alarm tells of what is asked; those of single sensors go without saying."""
    return "multivariate" in (alarm["note"] or "")


def question_text(record: Record) -> str:
    """Return what the mesh asks."""
    first = record["ranked"][0]["signal"] if record["ranked"] else "no sensor"
    held = "its model learns nothing of it" if record["held"] else "its model learns on"
    return (
        f"sensors of {record['asset']} are together no longer as they were since "
        f"{_moment(record['started'])}, {first} first, by {record['effect']:.1f} sd: "
        f"sensor fault or process change? Until that is settled {held}"
    )


def release_text(record: Record) -> str:
    """Return how a hold ended."""
    span = record["span"]
    kept = "stays out for ever" if record["label"] == "fault" else "is learned, in order"
    return (
        f"hold of {record['asset']} released, {record['label']}: what was read from "
        f"{_moment(span['from'])} to {_moment(span['to'])} {kept}"
    )


def _moment(time_us: int) -> str:
    return f"{datetime.fromtimestamp(time_us // 1_000_000, UTC):%H:%M:%S}"

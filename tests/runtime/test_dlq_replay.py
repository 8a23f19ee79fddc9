"""Dead letters back to their topic: which, as what, each exactly once; in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tidemill.contracts.definition import parse_definition
from tidemill.contracts.events import EventReader
from tidemill.contracts.topics import EVENTS
from tidemill.kernel.deadletters import SUFFIX, dead_letter
from tidemill.kernel.errors import ConfigError, DeadLetterReason, InvalidRecordError
from tidemill.kernel.records import Message
from tidemill.runtime.dlq_fix import Fix
from tidemill.runtime.dlq_fix_document import parse_rules
from tidemill.runtime.dlq_letters import (
    OPEN,
    REPLAYED_FROM,
    REPLAYS,
    Choice,
    parse_bound,
    read_letter,
    replayed_position,
)
from tidemill.runtime.dlq_replay import SETTLE_TRIES, Decision, Fate, Licence, Replaying
from tidemill.runtime.dlq_report import ReplayReport
from tidemill.runtime.dlq_sending import ReplaySender, replay_id
from tidemill.testing.cluster import MemoryCluster
from tidemill.testing.faults import Crash, Operation, abortable
from tidemill.testing.memory_log import MemoryLog
from tidemill.testing.partition_log import Fate as Ending
from tidemill.testing.plants import RECORD_ID, sample_definition

from .dlq_plant import SCHEMAS, encoded, letter, letter_message, records

if TYPE_CHECKING:
    from collections.abc import Callable

    from tidemill.runtime.clients import Clients

DLQ = EVENTS + SUFFIX
COUNTS = {EVENTS: 2, DLQ: 2}
ADD_ASSET = 'rules: [{map: {asset: {"": north/1}}}]'
ALL, NOTHING = Choice(), Licence()
READER = EventReader(parse_definition(sample_definition()), SCHEMAS)


def why_not(message: Message) -> str | None:
    try:
        READER.read(message.value)
    except InvalidRecordError as error:
        return f"{error.reason}: {error}"
    return None


class Plant:
    """A cluster whose reader sets aside what it cannot read; replays go to the same topic."""

    def __init__(self) -> None:
        self.cluster = MemoryCluster(COUNTS)
        self.log = MemoryLog(self.cluster)
        self.read_up_to = [0, 0]

    def send(self, *values: bytes | None, partition: int = 0, headers: Any = ()) -> None:
        for value in values:
            self.cluster.append(EVENTS, partition, value, key=b"north/1", headers=headers)

    def work(self) -> None:
        """Read on in both partitions, and set aside."""
        for partition in (0, 1):
            for message in self.cluster.read(EVENTS, [partition]):
                if message.offset < self.read_up_to[partition]:
                    continue
                self.read_up_to[partition] = message.offset + 1
                why = why_not(message)
                if why is not None:
                    self.set_aside(message, why.partition(":")[0])

    def set_aside(self, message: Message, reason: str) -> None:
        self.cluster.advance(1.0)
        emit = dead_letter(message, InvalidRecordError(DeadLetterReason(reason), "why"), "learner")
        where = (emit.topic, emit.partition)
        self.cluster.append(*where, emit.value, key=emit.key, headers=emit.headers)

    def replaying(
        self, fix: str = "", choice: Choice = ALL, licence: Licence = NOTHING
    ) -> Replaying:
        known = records()
        rules = Fix(parse_rules(fix) if fix else [], known)
        return Replaying(EVENTS, choice, records=known, fix=rules, check=why_not, licence=licence)

    def ends(self) -> dict[int, int]:
        return {n: self.cluster.log(EVENTS, n).end for n in range(COUNTS[EVENTS])}

    def decisions(
        self,
        fix: str = "",
        *,
        limit: int | None = None,
        pause: Callable[[], None] = lambda: None,
        **options: Any,
    ) -> list[Decision]:
        replaying = self.replaying(fix, **options)
        survey = replaying.survey(self.log, COUNTS, self.ends, pause)
        return list(replaying.decisions(self.log, survey, limit=limit))

    def execute(self, fix: str = "", *, clients: Clients | None = None, **options: Any) -> int:
        """Replay as the command does; return how many were sent."""
        made = clients or self.cluster
        sender = ReplaySender(made, replay_id("sample", EVENTS), clock=self.cluster.now)
        sender.take_over()
        emits = [d.emit for d in self.decisions(fix, **options) if d.emit is not None]
        if emits:
            sender.send(emits)
        return sender.sent

    def events(self) -> list[Message]:
        return self.cluster.read(EVENTS)


@pytest.fixture
def plant() -> Plant:
    return Plant()


def fates(decisions: list[Decision]) -> list[Fate]:
    return [decision.fate for decision in decisions]


BAD = encoded(RECORD_ID, asset="")
GOOD = encoded(RECORD_ID)


def test_a_mended_letter_goes_back_to_its_partition_with_its_key_headers_and_lineage(
    plant: Plant,
) -> None:
    plant.send(GOOD, partition=1)
    plant.send(BAD, partition=1, headers=(("traceparent", b"00-1"), ("tidemill.reason", b"own")))
    plant.work()

    assert plant.execute(ADD_ASSET) == 1

    (sent,) = [m for m in plant.events() if m.offset > 1]
    assert (sent.partition, sent.key) == (1, b"north/1")
    assert READER.read(sent.value).event_id == "e1"
    assert sent.headers == (
        ("traceparent", b"00-1"),
        ("tidemill.reason", b"own"),
        (REPLAYED_FROM, b"sensor.events.dlq-1@0"),
        (REPLAYS, b"1"),
    )


def test_without_a_fix_what_would_be_set_aside_again_stays_unless_told_as_is(
    plant: Plant,
) -> None:
    plant.send(BAD, b"\x07")
    plant.work()

    refused = plant.decisions()
    assert fates(refused) == [Fate.UNFIXED, Fate.UNFIXED]
    assert "asset must name the asset" in refused[0].why
    assert "mend it by --fix, or send it --as-is" in refused[1].why
    sent = plant.decisions(licence=Licence(as_is=True))
    assert [d.emit.value for d in sent if d.emit] == [BAD, b"\x07"]


def test_a_fix_whose_result_would_be_set_aside_again_is_refused_even_as_is(plant: Plant) -> None:
    plant.send(encoded(RECORD_ID, asset=""))
    plant.work()

    (decision,) = plant.decisions("rules: [{set: {flow: 1}}]", licence=Licence(as_is=True))

    assert (decision.fate, decision.emit) == (Fate.UNFIXED, None)
    assert "--as-is" not in decision.why
    assert [change.what for change in decision.changes] == ["flow"]


def test_a_letter_that_would_be_taken_by_now_goes_back_as_it_is(plant: Plant) -> None:
    plant.set_aside(Message(EVENTS, 0, 0, b"north/1", GOOD), "unknown-schema")

    (decision,) = plant.decisions()

    assert decision.emit is not None
    assert (decision.emit.value, decision.changes) == (GOOD, ())


def test_a_second_replay_sends_nothing(plant: Plant) -> None:
    plant.send(BAD, BAD)
    plant.work()

    assert plant.execute(ADD_ASSET) == 2
    assert plant.execute(ADD_ASSET) == 0
    plant.send(GOOD)
    plant.work()
    assert plant.execute(ADD_ASSET, licence=Licence(again=True, unproven=True)) == 0
    assert fates(plant.decisions(ADD_ASSET)) == [Fate.REPLAYED, Fate.REPLAYED]
    assert "was sent before, to sensor.events-0@2" in plant.decisions(ADD_ASSET)[0].why


@pytest.mark.parametrize(
    "operation",
    ["produce", "flush", "flush done", "commit", "commit done"],
)
def test_a_kill_anywhere_between_send_and_commit_sends_once(plant: Plant, operation: str) -> None:
    plant.send(BAD, GOOD, BAD)
    plant.work()
    dying = plant.cluster.process()
    plant.cluster.fail_next(Operation(operation), "crash", process=dying)

    with pytest.raises(Crash):
        plant.execute(ADD_ASSET, clients=dying)
    plant.execute(ADD_ASSET)

    origins = [replayed_position(m.headers) for m in plant.events()]
    assert [str(o) for o in origins if o] == ["sensor.events.dlq-0@0", "sensor.events.dlq-0@1"]
    assert not plant.cluster.has_open_transactions


def test_an_aborted_transaction_is_said_and_sends_nothing(plant: Plant) -> None:
    plant.send(BAD)
    plant.work()
    plant.cluster.fail_next(Operation.COMMIT, abortable())

    with pytest.raises(ConfigError, match="0 records were sent before; run it again"):
        plant.execute(ADD_ASSET)
    assert len(plant.events()) == 1

    assert plant.execute(ADD_ASSET) == 1


def test_of_two_at_once_the_later_one_fences_the_earlier(plant: Plant) -> None:
    plant.send(BAD)
    plant.work()
    first = ReplaySender(plant.cluster, replay_id("sample", EVENTS), clock=plant.cluster.now)
    first.take_over()
    emits = [d.emit for d in plant.decisions(ADD_ASSET) if d.emit]

    assert plant.execute(ADD_ASSET) == 1
    with pytest.raises(ConfigError, match="by one command at a time"):
        first.send(emits)

    assert len(plant.events()) == 2


def test_a_replay_behind_somebodys_open_transaction_is_waited_for(plant: Plant) -> None:
    plant.send(BAD)
    plant.work()
    log = plant.cluster.log(EVENTS, 0)
    span = log.open_span()
    log.append(None, GOOD, (), timestamp_ms=0, span=span)
    waits: list[int] = []
    with pytest.raises(ConfigError, match="transactions begun before offset 2 must have ended"):
        plant.decisions(ADD_ASSET, pause=lambda: waits.append(1))
    assert len(waits) == SETTLE_TRIES

    def end() -> None:
        log.close_span(span, Ending.COMMITTED)

    assert fates(plant.decisions(ADD_ASSET, pause=end)) == [Fate.SEND]


def test_a_letter_that_came_from_a_replay_goes_back_only_when_asked(plant: Plant) -> None:
    plant.send(BAD)
    plant.work()
    plant.execute(licence=Licence(as_is=True))
    plant.work()

    first, second = plant.decisions(ADD_ASSET)
    assert (first.fate, second.fate) == (Fate.REPLAYED, Fate.LOOP)
    assert "was replayed before and set aside again (once): --again" in second.why
    assert plant.execute(ADD_ASSET, licence=Licence(again=True)) == 1

    headers = dict(plant.events()[-1].headers)
    assert headers[REPLAYED_FROM] == b"sensor.events.dlq-0@1"
    assert headers[REPLAYS] == b"2"
    assert len(plant.events()[-1].headers) == 2


def test_what_retention_hides_is_not_sent_unasked(plant: Plant) -> None:
    plant.send(BAD, GOOD, GOOD)
    plant.work()
    plant.cluster.delete_records(EVENTS, 0, 1)
    assert fates(plant.decisions(ADD_ASSET)) == [Fate.SEND]

    plant.cluster.delete_records(EVENTS, 0, 2)

    (decision,) = plant.decisions(ADD_ASSET)
    assert decision.fate is Fate.UNPROVEN
    assert "records of sensor.events-0 from 1 on must be retained" in decision.why
    assert plant.execute(ADD_ASSET, licence=Licence(unproven=True)) == 1


def test_the_replay_of_a_topic_that_was_made_anew_is_not_taken_for_another_letters(
    plant: Plant,
) -> None:
    plant.send(BAD, headers=((REPLAYED_FROM, b"sensor.events.dlq-0@0"),))
    plant.set_aside(Message(EVENTS, 0, 0, b"north/1", BAD), "contract")

    plant.send(GOOD, headers=((REPLAYED_FROM, b"sensor.events.dlq-0@1"),))
    plant.set_aside(Message(EVENTS, 0, 2, b"north/1", BAD), "contract")

    assert fates(plant.decisions(ADD_ASSET)) == [Fate.SEND, Fate.SEND]


@pytest.mark.parametrize(
    "source",
    [("model.updates", 0, 0), (EVENTS, 7, 0)],
)
def test_a_letter_without_a_place_in_the_topic_is_refused(
    plant: Plant, source: tuple[str, int, int]
) -> None:
    strange = dead_letter(
        Message(*source, b"k", GOOD), InvalidRecordError(DeadLetterReason.CONTRACT, "x"), "learner"
    )
    plant.cluster.append(DLQ, 0, GOOD, headers=strange.headers)
    plant.cluster.append(DLQ, 1, GOOD)

    assert fates(plant.decisions()) == [Fate.UNPLACED, Fate.UNPLACED]


@pytest.mark.parametrize(
    ("choice", "offsets"),
    [
        (Choice(), [(0, 0), (0, 1), (0, 2), (1, 0)]),
        (Choice(reason="undecodable"), [(0, 2)]),
        (Choice(partition=1), [(1, 0)]),
        (Choice(asset="south/9"), [(0, 1)]),
        (Choice(asset="north/1"), [(0, 0), (0, 1), (0, 2), (1, 0)]),
        (Choice(first=parse_bound("--from", "1")), [(0, 1), (0, 2)]),
        (Choice(last=parse_bound("--to", "0")), [(0, 0), (1, 0)]),
        (Choice(first=parse_bound("--from", "2026-01-01T00:00:03Z")), [(0, 2), (1, 0)]),
        (Choice(last=parse_bound("--to", "2026-01-01T00:00:03")), [(0, 0), (0, 1)]),
    ],
)
def test_letters_are_chosen(plant: Plant, choice: Choice, offsets: list[tuple[int, int]]) -> None:
    plant.send(BAD, encoded(RECORD_ID, asset="south/9", event_id=""), b"\x07")
    plant.send(BAD, partition=1)
    plant.work()

    found = plant.decisions(choice=choice, licence=Licence(as_is=True))

    places = [(d.letter.message.partition, d.letter.message.offset) for d in found]
    assert places == offsets


def test_a_limit_counts_what_is_sent(plant: Plant) -> None:
    plant.send(b"\x07", BAD, BAD, BAD)
    plant.work()

    assert fates(plant.decisions(ADD_ASSET, limit=2)) == [Fate.UNFIXED, Fate.SEND, Fate.SEND]
    assert plant.execute(ADD_ASSET, limit=2) == 2
    assert plant.execute(ADD_ASSET, limit=2) == 1


@pytest.mark.parametrize("text", ["yesterday", "-1", "1.5", ""])
def test_a_bound_is_an_offset_or_a_time(text: str) -> None:
    with pytest.raises(ConfigError, match="--from: must be an offset or an ISO 8601 time"):
        parse_bound("--from", text)
    assert parse_bound("--from", None) == OPEN


def test_the_last_error_headers_are_taken_off_and_earlier_ones_stay() -> None:
    once = letter_message(GOOD, offset=3, headers=(("a", b"b"),))
    twice = dead_letter(
        Message(EVENTS, 0, 9, b"k", GOOD, once.headers),
        InvalidRecordError(DeadLetterReason.DOMAIN, "again"),
        "learner",
    )
    found = read_letter(Message(DLQ, 0, 0, b"k", GOOD, twice.headers))

    assert (found.reason, found.source and found.source.offset) == ("domain", 9)
    assert found.replay_headers()[:-2] == once.headers
    assert letter(GOOD).replays == 0


@pytest.mark.parametrize("text", [b"", b"x", b"t-0", b"t@1", b"t-x@1", b"t-0@x", b"\xff-0@1"])
def test_a_lineage_header_that_names_no_place_is_none(text: bytes) -> None:
    found = replayed_position(((REPLAYED_FROM, text),))

    assert found is None or found.topic == "ff"
    assert str(replayed_position(((REPLAYED_FROM, b"a-b-3@4"),))) == "a-b-3@4"


def test_the_report_says_per_record_and_by_reason_what_becomes_of_it(plant: Plant) -> None:
    plant.send(BAD, b"\x07")
    plant.work()
    report = ReplayReport(EVENTS, is_executed=False)
    for decision in plant.decisions(ADD_ASSET):
        report.add(decision)

    document = report.document({"rules[0].map": 1})
    lines = list(report.lines({"rules[0].map": 1}))

    assert report.is_refused
    assert [r["outcome"] for r in document["records"]] == ["send", "unfixed"]
    assert document["records"][0]["changes"] == [
        {"what": "asset", "before": "", "after": "north/1"}
    ]
    assert [(s["reason"], s["total"], s["send"], s["unfixed"]) for s in document["summary"]] == [
        ("contract", 1, 1, 0),
        ("undecodable", 1, 0, 1),
    ]
    assert lines[0] == (
        'sensor.events.dlq-0@0 (from sensor.events-0@0) contract: send: asset "" -> "north/1"'
    )
    assert lines[2] == "contract: 1 dead letters, 1 send"
    assert lines[-1] == "rules[0].map: changed 1 records"

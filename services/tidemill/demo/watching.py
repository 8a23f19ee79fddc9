"""What the demo reads back: all that the processors write, and all that they set aside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from confluent_kafka import TopicPartition

from tidemill.contracts.codec import codec
from tidemill.contracts.topics import (
    ALARMS,
    DRIFT,
    EVENTS,
    EXPLANATIONS,
    FEEDBACK,
    IMPORTANCES,
    LABELS,
    LEDGER,
    OUTCOMES,
    PREDICTIONS,
    RECEIPTS,
    UPDATES,
)
from tidemill.kernel.deadletters import REASON_HEADER, SUFFIX
from tidemill.runtime.clients import KafkaClients
from tidemill.runtime.failures import check_message_error

if TYPE_CHECKING:
    from collections.abc import Callable

    from tidemill.demo.questions import QuestionTally
    from tidemill.demo.tally import Tally
    from tidemill.runtime.clients import RawMessage

    Take = Callable[[RawMessage], None]
    Record = dict[str, Any]  # Any: the values of an Avro record

BATCH = 2000


class Watcher:
    """Reads the outputs with `isolation.level=read_committed` into a tally.

    Args:
        partitions: Of every topic.
        has_labels: Whether labels come on their own topic.
    """

    def __init__(self, bootstrap: str, partitions: int, tally: Tally, *, has_labels: bool) -> None:
        self._tally = tally
        self._takes = takes_of(tally, has_labels=has_labels)
        self._reader = KafkaClients(bootstrap).reader()
        self._reader.assign(
            [TopicPartition(topic, p, 0) for topic in self._takes for p in range(partitions)]
        )

    def poll(self, timeout_s: float) -> None:
        """Take in what came."""
        for message in self._reader.consume(BATCH, timeout_s):
            error = message.error()
            if error is not None:
                check_message_error(error)
            else:
                self._takes[message.topic()](message)

    def close(self) -> None:
        """Close the reader."""
        self._reader.close()


def takes_of(tally: Tally, *, has_labels: bool) -> dict[str, Take]:
    """Return the topics that are read, each with what takes its records in."""
    takes: dict[str, Take] = {
        PREDICTIONS: _decoded("Prediction", tally.note_prediction),
        EVENTS + SUFFIX: lambda message: tally.note_dead(_reason(message)),
        UPDATES + SUFFIX: lambda _: tally.note_set_aside(),
    }
    reasons, labels, feedback = tally.explanations, tally.labels, tally.feedback
    if reasons is not None:
        takes[EXPLANATIONS] = _decoded("Explanation", reasons.note_explanation)
        takes[IMPORTANCES] = _decoded("Importance", reasons.note_ranking)
    if has_labels:
        takes[UPDATES] = _decoded("Update", labels.note_joined)
        takes[OUTCOMES] = _decoded("Outcome", tally.note_outcome)
        takes[LEDGER] = _decoded("LedgerEntry", labels.note_entry)
        takes[LABELS + SUFFIX] = lambda message: tally.note_label_aside(
            _reason(message), codec("Label").decode(message.value())
        )
    if feedback is not None:
        takes[RECEIPTS] = _decoded("Receipt", feedback.note_receipt)
        takes[FEEDBACK + SUFFIX] = lambda _: feedback.note_set_aside()
    if tally.questions is not None:
        _ask(takes, tally.questions)
    return takes


def _ask(takes: dict[str, Take], questions: QuestionTally) -> None:
    """Have questions told of all that they come to know of."""
    drift, alarm = codec("Drift").decode, codec("Alarm").decode
    takes[DRIFT] = lambda m: questions.note_drift(drift(m.value()), m.partition())
    takes[ALARMS] = lambda m: questions.note_alarm(alarm(m.value()), m.partition())
    more = {
        UPDATES: _decoded("Update", questions.note_update),
        LEDGER: _decoded("LedgerEntry", questions.note_entry),
    }
    for topic, take in more.items():
        takes[topic] = _both(takes[topic], take) if topic in takes else take


def _both(first: Take, second: Take) -> Take:
    def take(message: RawMessage) -> None:
        first(message)
        second(message)

    return take


def _decoded(name: str, note: Callable[[Record], None]) -> Take:
    decode = codec(name).decode
    return lambda message: note(decode(message.value()))


def _reason(message: RawMessage) -> str:
    return dict(message.headers() or [])[REASON_HEADER].decode()

"""A simulated operator at hand: acknowledges alarms of an asset, answers what the mesh asks."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from tidemill.contracts.codec import codec
from tidemill.contracts.feedback_form import FEEDBACK
from tidemill.contracts.topics import FEEDBACK as FEEDBACK_TOPIC
from tidemill.demo.questions import is_of_question
from tidemill.runtime.alarm_topic import alarm_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tidemill.demo.questions import Answerable, QuestionTally
    from tidemill.demo.shortcut import FeedbackTally
    from tidemill.runtime.sending import Sender

ROLE = "operator"
FAULT, PROCESS_CHANGE = "FAULT", "PROCESS_CHANGE"


class Attendant:
    """Knows of one asset that its sensor is loose; any other change is one of the process."""

    def __init__(self, sender: Sender, feedback: FeedbackTally, questions: QuestionTally) -> None:
        self._encode = codec(FEEDBACK).encode
        self._sender = sender
        self._feedback = feedback
        self._questions = questions
        self._actor = questions.loose.actor

    def attend(self) -> Iterator[str]:
        """Say and yield what there is to say, as `alerts ack` and `feedback send` would."""
        for alarm in self._questions.take_alarms():
            record = alarm.record
            said = {"kind": "ACKNOWLEDGE", "target_id": record["alarm_id"]}
            self._say(f"{record['alarm_id']}-{record['revision']}", said, alarm)
            if is_of_question(record):
                yield f"alarm {alarm_line(dict(record))}; {self._actor} acknowledges it"
        for question in self._questions.unanswered:
            record = question.record
            is_loose = record["asset"] == self._questions.loose.asset
            answer = FAULT if is_loose else PROCESS_CHANGE
            name = self._say(
                record["drift_id"], {"kind": answer, "drift_id": record["drift_id"]}, question
            )
            self._feedback.note_sent(name)
            self._questions.answers[record["drift_id"]] = answer
            yield f"{self._actor} answers for {record['asset']}: {answer}"

    def _say(self, about: str, said: dict[str, Any], to: Answerable) -> str:  # Any: Avro
        """Write it to the partition of what it answers; return the name it goes by."""
        name = f"{self._actor}-{about}"
        record = {
            **said,
            "feedback_id": name,
            "asset": to.record["asset"],
            "stream": to.record["stream"],
            "actor": self._actor,
            "role": ROLE,
            "time": time.time_ns() // 1000,
        }
        value = self._encode(record)
        key = to.record["asset"]
        self._sender.send(FEEDBACK_TOPIC, key=key, value=value, partition=to.partition)
        return name

"""Answers to episodes: to the question, to a signal's, and second thoughts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidemill.contracts.topics import UPDATES
from tidemill.processors.drift.episodes import Place, Said
from tidemill.processors.drift.plans import Kind
from tidemill.processors.drift.question import Question

if TYPE_CHECKING:
    from tidemill.processors.drift.reading import Reading
    from tidemill.processors.drift.watched import Watched

# Where nothing is promised there is no fault.
_NONE = ("NOT_STATIONARY", "FAULT")


def answered(watched: Watched, reading: Reading) -> list[Said]:
    """Take an answer: to the question, or to any episode that is not over.

    A second word on a question counts, where it is another one. Where the sensors together left
    their reference again while it waits, a word on that episode is one on the question, too.
    """
    now_us, answer = max(watched.clock.reached_us, 0), reading.answer
    place = Place(UPDATES, watched.partition, reading.offset, now_us)
    question = watched.question
    is_same = question is not None and question.drift_id == reading.drift_id
    is_again = question is not None and reading.drift_id in question.again
    found = [] if is_same else _answered_beside(watched, reading, place)
    if question is not None and (is_same or is_again) and question.verdict != answer:
        found.append(Said(reading.index, watched.settled(question, answer, now_us)))
        question.verdict = answer
        if answer != "FAULT" or not question.waits or not watched.is_out():
            found += watched.release(question, place, reading.index, now_us)
    watched.unknown += not found
    if found and answer == "PROCESS_CHANGE":
        found += _process_changed(watched, place, reading.index)
    return found


def _answered_beside(watched: Watched, reading: Reading, place: Place) -> list[Said]:
    """Take an answer to an episode that asks nothing, or no more."""
    key = watched.episodes.find(reading.drift_id)
    if key is None:
        return []
    record, answer = watched.episodes.standing[key], reading.answer
    if record["status"] == answer or (record["status"], answer) == _NONE:
        return []
    found = [Said(reading.index, watched.episodes.answer(key, answer, place.time_us))]
    if record["held"] and answer == "PROCESS_CHANGE":
        # It was a fault, by the word before: what was left out for that is learned.
        was = Question(record, record["started"], place.time_us, is_held=True)
        update = was.release(place, answer, place.time_us)
        found.append(Said(reading.index, update, is_update=True))
    return found


def _process_changed(watched: Watched, place: Place, index: int) -> list[Said]:
    """Begin all references anew; a question of another episode has its answer by that."""
    found, question = [], watched.question
    if question is not None:
        if not question.verdict:
            question.verdict = "PROCESS_CHANGE"
            record = watched.settled(question, question.verdict, place.time_us)
            found.append(Said(index, record))
        found += watched.release(question, place, index, place.time_us)
    return found + watched.renew(tuple(Kind), index, place.time_us)

"""What the demo has seen: counts for the balance, and scores beside the naive model's."""

from __future__ import annotations

from collections import Counter, deque
from typing import TYPE_CHECKING, Any

from tidemill.demo.cases import Answer, Case
from tidemill.demo.label_tally import LabelTally

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tidemill.demo.happenings import Reading, Truth
    from tidemill.demo.questions import QuestionTally
    from tidemill.demo.reasons import ExplanationTally
    from tidemill.demo.scores import Score
    from tidemill.demo.shortcut import FeedbackTally
    from tidemill.demo.truths import Truths

LAST_SHOWN = 8


class Tally:
    """Everything the demo counts.

    Args:
        score: Made for each asset.
        truths: When the truth of an event becomes known.
        explanations: Where every prediction is explained.
        feedback: Where people have something to say.
        questions: Where a sensor comes loose.

    Attributes:
        set_aside: Instructions that the learner refused.
    """

    def __init__(
        self,
        score: type[Score],
        truths: Truths,
        explanations: ExplanationTally | None = None,
        feedback: FeedbackTally | None = None,
        *,
        questions: QuestionTally | None = None,
    ) -> None:
        self.score = score
        self.explanations = explanations
        self.feedback = feedback
        self.questions = questions
        self.set_aside = 0
        self.sent = 0
        self.predicted = 0
        self.doubled = 0
        self.dead: Counter[str] = Counter()
        self.labels = LabelTally()
        self.assets: dict[str, Score] = {}
        self.last: deque[Case] = deque(maxlen=LAST_SHOWN)
        self.notes: list[str] = []
        self._truths = truths
        self._cases: dict[str, Case] = {}

    def note_sent(self, reading: Reading) -> None:
        """Count one event given to the broker, and score what it reveals."""
        self.sent += 1
        truths = self._truths
        self._cases[reading.event_id] = Case(
            reading.event_id,
            reading.asset,
            reading.time_us,
            is_awaited=truths.is_awaited(reading),
            naive=truths.naive(reading),
        )
        for event_id, truth in truths.known_at(reading):
            self.note_truth(event_id, truth)

    def note_truth(self, event_id: str, truth: Truth | None) -> None:
        """Take in what is true of an event, once; None: nobody will ever know."""
        case = self._cases.get(event_id)
        if case is None or not case.is_awaited:
            return
        case.is_awaited = False
        case.truth = truth
        self._settle(case)

    def note_prediction(self, record: Mapping[str, Any]) -> None:  # Any: an Avro record
        """Count one prediction; a second one for the same event is a doubled one."""
        self.predicted += 1
        if self.explanations is not None:
            self.explanations.note_prediction(record)
        if self.feedback is not None:
            self.feedback.note_prediction(record)
        case = self._cases.get(record["event_id"])
        if case is None or case.answer is not None:
            self.doubled += 1
            return
        case.answer = Answer.of(record)
        self.assets.setdefault(case.asset, self.score())
        self.last.append(case)
        self._settle(case)

    def _settle(self, case: Case) -> None:
        """Score a case once it has its answer and its truth; forget it once nothing is awaited."""
        if case.answer is None or case.is_awaited:
            return
        if case.truth is not None:
            self.assets[case.asset].note(case)
            if self.feedback is not None:
                self.feedback.note_case(case)
        del self._cases[case.event_id]

    def note_dead(self, reason: str) -> None:
        """Count one dead letter."""
        self.dead[reason] += 1

    def note_set_aside(self) -> None:
        """Count one instruction that the learner refused."""
        self.set_aside += 1

    def note_outcome(self, record: Mapping[str, Any]) -> None:  # Any: as above
        """Take in a label that was held against its prediction."""
        self.labels.note_outcome(record)
        self.note_truth(record["event_id"], record["label"])

    def note_label_aside(self, reason: str, label: Mapping[str, Any]) -> None:  # Any: as above
        """Take in a label that was dead-lettered: true all the same, where it is the event's."""
        self.labels.aside[reason] += 1
        self.note_truth(label["event_id"], label["value"])

    @property
    def dead_letters(self) -> int:
        """Number of dead letters."""
        return self.dead.total()

    @property
    def open(self) -> int:
        """Events that have neither prediction nor dead letter yet."""
        return self.sent - self.predicted - self.dead_letters

    @property
    def is_settled(self) -> bool:
        """Whether nothing more is to come of what was sent."""
        return self.open <= 0 and self.labels.open <= 0 and self._is_told

    @property
    def is_balanced(self) -> bool:
        """Whether in = predicted + dead-lettered, none twice; so for labels and the rest."""
        is_answered = self.open == self.doubled == self.set_aside == 0
        return is_answered and self.labels.is_balanced and self._is_told

    @property
    def _is_told(self) -> bool:
        """Whether predictions, feedback and questions have all that belongs to them."""
        books = (self.explanations, self.feedback, self.questions)
        return all(book is None or book.is_balanced for book in books)

    @property
    def progress(self) -> tuple[int, ...]:
        """Counts of which one rises as long as anything comes."""
        explained = 0 if self.explanations is None else self.explanations.explained
        heard = 0 if self.feedback is None else len(self.feedback.final)
        labels = self.labels
        told = (labels.learned, labels.joined, labels.outcomes, labels.aside.total())
        asked = () if self.questions is None else self.questions.progress
        return self.predicted, self.dead_letters, explained, heard, *told, *asked

"""The demo's balance sheet: what came in, and what became of it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tidemill.demo.label_tally import LabelTally
    from tidemill.demo.questions import QuestionTally
    from tidemill.demo.reasons import ExplanationTally
    from tidemill.demo.shortcut import FeedbackTally
    from tidemill.demo.tally import Tally


def balance_sheet(tally: Tally) -> str:
    """Return what came in and what became of it."""
    verdict = "balanced" if tally.is_balanced else "NOT balanced"
    return (
        f"Balance: {verdict}\n"
        f"  events in                 {tally.sent:10}\n"
        f"  predicted                 {tally.predicted:10}\n"
        f"  dead-lettered             {tally.dead_letters:10}{_reasons(tally.dead)}\n"
        f"  without an answer         {tally.open:10}\n"
        f"  predicted twice           {tally.doubled:10}"
        f"{_explanations(tally.explanations)}{_labels(tally.labels)}{_feedback(tally.feedback)}"
        f"{_questions(tally.questions)}{_refused(tally)}"
    )


def _explanations(reasons: ExplanationTally | None) -> str:
    if reasons is None:
        return ""
    return (
        f"\n  explained                 {reasons.explained:10}\n"
        f"  not explained             {reasons.missing:10}\n"
        f"  explained too often       {reasons.surplus:10}"
    )


def _labels(labels: LabelTally) -> str:
    if not labels.sent:
        return ""
    return (
        f"\n  labels in                 {labels.sent:10}\n"
        f"  learned                   {labels.learned:10}\n"
        f"  of a flagged event        {labels.flagged:10}\n"
        f"  labels set aside          {labels.aside.total():10}{_reasons(labels.aside)}\n"
        f"  joined to a prediction    {labels.joined:10}\n"
        f"  compared with it          {labels.outcomes:10}\n"
        f"  nothing known of          {labels.open:10}"
    )


def _feedback(feedback: FeedbackTally | None) -> str:
    if feedback is None:
        return ""
    statuses = Counter(receipt["status"] for receipt in feedback.final.values())
    harm = feedback.harm()
    return (
        f"\n  feedback in               {feedback.sent:10}\n"
        f"  with its final receipt    {statuses.total():10}{_reasons(statuses)}\n"
        f"  feedback set aside        {feedback.set_aside:10}\n"
        f"  feedback without receipt  {feedback.open:10}"
    ) + ("" if harm is None else f"\n{harm}")


def _questions(questions: QuestionTally | None) -> str:
    if questions is None:
        return ""
    return (
        f"\n  questions asked           {len(questions.asked):10}\n"
        f"  answered and settled      {len(questions.settled):10}"
        f"{_reasons(Counter(questions.settled.values()))}\n"
        f"  models held               {len(questions.held):10}\n"
        f"  holds released            {len(questions.released):10}\n"
        f"  alarms of {questions.loose.asset.rpartition('/')[2]:16}{questions.alarms:10}\n"
        f"  not acknowledged          {questions.unacknowledged:10}"
    )


def _refused(tally: Tally) -> str:
    return f"\n  instructions refused      {tally.set_aside:10}" if tally.set_aside else ""


def _reasons(counts: Mapping[str, int]) -> str:
    return "".join(f"\n    {reason:24}{count:10}" for reason, count in sorted(counts.items()))

"""What a feedback led to, and what takes it back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidemill.processors.feedback.writing import update_of

if TYPE_CHECKING:
    from tidemill.processors.feedback.book import Book
    from tidemill.processors.feedback.decision import Decision
    from tidemill.processors.feedback.saying import Said
    from tidemill.processors.feedback.writing import Record


def caused_by(book: Book, decision: Decision) -> list[Decision]:
    """Return the decisions that told models something for a feedback: its own, and an approval."""
    approval = book.settlement(decision.feedback_id)
    caused = [decision] if approval is None else [decision, approval]
    return [each for each in caused if each.sent]


def standing(book: Book, decision: Decision) -> list[Decision]:
    """Return those of them that were not taken back."""
    return [each for each in caused_by(book, decision) if not book.is_undone(each)]


def undoing(said: Said, undone: Decision) -> Record:
    """Return the update that takes back what a decision told models."""
    return update_of(
        said,
        "RETRACT",
        str(undone.stream),
        target_id=undone.feedback_id,
        feature=undone.vetoed,
        event_id=undone.event_id,
    )

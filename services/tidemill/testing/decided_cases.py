"""What a label means after those of its event that were joined before it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidemill.contracts.pending import MOST_JOINED, Verdict

if TYPE_CHECKING:
    from tidemill.contracts.pending import Held
    from tidemill.testing.waiting_cases import Case, Join, WaitingLabel


def decide(
    case: Case, stream: str, deadline_us: int, label: Held | WaitingLabel
) -> tuple[Verdict, str]:
    """Return what a label means after those that were joined, and the text it replaces."""
    joins, revision, text = case.joined(stream), label.revision, label.texts[stream]
    if not joins:
        return Verdict.JOINED, ""
    if revision in joins or len(joins) >= MOST_JOINED:
        return (Verdict.DUPLICATE if revision in joins else Verdict.CROWDED), ""
    newest = max(joins)
    if revision > newest:
        said = joins[newest].text
        again = _said_again(case, stream, deadline_us, said)
        if text == said:
            case.again[stream] = max(again, revision)
            return Verdict.SAME, ""
        if revision > again:
            return Verdict.JOINED, said
        return Verdict.DUPLICATE if revision == again else Verdict.SUPERSEDED, ""
    return _owed(joins, revision, text)


def _owed(joins: dict[int, Join], revision: int, text: str) -> tuple[Verdict, str]:
    """Join a label that was replaced, if who joined it was forgotten before it was committed."""
    for each, join in joins.items():
        earlier = [other.text for number, other in joins.items() if number < each]
        if each > revision and join.replaced == text and text not in earlier:
            below = max((number for number in joins if number < revision), default=None)
            return Verdict.JOINED, "" if below is None else joins[below].text
    return Verdict.SUPERSEDED, ""


def _said_again(case: Case, stream: str, deadline_us: int, text: str) -> int:
    """Return the newest revision that only said again what was joined last, told or waiting."""
    waiting = [
        label.revision
        for label in case.labels.values()
        if label.texts.get(stream) == text and label.time_us <= deadline_us
    ]
    return max([case.again.get(stream, -1), *waiting])

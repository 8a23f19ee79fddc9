"""Whose word counts, and how much: rates, votes, shares."""

from __future__ import annotations

from collections import Counter  # noqa: TC003 - the example below makes one
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tidemill.processors.feedback.book import DAY_MS
from tidemill.processors.feedback.decision import QUARANTINE
from tidemill.processors.feedback.saying import EXPLANATION

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tidemill.processors.feedback.book import Book
    from tidemill.processors.feedback.decision import Decision
    from tidemill.processors.feedback.saying import Said

MINUTE_MS = 60_000
IRRELEVANT = "IRRELEVANT"


@dataclass(frozen=True, slots=True)
class Limits:
    """What a person may do, and what it takes to veto a sensor.

    Attributes:
        per_minute: Feedback of one person in a minute.
        votes, voters: So many votes from so many people against a sensor.
        share: At least this share of the asset's votes on explanations.
        one_actor: Most of the votes against a sensor that may be one person's.
        window, window_ms: So many votes on an asset are looked at, and so old ones.
        answers, contradicted: Of so many last answers of a person so many contradictions are too
            many, those in which one side only said RIGHT counted half.
        quarantine_ms: How long a person's feedback is held after that.
        keep_ms, per_asset: How long decisions are remembered, and how many of one asset.
        refused: How many refusals of a partition are.
    """

    per_minute: int = 20
    votes: int = 5
    voters: int = 3
    share: float = 0.30
    one_actor: float = 0.5
    window: int = 200
    window_ms: int = 30 * DAY_MS
    answers: int = 20
    contradicted: float = 10.0
    quarantine_ms: int = DAY_MS
    keep_ms: int = 184 * DAY_MS
    per_asset: int = 2_000
    refused: int = 1_000


def is_too_fast(book: Book, said: Said, limits: Limits) -> bool:
    """Return whether a person has sent as much as one may within the minute."""
    since, offset = said.time_ms - MINUTE_MS, said.position.offset
    earlier = [d for d in book.of_actor(said.actor) if d.offset < offset and d.time_ms > since]
    return len(earlier) >= limits.per_minute


def is_counted(book: Book, decision: Decision) -> bool:
    """Return whether a vote counts: neither taken back nor held for its actor's sake."""
    if not decision.counts or book.is_retracted(decision):
        return False
    return decision.held != QUARANTINE or book.is_approved(decision)


def votes_of(book: Book, asset: str, stream: str | None) -> list[Decision]:
    """Return the votes on explanations of an asset that count, as far as they are remembered."""
    of_asset = book.of_asset(asset, stream)
    return [d for d in of_asset if d.kind in EXPLANATION and is_counted(book, d)]


def votes_on(book: Book, said: Said, stream: str, limits: Limits) -> list[Decision]:
    """Return those of them that are within the window."""
    since = said.time_ms - limits.window_ms
    votes = [vote for vote in votes_of(book, said.asset, stream) if vote.time_ms >= since]
    return votes[-limits.window :]


def against(votes: Iterable[Decision], feature: str, after: int = -1) -> list[Decision]:
    """Return the votes that call a sensor irrelevant, behind an offset."""
    return [v for v in votes if v.kind == IRRELEVANT and v.feature == feature and v.offset > after]


def is_complete(by_actor: Counter[str], others: int, limits: Limits) -> bool:
    """Return whether the votes against a sensor veto it.

    Args:
        by_actor: How many votes against it are whose.
        others: How many other votes there are on explanations of the asset.
    """
    if len(by_actor) < limits.voters:
        return False
    counted = weight_of(by_actor, limits)
    return counted >= limits.votes and counted >= limits.share * (counted + others)


def weight_of(by_actor: Counter[str], limits: Limits) -> float:
    """Return how much votes count together if one person's are at most a share of them.

    >>> weight_of(Counter(ann=9, bob=1, eve=1), Limits())
    4.0
    """
    largest = max(by_actor.values())
    others = sum(by_actor.values()) - largest
    most = others * limits.one_actor / (1.0 - limits.one_actor)
    return others + min(float(largest), most)

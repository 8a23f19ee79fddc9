"""What is watched, counted: kept up with what changes, so that it costs nothing to tell."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from tidemill.kernel.reports import Drifts
from tidemill.processors.drift.plans import Kind

if TYPE_CHECKING:
    from tidemill.models.state import ModelKey
    from tidemill.processors.drift.watched import Watched


class Part(NamedTuple):
    """What one asset adds."""

    standing: Counter[str]
    unwatched: Counter[str]
    questions: int
    held: int
    share: float


class Tally:
    """Counts what stands in a partition.

    Attributes:
        told: Records of drifts, by kind and status.
        unmet: Answers that met nothing.
    """

    def __init__(self) -> None:
        self.told: Counter[tuple[str, str]] = Counter()
        self.unmet = 0
        self._standing: Counter[str] = Counter()
        self._unwatched: Counter[str] = Counter()
        self._parts: dict[ModelKey, Part] = {}
        self._questions = 0
        self._held = 0

    def note(self, key: ModelKey, watched: Watched) -> None:
        """Take what an asset adds by now."""
        kinds = Counter(name.partition("|")[0] for name in watched.episodes.standing)
        events, held = watched.allowance.events, watched.allowance.held
        unwatched = _unwatched(watched)
        asked, share = int(watched.question is not None), held / max(events, 1)
        part = Part(kinds, unwatched, asked, held, share)
        self.forget(key)
        self._standing += kinds
        self._unwatched += unwatched
        self._questions += part.questions
        self._held += held
        if kinds or unwatched or part.questions or held:
            self._parts[key] = part

    def forget(self, key: ModelKey) -> None:
        """Take an asset out."""
        part = self._parts.pop(key, None)
        if part is not None:
            self._standing -= part.standing
            self._unwatched -= part.unwatched
            self._questions -= part.questions
            self._held -= part.held

    def drifts(self) -> Drifts:
        """Return all of it."""
        share = max((part.share for part in self._parts.values()), default=0.0)
        return Drifts(
            told=dict(self.told),
            standing=dict(self._standing),
            unwatched=dict(self._unwatched),
            questions=self._questions,
            held=self._held,
            held_share=share,
            unmet=self.unmet,
        )


def _unwatched(watched: Watched) -> Counter[str]:
    """Return of how many signals of an asset nothing would be told by now, by kind."""
    found = Counter({kind.value: each.unwatched() for kind, each in watched.signals.items()})
    if watched.check is not None:
        found[Kind.MULTIVARIATE.value] = watched.check.unwatched()
    return +found

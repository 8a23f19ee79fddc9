"""The decisions of one partition: found by feedback, asset, person and event; bounded."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tidemill.processors.feedback.decision import Decision

_Key = TypeVar("_Key")

DAY_MS = 86_400_000
# By age, at one record.
MOST_EXPIRED = 16


class Book:
    """Decisions in the order of their feedback, whose times never go back.

    Args:
        keep_ms: How long a decision is remembered, by the times at which feedback came.
        most: How many of one asset are.
        refused: How many refusals are, of whatever asset: most assets they name need not exist.
        quarantine_ms: How long what began a quarantine is remembered in any case.
    """

    def __init__(self, *, keep_ms: int, most: int, refused: int, quarantine_ms: int) -> None:
        self._keep_ms = keep_ms
        self._most_refused = refused
        self._refused: dict[str, Decision] = {}
        self._quarantine_ms = quarantine_ms
        self._most = most
        self._all: dict[str, Decision] = {}
        self._of_asset: defaultdict[str, dict[str, Decision]] = defaultdict(dict)
        self._of_actor: defaultdict[str, dict[str, Decision]] = defaultdict(dict)
        self._of_event: defaultdict[int | None, dict[str, Decision]] = defaultdict(dict)
        self._retracted: dict[str, Decision] = {}
        self._settled: dict[str, Decision] = {}
        self._undone: dict[str, Decision] = {}
        self._quarantines: dict[str, Decision] = {}
        self._releases: dict[str, Decision] = {}

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[Decision]:
        return iter(self._all.values())

    @property
    def time_ms(self) -> int:
        """When the newest of them came; 0 before the first."""
        return self._all[next(reversed(self._all))].time_ms if self._all else 0

    def get(self, feedback_id: str) -> Decision | None:
        """Return what was decided of a feedback, if it is remembered."""
        return self._all.get(feedback_id)

    def of_asset(self, asset: str, stream: str | None) -> list[Decision]:
        """Return the decisions on one asset of a stream."""
        return [d for d in self._of_asset.get(asset, {}).values() if d.stream == stream]

    def of_any(self, asset: str) -> list[Decision]:
        """Return the decisions on one asset."""
        return list(self._of_asset.get(asset, {}).values())

    def of_actor(self, actor: str) -> list[Decision]:
        """Return the decisions on what one person said."""
        return list(self._of_actor.get(actor, {}).values())

    def of_event(self, event: int | None) -> list[Decision]:
        """Return the decisions on the event at an offset."""
        return list(self._of_event.get(event, {}).values())

    def quarantine(self, actor: str) -> Decision | None:
        """Return what last put a person into quarantine."""
        return self._quarantines.get(actor)

    def release(self, scope: str) -> Decision | None:
        """Return the last RESUME of this scope that only counted: a person's, not a model's."""
        return self._releases.get(scope)

    def retraction(self, feedback_id: str) -> Decision | None:
        """Return what took a feedback back."""
        return self._retracted.get(feedback_id)

    def settlement(self, feedback_id: str) -> Decision | None:
        """Return what approved or rejected a feedback that was held."""
        return self._settled.get(feedback_id)

    def is_undone(self, decision: Decision) -> bool:
        """Return whether the updates that a decision caused were taken back."""
        by = self._undone.get(decision.feedback_id)
        return by is not None and not self.is_undone(by)

    def is_waiting(self, decision: Decision) -> bool:
        """Return whether a decision still waits for a domain expert."""
        settled = self._settled.get(decision.feedback_id)
        return bool(decision.held) and settled is None and not self.is_retracted(decision)

    def is_retracted(self, decision: Decision) -> bool:
        """Return whether a feedback was taken back by a person."""
        return decision.feedback_id in self._retracted

    def is_approved(self, decision: Decision) -> bool:
        """Return whether a feedback that was held was let through, for good or until undone."""
        settled = self._settled.get(decision.feedback_id)
        return settled is not None and settled.kind == "APPROVE" and not self.is_retracted(settled)

    def is_rejected(self, decision: Decision) -> bool:
        """Return whether a feedback that was held was rejected."""
        settled = self._settled.get(decision.feedback_id)
        return settled is not None and settled.kind == "REJECT"

    def vetoes(self, asset: str, stream: str | None) -> dict[str, Decision]:
        """Return the vetoes in force, by sensor."""
        found = self.of_asset(asset, stream)
        return {d.vetoed: d for d in found if d.vetoed is not None and not self.is_undone(d)}

    def keep(self, decision: Decision) -> None:
        """Take note of a decision; what it says of one that is forgotten says nothing any more."""
        self._all[decision.feedback_id] = decision
        self._of_actor[decision.actor][decision.feedback_id] = decision
        if decision.status == "REFUSED":
            self._refused[decision.feedback_id] = decision
            return
        self._of_asset[decision.asset][decision.feedback_id] = decision
        self._of_event[decision.event][decision.feedback_id] = decision
        self._quarantines |= dict.fromkeys(decision.quarantines, decision)
        if decision.kind == "RESUME" and not decision.sent and decision.scope is not None:
            self._releases[decision.scope] = decision
        if decision.target_id in self._all:
            if decision.kind == "RETRACT":
                self._retracted[decision.target_id] = decision
            elif decision.kind in ("APPROVE", "REJECT"):
                self._settled[decision.target_id] = decision
        self._undone |= dict.fromkeys(filter(self._all.__contains__, decision.undone), decision)

    def forget(self, feedback_ids: Iterable[str]) -> None:
        """Forget decisions."""
        for feedback_id in feedback_ids:
            decision = self._all.pop(feedback_id, None)
            if decision is None:
                continue
            self._refused.pop(feedback_id, None)
            _drop(self._of_asset, decision.asset, feedback_id)
            _drop(self._of_actor, decision.actor, feedback_id)
            _drop(self._of_event, decision.event, feedback_id)
            for marks in (self._retracted, self._settled, self._undone):
                marks.pop(feedback_id, None)
                for name in (decision.target_id, *decision.undone):
                    if name is not None and marks.get(name) is decision:
                        del marks[name]
            for last in (self._quarantines, self._releases):
                for name in [name for name, each in last.items() if each is decision]:
                    del last[name]

    def expired(self, decision: Decision) -> list[str]:
        """Return what need not be remembered any more once a decision is kept.

        Vetoes and quarantines in force are remembered as long as they are. However far the time has
        moved, a few go at a time: no single record empties the book.
        """
        oldest = decision.time_ms - self._keep_ms
        found: list[Decision] = []
        for each in self._all.values():
            if each.time_ms >= oldest or len(found) == MOST_EXPIRED:
                break
            if not self._is_in_force(each, decision.time_ms):
                found.append(each)
        kept, most = self._of_asset.get(decision.asset, {}), self._most
        if decision.status == "REFUSED":
            kept, most = self._refused, self._most_refused
        count = len(kept | {decision.feedback_id: decision})
        found += list(kept.values())[: max(0, count - most)]
        gone = [d for d in found if not self._is_in_force(d, decision.time_ms)]
        return list(dict.fromkeys(each.feedback_id for each in gone))

    def _is_in_force(self, decision: Decision, now_ms: int) -> bool:
        """Return whether a decision is a veto that stands, or of a quarantine that may yet run."""
        is_freeing = self._releases.get(decision.scope or "") is decision
        if (decision.quarantines or is_freeing) and (
            now_ms < decision.time_ms + self._quarantine_ms
        ):
            return True
        return decision.vetoed is not None and not self.is_undone(decision)


def _drop(index: dict[_Key, dict[str, Decision]], key: _Key, feedback_id: str) -> None:
    found = index.get(key, {})
    found.pop(feedback_id, None)
    if not found:
        index.pop(key, None)

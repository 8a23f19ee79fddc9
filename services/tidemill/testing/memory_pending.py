"""Cases that wait, in memory: what Redis does for labellers, and what it may forget."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

from tidemill.contracts.pending import Source, Standing, Tidied, second
from tidemill.kernel.errors import ServiceAwayError
from tidemill.testing.freed_cases import (
    Tidying,
    forget,
    free_oldest,
    free_over,
    give_up_oldest,
    give_up_passed,
    settle_given_up,
)
from tidemill.testing.waiting_cases import (
    RECOVERY,
    Join,
    Listed,
    State,
    hold,
    keep,
    place_in_line,
    store,
    wait,
    was_labelled,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tidemill.contracts.pending import Buried, Done, Held, Kept, Met, Progress

AWAY_S = 0.1
REMEMBERED = 40


class MemoryPending:
    """See `tidemill.contracts.pending.PendingStore`; held to the same tests as Redis.

    Args:
        streams: The ttl in microseconds of those whose labels come apart from their events.

    Attributes:
        is_away: Whether every call fails.
        broken: Called before each call, with its name; may raise.
        remembered: How many calls that wrote can be lost.
    """

    def __init__(self, partitions: int, streams: Mapping[str, int]) -> None:
        self.is_away = False
        self.broken: Callable[[str], None] = lambda _: None
        self.remembered = REMEMBERED
        self._partitions = partitions
        self._run = 0
        self._tokens = 0
        self._state = State(dict(streams))
        self._past: list[State] = []

    def wipe(self) -> None:
        """Lose everything."""
        self._state = State(self._state.streams)
        self._past.clear()

    def restart(self, lost: int = 0) -> None:
        """Start again without the last calls that wrote."""
        self._run += 1
        if lost and self._past:
            self._state = self._past[-min(lost, len(self._past))]
        self._past.clear()

    @property
    def size(self) -> int:
        """How many things wait or are remembered."""
        state = self._state
        return (
            len(state.kept)
            + len(state.waiting)
            + sum(
                len(case.labels) + len(case.joins) + len(case.settled)
                for case in state.cases.values()
            )
        )

    def generation(self) -> str:
        """Return the present generation."""
        self._reached("generation")
        if not self._state.token:
            self._tokens += 1
            self._state.token = f"t{self._tokens}"
        return self._present

    def standing(self, generation: str, partition: int) -> Standing:
        """Return what is known of a partition."""
        state = self._of(generation, "standing")
        is_recovered = state.recovered.get(partition) == generation
        applied = (state.applied.get((kind, partition)) for kind in "PL")
        return Standing(is_recovered, *applied)

    def lease(self, generation: str, partition: int) -> str:
        """Return a new lease of a partition."""
        owners = self._writing(generation, "lease").owners
        owners[partition] = owners.get(partition, 0) + 1
        return f"{generation}@{owners[partition]}"

    def unrecovered(self, generation: str) -> list[int]:
        """Return the partitions that are still to be recovered."""
        state = self._of(generation, "unrecovered")
        return [p for p in range(self._partitions) if state.recovered.get(p) != generation]

    def keep(
        self, generation: str, partition: int, predictions: Sequence[Kept], following: int
    ) -> list[Met]:
        """Keep predictions; see `PendingStore`."""
        state = self._served(generation, "keep", partition)
        met = [
            each
            for number, kept in enumerate(predictions)
            for each in keep(state, number, partition, kept)
        ]
        state.apply("P", partition, following)
        return met

    def hold(
        self, generation: str, partition: int, labels: Sequence[Held], following: int
    ) -> list[Met]:
        """Join labels or let them wait; see `PendingStore`."""
        state = self._served(generation, "hold", partition)
        met = [
            each
            for number, held in enumerate(labels)
            for each in hold(state, number, partition, held)
        ]
        state.apply("L", partition, following)
        return met

    def confirm(self, generation: str) -> None:
        """Hold that nothing was forgotten."""
        self._of(generation, "confirm", is_served=True)

    def tidy(self, generation: str, partition: int, progress: Progress) -> Tidied:
        """Free what can meet nothing any more."""
        state = self._served(generation, "tidy", partition)
        for kind, offset in (("P", progress.predictions), ("L", progress.labels)):
            state.at[kind, partition] = max(state.at.get((kind, partition), -1), offset)
        if progress.through is not None:
            state.through[partition] = progress.through
        state.turn += 1
        turns = [state.through.get(number) for number in range(self._partitions)]
        known = [turn for turn in turns if turn is not None]
        through = min(known) if len(known) == self._partitions else None
        if progress.is_caught_up:
            state.caught_up[partition] = state.newest_made
        tidying = Tidying(partition, progress, through, self._partitions)
        letters = settle_given_up(state, tidying)
        dropped = free_oldest(state, tidying)
        letters |= give_up_oldest(state, tidying)
        free_over(state, tidying)
        letters |= give_up_passed(state, tidying)
        kept = [each.offset for (p, _, _), each in state.predictions.items() if p == partition]
        held = [each.offset for (place, _), each in state.waiting.items() if place[1] == partition]
        oldest = min(kept, default=None), min(held, default=None)
        labels = sum(
            place.partition == partition and place in state.case(name).labels
            for place, name in state.waiting
        )
        return Tidied(list(letters.values()), oldest, len(kept), labels, state.turn, dropped)

    def restore_done(
        self, generation: str, partition: int, dones: Sequence[Done], low: int
    ) -> None:
        """Know joins again that were committed."""
        state = self._writing(generation, "restore_done")
        for done in dones:
            join = Join(done.cause, None, done.replaced, done.text, is_committed=True)
            state.case(done.case).joins[done.stream, done.revision] = join
            key = partition, done.stream, done.case
            there = state.predictions.get(key, Listed(low, 0))
            state.predictions[key] = Listed(min(there.offset, low), second(done.time_us))

    def restore_buried(
        self, generation: str, partition: int, buried: Sequence[Buried], labels: tuple[int, int]
    ) -> None:
        """Forget labels that were set aside."""
        state = self._writing(generation, "restore_buried")
        for name, offset, time_us, is_late in buried:
            place = Source("L", partition, offset)
            if is_late:
                state.case(name).set_aside.discard(place)
                state.case(name).told_late.add(place)
            else:
                forget(state, place, name)
                if offset < labels[1]:
                    continue
                state.case(name).set_aside.add(place)
            place_in_line(state, place, name, Listed(labels[0], second(time_us)))

    def restore_kept(self, generation: str, partition: int, predictions: Sequence[Kept]) -> None:
        """Keep predictions that were committed."""
        state = self._writing(generation, "restore_kept")
        for kept in predictions:
            if (kept.stream, kept.case) not in state.kept:
                store(state, partition, kept)
                case = state.case(kept.case)
                for place in case.labels:
                    case.settled.setdefault((kept.stream, place), RECOVERY)

    def restore_held(self, generation: str, partition: int, labels: Sequence[Held]) -> None:
        """Let labels wait that were committed."""
        state = self._writing(generation, "restore_held")
        for held in labels:
            there = [stream for stream in state.streams if (stream, held.case) in state.kept]
            joins = state.case(held.case).joins
            told = [stream for stream in there if (stream, held.revision) in joins]
            # A revision may have said again what was joined, of which nothing else tells; and a
            # label may have been given up when the store forgot, which nobody committed.
            if len(told) < len(state.streams) or held.revision > 0:
                place = Source("L", partition, held.offset)
                wait(state, place, held)
                for stream in there:
                    state.case(held.case).settled.setdefault((stream, place), RECOVERY)
            was_labelled(state, partition, held)

    def finish(self, generation: str, partition: int, predictions: int, labels: int) -> None:
        """Note that a partition is recovered."""
        state = self._writing(generation, "finish")
        for kind, offset in (("P", predictions), ("L", labels)):
            state.at[kind, partition] = offset
            state.apply(kind, partition, offset)
        state.through.pop(partition, None)
        state.caught_up.pop(partition, None)
        state.recovered[partition] = generation
        if all(state.recovered.get(p) == generation for p in range(self._partitions)):
            state.ready = generation

    @property
    def _present(self) -> str:
        return f"r{self._run}:{self._state.token}"

    def _reached(self, name: str) -> None:
        self.broken(name)
        if self.is_away:
            raise ServiceAwayError("the store of cases", retry_after_s=AWAY_S)

    def _of(self, generation: str, name: str, *, is_served: bool = False) -> State:
        self._reached(name)
        is_present = generation == self._present
        if not is_present or (is_served and self._state.ready != generation):
            msg = "what waits for its label"
            raise ServiceAwayError(msg, retry_after_s=AWAY_S)
        return self._state

    def _served(self, lease: str, name: str, partition: int) -> State:
        generation, _, owner = lease.partition("@")
        state = self._of(generation, name, is_served=True)
        if owner != str(state.owners.get(partition, "")):
            raise ServiceAwayError("what waits for its label", retry_after_s=AWAY_S)
        return self._remember(state)

    def _writing(self, generation: str, name: str) -> State:
        return self._remember(self._of(generation, name))

    def _remember(self, state: State) -> State:
        if self.remembered:
            self._past = [*self._past[-self.remembered :], copy.deepcopy(state)]
        return state

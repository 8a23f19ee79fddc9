"""Swaps made again: an audit folds a swapped model itself, and holds its state against that."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tidemill.contracts.topics import ANCHORS, LEDGER
from tidemill.fold.anchors import Anchors
from tidemill.fold.audit.findings import Finding, Kind, Place
from tidemill.fold.audit.judging import is_ours
from tidemill.fold.bases import Ask, Bases
from tidemill.fold.crossing import Anchored
from tidemill.fold.exchanging import in_force
from tidemill.fold.meanwhile import Live
from tidemill.fold.refolding import Refolding
from tidemill.kernel.errors import DependencyUnavailableError, InvariantError

if TYPE_CHECKING:
    from collections.abc import Generator

    from tidemill.fold.applying import Fold
    from tidemill.fold.ledger import Entry
    from tidemill.fold.plans import StreamPlan
    from tidemill.fold.snapshots import SigningKey
    from tidemill.fold.swapping import Swap
    from tidemill.kernel.processor import Log
    from tidemill.models.controls import Edit
    from tidemill.models.state import ModelKey, ModelState

# An audit takes what it takes; a live re-fold may not have been allowed so much.
MOST_EVENTS = 1 << 40


class RefoldedAgain:
    """Gives swapped states to a replica, each folded again first.

    Args:
        log: The topics.
        partition: The partition number.
        signing: The key of anchors; None takes what the re-fold leads to.

    Attributes:
        findings: What differs.
        notes: What could not be folded again.
        made: How many were.
    """

    def __init__(self, log: Log, partition: int, signing: SigningKey | None) -> None:
        self.findings: list[Finding] = []
        self.notes: list[str] = []
        self.made = 0
        self._known: dict[ModelKey, dict[int, Edit]] = {}
        self._log = log
        self._partition = partition
        anchors = None if signing is None else Anchors(log, partition, signing)
        self._bases = Bases(log, partition, anchors, MOST_EVENTS)
        self._anchored = None if signing is None else Anchored(log, partition, signing)

    def take(self) -> list[Finding]:
        """Return what was found since the last time."""
        found, self.findings = self.findings, []
        return found

    def __call__(self, fold: Fold, swap: Swap, entry: Entry) -> Generator[None, None, ModelState]:
        """Return a swapped state; see `Swaps`."""
        again, why = yield from self._fold_again(fold, swap, entry)
        recorded: ModelState | None = None
        if self._anchored is not None:
            try:
                recorded = yield from self._anchored(fold, swap, entry)
            except (InvariantError, DependencyUnavailableError) as error:
                if again is None:
                    raise InvariantError(str(error)) from error
        if again is None and recorded is None:
            name = swap.key.encode().decode()
            msg = (
                f"{name} was swapped for its re-fold with ledger entry {entry.sequence}: it must "
                f"be folded again, or its anchor be verified with the signing key; {why}"
            )
            raise InvariantError(msg)
        if again is None:
            assert recorded is not None
            self.notes.append(_untested(swap, entry, why))
            return recorded
        self.made += 1
        self._compare(fold, swap, entry, (again, recorded))
        return again if recorded is None else recorded

    def _fold_again(
        self, fold: Fold, swap: Swap, entry: Entry
    ) -> Generator[None, None, tuple[ModelState | None, str]]:
        tracked = fold.fleet.get(swap.key)
        assert tracked is not None
        decided = tracked.state.decided
        covered = [each for each in decided.pending if each.offset in swap.offsets]
        is_heir = fold.plans[swap.key.stream].starts_from_type
        ask = Ask.of(tracked, covered, is_heir=is_heir)
        if self._anchored is None:
            # At nothing, where it has to begin, also those in force count that were let go since.
            known = self._known.setdefault(swap.key, {})
            known |= {each.offset: each for each in decided.edits}
            ask = replace(ask, asked=(*known.values(), *covered), floor=-1)
            known |= {each.offset: in_force(each, entry.sequence) for each in covered}
        refolding = Refolding(
            self._log,
            self._partition,
            [ask],
            bases=self._bases,
            terms=fold.terms,
            live=Live(swap.key.asset.encode(), entry.sequence - 1),
            most=MOST_EVENTS,
        )
        try:
            result = yield from refolding.run()
        except InvariantError as error:
            # What lies further back than the span is no finding of this audit.
            return None, str(error)
        failed = result.failed.get(swap.key)
        return result.states.get(swap.key), "" if failed is None else failed.words

    def _compare(
        self,
        fold: Fold,
        swap: Swap,
        entry: Entry,
        states: tuple[ModelState, ModelState | None],
    ) -> None:
        """Hold lineage and answers of a swapped state against those of the re-fold."""
        again, recorded = states
        name = swap.key.encode().decode()
        if again.lineage != swap.lineage:
            must = f"{name} must go on as the re-fold of the recorded order, to {_short(again)}"
            self._find(entry, must, f"the swap led to {swap.lineage.hex()[:16]}")
            return
        tracked, plan = fold.fleet.get(swap.key), fold.plans[swap.key.stream]
        if recorded is None or tracked is None or not is_ours(entry):
            return
        recorded.refinement.attach(tracked.blueprint.repeats, tracked.blueprint.region)
        # Where the asset's last cases are not kept, the re-fold has kept its own.
        for x in tracked.state.recent.cases or again.recent.cases:
            if plan.ask(again, x).answer != plan.ask(recorded, x).answer:
                must = f"{name} must answer the asset's last cases as the re-fold does"
                found = f"the state in {ANCHORS} answers {x} otherwise, under the same lineage"
                self._find(entry, must, found)
                return
        theirs, ours = _beside(recorded, plan), _beside(again, plan)
        for part in [part for part in ours if ours[part] != theirs[part]]:
            must = f"{name} must go on with the {part} of the re-fold"
            self._find(entry, must, f"the state in {ANCHORS} has others, under the same lineage")

    def _find(self, entry: Entry, must: str, found: str) -> None:
        place = Place(LEDGER, self._partition, None, None)
        self.findings.append(Finding(Kind.SWAP_DIFFERS, place, entry.sequence, must, found))


def _beside(state: ModelState, plan: StreamPlan) -> dict[str, object]:
    """Return what a re-fold leads to beside the pipeline, each part as comparable values."""
    decided = replace(state.decided, pending=(), edits=(), floor=-1)
    sums = None if plan.judges or state.metrics is None else state.metrics.dump()
    parts = {
        "regions and naive answers": state.refinement.dump(),
        "metrics": sums,
        "vetoes, freeze and holds": decided.dump(),
    }
    return {part: _plain(value) for part, value in parts.items()}


def _plain(value: object) -> object:
    """Return plain values such that equal ones are equal: lists as tuples, numbers as text."""
    if isinstance(value, list | tuple):
        return tuple(_plain(each) for each in value)
    if isinstance(value, dict):
        return tuple((_plain(key), _plain(each)) for key, each in value.items())
    return repr(value)


def _short(state: ModelState) -> str:
    return f"lineage {state.lineage.hex()[:16]}"


def _untested(swap: Swap, entry: Entry, why: str) -> str:
    name = swap.key.encode().decode()
    return (
        f"{name} was swapped for its re-fold with ledger entry {entry.sequence}, which could not "
        f"be made again: its signed anchor was taken ({why})"
    )

"""The explainer's task: the ledger of one partition, followed and explained."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidemill.contracts.topics import EXPLAINER_SNAPSHOTS, EXPLANATIONS, IMPORTANCES, LEDGER
from tidemill.fold.arithmetic import arithmetic_digest, code_digest
from tidemill.fold.idle import IdleModels
from tidemill.kernel.processor import Opened
from tidemill.kernel.reports import Report
from tidemill.processors.explainer.mirror import Mirror
from tidemill.processors.explainer.restoring import restore

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence

    from tidemill.fold.books import Policy
    from tidemill.fold.snapshots import SigningKey
    from tidemill.fold.terms import Terms
    from tidemill.kernel.processor import Log
    from tidemill.kernel.records import Emit, Message
    from tidemill.kernel.reports import Refused

PROCESSOR = "explainer"
INPUTS = (LEDGER,)


class Explainer:
    """One partition of the explainer.

    Attributes:
        refused: Saved states that were not accepted when the task was opened.
        refolded: Records that opening it folded again.
    """

    def __init__(
        self, mirror: Mirror, *, refused: tuple[Refused, ...] = (), refolded: int = 0
    ) -> None:
        self.mirror = mirror
        self.refused = refused
        self.refolded = refolded

    def process_batch(self, records: Sequence[Message]) -> list[Emit]:
        """Follow ledger entries in order; see `tidemill.kernel.processor.Processor`."""
        return self.mirror.follow(records)

    def seal(self, positions: Mapping[str, int]) -> list[Emit]:
        """Return what is saved with the transaction."""
        return self.mirror.save(positions)

    def report(self) -> Report:
        """Return what was done and what is held; see `tidemill.kernel.reports.Reporting`."""
        fold = self.mirror.replica.fold
        return Report(
            models=0 if fold is None else len(fold.fleet),
            at_budget=0 if fold is None else fold.fleet.frozen,
            explained=dict(self.mirror.explained),
            refused=self.refused,
            refolded=self.refolded,
            code=code_digest(),
            arithmetic=arithmetic_digest(),
        )


def all_live(_: int) -> IdleModels:
    """Return where models go that are not needed: nowhere, all stay in memory."""
    return IdleModels()


class ExplainerFactory:
    """Opens the explainer's partitions.

    Args:
        terms: Definition and schemas at hand; those in force are the ledger's.
        signing: Signs and verifies saved states.
        policy: How often state is saved.
        from_end: Whether a partition never explained starts at its end.
        idle: Returns where the models of a partition go that are not needed for now; empty.
        breathe: Called after each explanation, so that a slow model does not look like a halt.
    """

    name = PROCESSOR
    inputs: tuple[str, ...] = INPUTS
    outputs: tuple[str, ...] = (EXPLANATIONS, IMPORTANCES, EXPLAINER_SNAPSHOTS)

    def __init__(
        self,
        terms: Terms,
        signing: SigningKey,
        policy: Policy,
        *,
        from_end: bool = False,
        idle: Callable[[int], IdleModels] = all_live,
        breathe: Callable[[], None] | None = None,
    ) -> None:
        self._breathe = breathe
        self._terms = terms
        self._signing = signing
        self._policy = policy
        self._from_end = from_end
        self._idle = idle

    def open(
        self, partition: int, committed: Mapping[str, int | None], log: Log
    ) -> Generator[None, None, Opened]:
        """Rebuild one partition; see `tidemill.kernel.processor.TaskFactory`."""
        terms, signing, idle = self._terms, self._signing, self._idle(partition)
        mirror = Mirror(
            log,
            partition,
            idle,
            signing=signing,
            policy=self._policy,
            breathe=self._breathe,
        )
        restored = yield from restore(
            mirror,
            committed.get(LEDGER),
            terms=terms,
            signing=signing,
            from_end=self._from_end,
            states=idle.store,
        )
        task = Explainer(restored.mirror, refused=restored.refused, refolded=restored.refolded)
        return Opened(task, {LEDGER: restored.offset}, restored.first_emits)

    def write_smaller(self) -> None:
        """Halve the chunks of saved states; a large model never stops the explanations."""
        self._policy = self._policy.smaller()

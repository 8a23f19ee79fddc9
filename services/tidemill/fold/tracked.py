"""A model that is in memory, and all models of one asset."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tidemill.contracts.prediction import Said, text
from tidemill.models.state import splits, tree_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from tidemill.attribution.explaining import Explainer
    from tidemill.fold.senses import Case
    from tidemill.models.outputs import Answer
    from tidemill.models.recent import Recent
    from tidemill.models.refining import Stored
    from tidemill.models.state import Blueprint, ModelKey, ModelState


@dataclass(slots=True)
class Tracked:
    """One model and where its state stands.

    Attributes:
        since: Ledger sequence that the state was restored at; entries up to it are in it already.
        name: The model's name as a prediction writes it.
        tree: The predictor if it is a tree, which changes its shape by itself.
        chunks: Records that its last snapshot took.
        mark: What it counts in `Fleet.standing`.
        is_stored: Whether the store of idle models holds this very state.
        explainer: Takes its answers apart, once that was asked for.
    full: Of a re-fold, the updates that found no room for another correction; None of a fold that
        lives, where the controls say whether there is.
        is_new: Whether it has learned nothing of its own yet.
        is_heir: Whether it starts from what others had seen: no re-fold may have to start it.
    """

    key: ModelKey
    state: ModelState
    blueprint: Blueprint
    since: int = -1
    name: bytes = b""
    tree: Any = None  # River carries no types
    chunks: int = 1
    mark: int = 0
    is_stored: bool = False
    is_new: bool = False
    is_heir: bool = False
    explainer: Explainer | None = None
    full: frozenset[int] | None = None

    def __post_init__(self) -> None:
        self.name = text(self.key.model)
        self.become(self.state)

    @property
    def told(self) -> Callable[[dict[str, Any]], None] | None:  # Any: numbers and strings
        """Who must know of every case that it learns."""
        return None if self.explainer is None else self.explainer.learned

    def become(self, state: ModelState) -> None:
        """Take another state."""
        self.state, self.explainer = state, None
        self.tree = tree_of(state.pipeline)
        self.adopt(self.blueprint)

    def adopt(self, blueprint: Blueprint) -> None:
        """Go on under an equal blueprint, as its terms say."""
        self.blueprint = blueprint
        self.state.refinement.attach(blueprint.repeats, blueprint.region)

    def is_sound(self, answer: Answer) -> bool:
        """Return whether it may learn: within its budget, and not diverged to no finite number."""
        diverged = answer.value is None and answer.probabilities is None
        return not self.state.is_frozen and not diverged

    def has_room(self, offset: int) -> bool:
        """Return whether an update finds room for the correction that it asks for.

        If need be, corrections in force are let go that no re-fold can need any more.
        """
        if self.full is not None:
            return offset not in self.full
        state = self.state
        if state.decided.is_full:
            state.controls = state.decided.within_reach(state.recent.count)
        return not state.decided.is_full

    def must_not_learn(self, case: Case, time_us: int) -> bool:
        """Return whether a case, or the event that brought its label, lies in a hold."""
        state, waited = self.state, case.waited
        return state.is_held(time_us) or (waited is not None and state.is_held(waited.time_us))

    @property
    def structure(self) -> int:
        """How often the model changed its shape: breaks, and a tree's leaves beyond one."""
        tree = self.tree
        return self.state.structure if tree is None else self.state.structure + splits(tree)


@dataclass(slots=True)
class AssetModels:
    """All models of one asset of one stream, champion first.

    Attributes:
        about: The asset as its predictions write it.
        key: The asset as a Kafka key.
        since: Newest ledger sequence that one of the models was restored at.
        recent: The recent past that all models share; None until they are known to stand alike.
        young: Those that have learned nothing yet, where such follow the stream's own models.
    """

    about: bytes
    key: bytes
    models: list[Tracked]
    since: int
    recent: Recent | None = None
    young: tuple[Tracked, ...] = ()

    def align(self) -> Recent:
        """Let all models share one recent past: the champion's, or what a new champion finds.

        Models that stand alike have the same one; a new one has seen nothing yet.
        """
        recent = max((tracked.state.recent for tracked in self.models), key=lambda r: r.count)
        for tracked in self.models:
            tracked.is_heir = tracked.is_heir or tracked.state.recent.count < recent.count
            tracked.state.recent = recent
        self.recent = recent
        return recent


def said(tracked: Tracked, stored: Stored) -> Said:
    """Return what a model says now as a prediction has it."""
    state = tracked.state
    (value, probabilities, outcome), region, _ = stored
    model = (tracked.name, state.version, state.lineage)
    return Said(*model, value, probabilities or None, outcome, *region)

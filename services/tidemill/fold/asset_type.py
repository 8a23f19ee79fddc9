"""The asset type of a stream: models that learn from all its assets, and that new ones start as."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from tidemill.contracts.stream import ASSET_TYPE
from tidemill.models.pickles import dump_state, load_state
from tidemill.models.state import origin_of

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from tidemill.fold.fleet import Fleet
    from tidemill.fold.instructions import Instruction
    from tidemill.fold.past import Floor
    from tidemill.fold.plans import StreamPlan
    from tidemill.fold.seen import Seen
    from tidemill.fold.senses import Case
    from tidemill.fold.tracked import AssetModels, Tracked


def follow(fleet: Fleet, models: AssetModels) -> None:
    """Let models of an asset that have learned nothing be as those of its type are now.

    They start for good with the entry in which they first learn; that one saves them.
    """
    models.young = tuple(tracked for tracked in models.young if tracked.is_new)
    for tracked in models.young:
        tracked.is_heir = True
        of_type = fleet.get(tracked.key._replace(asset=ASSET_TYPE))
        if of_type is not None and not of_type.is_new:
            inherit(tracked, of_type, fleet.past.floor(*tracked.key))


def inherit(tracked: Tracked, of_type: Tracked, floor: Floor) -> None:
    """Let a model that has learned nothing be a copy of its type's, unless it is one already.

    Its lineage names both: what it is, and what it starts as. What it saw is its own; no cause was
    applied to its type.
    """
    theirs = of_type.state
    origin = origin_of(tracked.key, tracked.blueprint)
    lineage = hashlib.sha256(origin + theirs.lineage).digest()
    if (tracked.state.lineage, tracked.state.at_budget) == (lineage, theirs.at_budget):
        return
    state = load_state(dump_state(theirs))
    state.lineage, state.recent = lineage, tracked.state.recent
    state.version = max(floor.version, state.version)
    state.structure = max(floor.structure, state.structure)
    state.anchored = None
    tracked.become(state)


def learn_cases(
    models: Sequence[Tracked], own: Sequence[Tracked], seen: Seen, cases: Sequence[Case]
) -> list[Tracked]:
    """Let a type's models learn what an event taught an asset; return those that changed.

    What one of the asset's own models is held from, that of its type is held from too. A frozen
    model does not learn, but its type does: the event is right.
    """
    plan, event, value, changed = seen.plan, seen.event, seen.message.value, []
    assert value is not None
    by_name = {each.key.model: each for each in own}
    for tracked in models:
        mine = by_name[tracked.key.model]
        allowed = [case for case in cases if not mine.must_not_learn(case, event.time_us)]
        if allowed and _learn(tracked, plan, allowed, value):
            changed.append(tracked)
    return changed


def _learn(tracked: Tracked, plan: StreamPlan, cases: Sequence[Case], value: bytes) -> bool:
    answers = [plan.ask(tracked.state, case.x) for case in cases]
    if not all(tracked.is_sound(said.answer) for said in answers):
        return False
    for case, said in zip(cases, answers, strict=True):
        plan.teach(tracked.state, case, case.stored if plan.senses.looks_ahead else said)
        tracked.state.advance(value)
    return True


def learn_example(
    models: Sequence[Tracked], names: Collection[str], example: Instruction, value: bytes
) -> list[Tracked]:
    """Let a type's models learn the example that an asset's of these names applied; return them."""
    changed = [tracked for tracked in models if tracked.key.model in names]
    plan, case = example.plan, example.case
    assert case is not None
    for tracked in changed:
        state = tracked.state
        if tracked.is_sound(plan.ask(state, case.x).answer):
            is_asked = example.stored_model == tracked.key.model
            plan.teach(state, case, case.stored if is_asked else None)
        state.advance(value)
    return changed

"""What is watched of an asset as bytes, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidemill.detection import asset_state
from tidemill.detection.signals import Signals
from tidemill.kernel.errors import InvariantError
from tidemill.processors.drift.holding import Allowance, Clock
from tidemill.processors.drift.marks import Marks
from tidemill.processors.drift.packing import packed, unpacked
from tidemill.processors.drift.plans import Kind
from tidemill.processors.drift.question import Question
from tidemill.processors.drift.watched import Watched

if TYPE_CHECKING:
    from tidemill.processors.drift.plans import Plan


def saved(watched: Watched) -> bytes:
    """Return all that is known of an asset; equal for equal pasts."""
    question, check = watched.question, watched.check
    return packed(
        {
            "version": watched.version,
            "lineage": watched.lineage,
            "clock": [watched.clock.reached_us, watched.clock.newest_us],
            "allowance": [watched.allowance.events, watched.allowance.held],
            "ids": list(watched.ids),
            "marks": watched.marks.dump(),
            "structure": watched.structure,
            "question": None if question is None else question.dump(),
            "unknown": watched.unknown,
            "afresh": watched.afresh,
            "signals": {kind.value: each.state() for kind, each in watched.signals.items()},
            "check": None if check is None else asset_state.dump(check),
            "standing": list(watched.episodes.standing.items()),
        }
    )


def restored(plan: Plan, asset: str, partition: int, state: bytes) -> Watched:
    """Return what `saved` was given.

    Raises:
        InvariantError: The bytes are not those of such an asset.
    """
    watched = Watched(plan, asset, partition)
    found = unpacked(state)
    try:
        watched.version, watched.lineage = found["version"], found["lineage"]
        watched.clock = Clock(*found["clock"])
        watched.allowance = Allowance(*found["allowance"])
        watched.ids = dict.fromkeys(found["ids"])
        watched.marks = Marks.load(found["marks"])
        watched.structure, watched.unknown = found["structure"], found["unknown"]
        watched.afresh = found["afresh"]
        question = found["question"]
        watched.question = None if question is None else Question(**question)
        signals = found["signals"].items()
        watched.signals = {Kind(kind): Signals.from_state(each) for kind, each in signals}
        if plan.asset is not None:
            watched.check = asset_state.load(plan.asset, found["check"])
        watched.episodes.standing = dict(found["standing"])
    except (ValueError, TypeError, KeyError) as error:
        msg = f"the saved state of asset {asset!r} must be one of drift, was not: {error!r}"
        raise InvariantError(msg) from error
    return watched

"""From the newest predictions to the cases that people are asked for."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from tidemill.contracts.targets import LabelTarget
from tidemill.fold.asking.drawing import Candidate, draw
from tidemill.fold.asking.scores import Scorer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tidemill.contracts.definition import PlantDefinition
    from tidemill.contracts.targets import ModelKind
    from tidemill.fold.asking.drawing import Plan, Reason
    from tidemill.fold.asking.known import Known
    from tidemill.fold.asking.recent import Case


class Offer(NamedTuple):
    """A case that people are asked for.

    Attributes:
        score: How much its label would teach, from 0 to 1.
        selection: The probability with which it was chosen.
        reason: Which draw chose it.
    """

    case: Case
    score: float
    selection: float
    reason: Reason


@dataclass(frozen=True, slots=True)
class Offers:
    """What is asked, and out of how many open cases of how many assets."""

    offers: tuple[Offer, ...]
    open: int
    assets: int


@dataclass(frozen=True, slots=True)
class Streams:
    """The streams whose labels only people bring.

    Attributes:
        kinds: What the models of each do.
        timed: Those whose labels name their event by its time.
    """

    kinds: Mapping[str, ModelKind]
    timed: frozenset[str]


def asked_streams(definition: PlantDefinition) -> Streams:
    """Return the streams with labels from elsewhere; without a target nothing learns one."""
    labels = [(s, s.target) for s in definition.streams if isinstance(s.target, LabelTarget)]
    streams = [stream for stream, _ in labels]
    timed = (stream for stream, target in labels if target.join)
    return Streams({s.name: s.kind for s in streams}, frozenset(s.name for s in timed))


def offer(cases: Sequence[Case], known: Known, streams: Streams, plan: Plan) -> Offers:
    """Return the cases to ask, in an order that says nothing of them.

    So whoever answers only the first few has drawn at random once more, and estimates that weigh
    each answer by 1 / selection stay right but for one common factor.
    """
    ours = [case for case in cases if case.stream in streams.kinds]
    unlabelled = known.unlabelled(ours, streams.kinds, streams.timed)
    waiting = sorted((case for case in unlabelled if case.is_learnable), key=_place)
    scorer = Scorer(ours, streams.kinds)
    candidates = [Candidate(str(case.source), case.asset, scorer.score(case)) for case in waiting]
    offers = [
        Offer(waiting[n], candidates[n].score, probability, reason)
        for n, probability, reason in draw(candidates, plan)
    ]
    shuffled = sorted(offers, key=lambda each: _lot(each.case, plan.seed))
    return Offers(tuple(shuffled), len(waiting), len({case.asset for case in waiting}))


def _place(case: Case) -> tuple[object, ...]:
    return (case.asset, case.stream, case.time_us, case.source)


def _lot(case: Case, seed: int) -> bytes:
    return hashlib.sha256(f"{seed} order {case.source}".encode()).digest()

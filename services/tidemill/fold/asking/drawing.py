"""Drawing cases at random, each with a known probability.

Two draws that know nothing of each other. The audit takes every case with the same probability.
The other takes a case with a probability in proportion to its score, no asset more than its
share. A case is asked if either takes it, so with probability 1 - (1 - audit) * (1 - other).

Source: Madow (1949), On the theory of systematic sampling II, Annals of Mathematical Statistics
20:333-354 (one random start, steps of 1 along the cumulated probabilities: exact probabilities, a
fixed number of cases); Beygelzimer, Dasgupta & Langford (2009), Importance Weighted Active
Learning, ICML (a probability that follows how much a label would teach, bounded away from 0).
"""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

Reason = Literal["score", "audit"]

# An asset is asked for at most so many times what an even share over all assets would be.
OF_EVEN_SHARE = 2


class Candidate(NamedTuple):
    """One case that may be asked.

    Attributes:
        name: Tells it from all others; decides with the seed where draws start.
        asset: Among which the draws are spread.
        score: How much its label would teach, finite, from 0.
    """

    name: str
    asset: str
    score: float


class Drawn(NamedTuple):
    """A case that was drawn, by its place among the candidates.

    Attributes:
        probability: Of being asked, by either draw.
        reason: The draw that took it; `audit` where both did.
    """

    place: int
    probability: float
    reason: Reason


@dataclass(frozen=True, slots=True)
class Plan:
    """How many cases to ask.

    Attributes:
        count: Cases, from 1; a case that both draws take counts for two.
        audit: Share of them that are taken whatever their score, in [0, 1].
        seed: Another seed, other cases.
    """

    count: int
    audit: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what is no plan.

        Raises:
            ValueError: With what must hold.
        """
        if self.count < 1 or not 0.0 <= self.audit <= 1.0:
            msg = f"count must be from 1 and audit in [0, 1], were {self.count} and {self.audit}"
            raise ValueError(msg)


def draw(candidates: Sequence[Candidate], plan: Plan) -> list[Drawn]:
    """Return the cases to ask, in the order of the candidates.

    The order matters: no two neighbours of little probability are taken together. Sorted by
    asset and time, a draw is spread over both.
    """
    audits, scores = audit_probabilities(candidates, plan), score_probabilities(candidates, plan)
    by_audit = _systematic(audits, _start(candidates, plan, "audit"))
    by_score = _systematic(scores, _start(candidates, plan, "score"))
    return [
        Drawn(
            place, either(audits[place], scores[place]), "audit" if place in by_audit else "score"
        )
        for place in sorted(by_audit | by_score)
    ]


def either(one: float, other: float) -> float:
    """Return the probability that at least one of two independent draws takes a case."""
    low, high = sorted((one, other))
    return high + low * (1.0 - high)


def audit_probabilities(candidates: Sequence[Candidate], plan: Plan) -> list[float]:
    """Return the probability of each case in the audit: the same for all."""
    if not candidates:
        return []
    return [min(1.0, plan.audit * plan.count / len(candidates))] * len(candidates)


def score_probabilities(candidates: Sequence[Candidate], plan: Plan) -> list[float]:
    """Return the probability of each case in the draw by score.

    Assets share the draw in proportion to the sums of their scores, at most `OF_EVEN_SHARE` times
    an even share each; the cases of an asset share its part in proportion to their scores.
    """
    cases: defaultdict[str, list[int]] = defaultdict(list)
    for place, candidate in enumerate(candidates):
        cases[candidate.asset].append(place)
    wanted = plan.count * (1.0 - plan.audit)
    most = math.ceil(OF_EVEN_SHARE * wanted / len(cases)) if cases else 0
    sums = [math.fsum(candidates[n].score for n in places) for places in cases.values()]
    taught = [sum(candidates[n].score > 0.0 for n in places) for places in cases.values()]
    parts = share_out(wanted, sums, [float(min(most, count)) for count in taught])
    found = [0.0] * len(candidates)
    for places, part in zip(cases.values(), parts, strict=True):
        weights = [candidates[n].score for n in places]
        for place, share in zip(
            places, share_out(part, weights, [1.0] * len(weights)), strict=True
        ):
            found[place] = share
    return found


def share_out(total: float, weights: Sequence[float], caps: Sequence[float]) -> list[float]:
    """Return min(cap, c * weight) for each, with c such that they sum to `total`.

    Where the caps of all with a weight sum to less, they are the answer.

    Args:
        total: From 0.
        weights: Finite, from 0; nothing goes to a weight of 0.
        caps: Finite, from 0.
    """
    found = [0.0] * len(weights)
    order = sorted(
        (n for n in range(len(weights)) if weights[n]), key=lambda n: caps[n] / weights[n]
    )
    behind = list(accumulate((weights[n] for n in reversed(order)), initial=0.0))[:0:-1]
    for place, n in enumerate(order):
        part = total * (weights[n] / behind[place])
        found[n] = min(caps[n], part)
        total = max(0.0, total - found[n])
    return found


def _systematic(probabilities: Sequence[float], start: float) -> set[int]:
    """Return the places whose stretch of the cumulated probabilities holds start, start + 1, ..."""
    ends = accumulate(probabilities, initial=-start)
    steps = pairwise(math.ceil(end) for end in ends)
    return {place for place, (before, after) in enumerate(steps) if after > before}


def _start(candidates: Sequence[Candidate], plan: Plan, reason: Reason) -> float:
    """Return a number in [0, 1) that seed and candidates decide."""
    digest = hashlib.sha256(f"{plan.seed} {plan.count} {plan.audit} {reason}".encode())
    for candidate in candidates:
        digest.update(b"\n" + candidate.name.encode())
    return (int.from_bytes(digest.digest()[:8]) >> 11) / (1 << 53)

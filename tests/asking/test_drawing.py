"""Draws with known probabilities, held to a brute-force oracle and to how often cases are drawn."""

from __future__ import annotations

import math
import random
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidemill.fold.asking.drawing import (
    OF_EVEN_SHARE,
    Candidate,
    Plan,
    audit_probabilities,
    draw,
    either,
    score_probabilities,
    share_out,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

scores = st.floats(0.0, 1.0, allow_subnormal=False).map(lambda s: 0.0 if s < 1e-6 else s)
plans = st.builds(Plan, st.integers(1, 40), st.floats(0.0, 1.0), st.integers(0, 1 << 31))


@st.composite
def candidates(make: st.DrawFn) -> list[Candidate]:
    """Cases in order of asset."""
    assets = make(st.lists(st.lists(scores, min_size=1, max_size=12), max_size=6))
    return [
        Candidate(f"{asset}@{n}", f"a{asset}", score)
        for asset, own in enumerate(assets)
        for n, score in enumerate(own)
    ]


def solved(total: float, weights: Sequence[float], caps: Sequence[float]) -> list[float]:
    """Return what `share_out` says, by halving the interval in which the factor lies."""

    def shares(factor: float) -> list[float]:
        return [min(c, factor * w) for w, c in zip(weights, caps, strict=True)]

    low, high = 0.0, 1e12
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if sum(shares(middle)) < total else (low, middle)
    return shares(high)


def uneven() -> list[Candidate]:
    """Return 60 cases of three assets, a few of them of much greater score."""
    chance = random.Random(5)
    found = []
    for n in range(60):
        score = 0.9 if n % 10 == 0 else 0.3 * chance.random()
        found.append(Candidate(f"c{n}", "abc"[n // 40 + n // 50], score))
    return found


def count_of(what: Callable[[int], list[str]], seeds: int) -> Counter[str]:
    return Counter(name for seed in range(seeds) for name in what(seed))


@given(
    st.floats(0.0, 50.0),
    st.lists(st.tuples(scores, st.floats(0.0, 5.0)), max_size=20),
)
def test_parts_are_in_proportion_to_weights_up_to_their_caps(
    total: float, parts: list[tuple[float, float]]
) -> None:
    weights, caps = [w for w, _ in parts], [c for _, c in parts]

    assert share_out(total, weights, caps) == pytest.approx(
        solved(total, weights, caps), rel=1e-6, abs=1e-6
    )


@given(candidates(), plans)
def test_probabilities_are_those_of_the_oracle(cases: list[Candidate], plan: Plan) -> None:
    wanted = plan.count * (1 - plan.audit)
    assets = sorted({case.asset for case in cases})
    own = {asset: [case.score for case in cases if case.asset == asset] for asset in assets}
    caps = [
        float(min(math.ceil(OF_EVEN_SHARE * wanted / len(assets)), sum(s > 0 for s in own[asset])))
        for asset in assets
    ]
    parts = solved(wanted, [math.fsum(own[asset]) for asset in assets], caps)
    expected = [
        probability
        for asset, part in zip(assets, parts, strict=True)
        for probability in solved(part, own[asset], [1.0] * len(own[asset]))
    ]

    assert score_probabilities(cases, plan) == pytest.approx(expected, rel=1e-4, abs=1e-4)
    floor = min(1.0, plan.audit * plan.count / len(cases)) if cases else 0.0
    assert audit_probabilities(cases, plan) == [floor] * len(cases)


@given(candidates(), plans)
def test_no_asset_has_more_than_its_share_and_no_case_is_drawn_without_a_chance(
    cases: list[Candidate], plan: Plan
) -> None:
    by_score, floor = score_probabilities(cases, plan), audit_probabilities(cases, plan)
    drawn = draw(cases, plan)
    of_asset = Counter(cases[each.place].asset for each in drawn if each.reason == "score")
    even = plan.count * (1 - plan.audit) / max(1, len({case.asset for case in cases}))

    assert all(count <= math.ceil(OF_EVEN_SHARE * even) for count in of_asset.values())
    assert len(drawn) <= math.ceil(sum(by_score) - 1e-9) + math.ceil(sum(floor) - 1e-9) + 1
    assert [each.place for each in drawn] == sorted({each.place for each in drawn})
    for each in drawn:
        assert each.probability == either(floor[each.place], by_score[each.place]) > 0.0


def test_cases_are_drawn_as_often_as_their_probabilities_say() -> None:
    cases, seeds = uneven(), 6000
    chances = [
        either(a, s)
        for a, s in zip(
            audit_probabilities(cases, Plan(12)), score_probabilities(cases, Plan(12)), strict=True
        )
    ]
    drawn = count_of(
        lambda seed: [cases[each.place].name for each in draw(cases, Plan(12, seed=seed))], seeds
    )

    assert sum(chances) == pytest.approx(12, abs=0.5)
    assert max(chances) > 10 * min(chances)
    for case, chance in zip(cases, chances, strict=True):
        spread = math.sqrt(seeds * chance * (1 - chance))
        assert abs(drawn[case.name] - seeds * chance) < 5 * spread + 1, case


def test_the_audit_draws_all_cases_equally_often() -> None:
    cases, seeds = uneven(), 6000
    drawn = count_of(
        lambda seed: [
            cases[each.place].name
            for each in draw(cases, Plan(12, audit=0.25, seed=seed))
            if each.reason == "audit"
        ],
        seeds,
    )
    chance = 3 / 60

    spread = math.sqrt(seeds * chance * (1 - chance))
    assert all(abs(drawn[case.name] - seeds * chance) < 5 * spread for case in cases)


def test_answers_weighed_by_their_probabilities_estimate_the_whole() -> None:
    cases, seeds = uneven(), 3000
    wrong = [case.score > 0.25 for case in cases]
    estimates, plain = [], []
    for seed in range(seeds):
        drawn = draw(cases, Plan(12, seed=seed))
        estimates.append(sum(wrong[each.place] / each.probability for each in drawn) / len(cases))
        plain.append(sum(wrong[each.place] for each in drawn) / len(drawn))
    truth = sum(wrong) / len(wrong)

    assert sum(estimates) / seeds == pytest.approx(truth, abs=0.02)
    assert sum(plain) / seeds > truth + 0.1


def test_equal_cases_and_seed_give_equal_draws_and_others_do_not() -> None:
    cases = uneven()
    first = draw(cases, Plan(12, seed=3))

    assert draw(cases, Plan(12, seed=3)) == first
    assert [each.place for each in draw(cases, Plan(12, seed=4))] != [each.place for each in first]
    renamed = [case._replace(name=f"{case.name}'") for case in cases]
    assert draw(renamed, Plan(12, seed=3)) != first


def test_where_there_are_few_cases_all_are_asked() -> None:
    cases = [Candidate(f"c{n}", "a", 0.5) for n in range(5)]

    drawn = draw(cases, Plan(20))

    assert [each.place for each in drawn] == [0, 1, 2, 3, 4]
    assert {each.probability for each in drawn} == {1.0}
    assert draw([], Plan(20)) == []


@settings(max_examples=30)
@given(st.integers(0, 1000))
def test_what_would_teach_nothing_is_asked_by_the_audit_only(seed: int) -> None:
    cases = [Candidate(f"c{n}", f"a{n % 2}", 0.0) for n in range(40)]
    cases.sort(key=lambda case: case.asset)

    drawn = draw(cases, Plan(20, audit=0.5, seed=seed))

    assert {each.reason for each in drawn} == {"audit"}
    assert {each.probability for each in drawn} == {0.25}


@pytest.mark.parametrize(("count", "audit"), [(0, 0.1), (5, -0.1), (5, 1.5), (5, math.nan)])
def test_what_is_no_plan_is_refused(count: int, audit: float) -> None:
    with pytest.raises(ValueError, match=r"count must be from 1 and audit in \[0, 1\], were"):
        Plan(count, audit)

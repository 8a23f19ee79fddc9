"""Means: with the bits of River's scaler, bounded, and the same after a restore."""

from __future__ import annotations

import pickle
import random
from typing import Any

import pytest

from attribution.oracle import built, cases
from tidemill.models.means import MOST_CATEGORIES, Means


def learned(rows: list[dict[str, Any]]) -> Means:
    means = Means()
    for x in rows:
        means.learn(x)
    return means


def rows(count: int) -> list[dict[str, Any]]:
    chance = random.Random(4)
    found = []
    for x, _ in cases(count):
        seen = {name: value for name, value in x.items() if chance.random() < 0.8}
        if chance.random() < 0.9:
            seen["recipe"] = chance.choice(["slow", "fast", "auto"])
        found.append(seen)
    return found


def test_means_have_the_bits_of_the_scaler() -> None:
    pipeline = built(["preprocessing.StandardScaler", "linear_model.LinearRegression"])
    means = Means()
    for x, y in cases(500):
        means.learn(x)
        pipeline.learn_one(x, y)
        assert means.numbers == dict(pipeline["StandardScaler"].means)


def test_what_is_missing_counts_for_nothing() -> None:
    means = learned([{"a": 1.0}, {"a": 3.0, "recipe": "slow"}, {"recipe": "fast"}])

    assert (means.n, means.numbers) == (3, {"a": 2.0})
    assert means.frequencies("recipe") == {"slow": 0.5, "fast": 0.5}
    assert ("a" in means, "recipe" in means, "b" in means) == (True, True, False)
    assert means.frequencies("b") == {}


def test_the_mean_case_has_the_most_frequent_category() -> None:
    seen = [{"recipe": recipe} for recipe in ("slow", "fast", "auto", "fast")]
    assert learned(seen).case() == {"recipe": "fast"}
    assert learned(seen[:2]).case() == {"recipe": "slow"}


@pytest.mark.parametrize("way", ["dump", "pickle"])
def test_what_is_restored_goes_on_as_what_was_saved(way: str) -> None:
    whole = learned(rows(200))
    half = learned(rows(200)[:90])
    again = pickle.loads(pickle.dumps(half)) if way == "pickle" else Means.load(half.dump())
    for x in rows(200)[90:]:
        again.learn(x)
        half.learn(x)

    assert again.dump() == whole.dump() == half.dump()


def test_categories_are_bounded() -> None:
    means = learned([{"recipe": f"r{n}"} for n in range(2 * MOST_CATEGORIES)] + [{"recipe": "r1"}])

    shares = means.frequencies("recipe")
    assert len(shares) == MOST_CATEGORIES
    assert shares["r1"] == 2 / (2 * MOST_CATEGORIES + 1)
    assert means.case() == {"recipe": "r1"}

"""Class sets hold at least 90 % of the labels, and are no larger than that takes."""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING

import pytest

from models.streams import worst_share
from tidemill.models.class_sets import ClassSets
from tidemill.models.conformal import FEWEST

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Row = tuple[dict[str, float], str]


def rows(classes: int, spread: float, count: int = 10_100) -> Iterator[Row]:
    """Labels drawn from softmax scores; from the middle on what is said is overconfident."""
    rng = random.Random(f"{classes} {spread}")
    keys = [f"c{n}" for n in range(classes)]
    for n in range(count):
        scores = [rng.gauss(0, spread) for _ in keys]
        label = rng.choices(keys, [math.exp(score) for score in scores])[0]
        weights = [math.exp(score * (3 if n > count // 2 else 1)) for score in scores]
        yield {key: w / sum(weights) for key, w in zip(keys, weights, strict=True)}, label


def judged(sets: ClassSets, stream: Iterable[Row]) -> tuple[list[bool], list[int]]:
    """Return whether each set held its label, and how large it was."""
    held, sizes = [], []
    for probabilities, label in stream:
        stored = sets.class_set(probabilities)
        if stored is not None:
            held.append(label in stored)
            sizes.append(len(stored))
        sets.observe(probabilities, label, class_set=stored)
    return held, sizes


@pytest.mark.parametrize(("classes", "spread"), [(2, 0.5), (2, 2), (5, 0.5), (5, 2), (20, 2)])
def test_ninety_of_a_hundred_labels_are_in_the_sets(classes: int, spread: float) -> None:
    held, sizes = judged(ClassSets(), rows(classes, spread))
    assert len(held) == 10_000
    assert sum(held) / len(held) == pytest.approx(0.90, abs=0.01)
    assert worst_share(held) >= 0.85
    assert sum(sizes) / len(sizes) < classes * 0.85


@pytest.mark.parametrize("classes", [2, 5])
def test_a_model_that_is_mostly_right_names_one_class(classes: int) -> None:
    held, sizes = judged(ClassSets(), rows(classes, 30))
    assert sum(held) / len(held) > 0.95
    assert sum(sizes) / len(sizes) < 1.01


def test_years_of_being_right_do_not_delay_the_answer_to_a_break() -> None:
    rng = random.Random(6)

    def stream() -> Iterator[Row]:
        for n in range(30_000):
            said, label = rng.choice("ab"), rng.choice("ab")
            if rng.random() < (0.98 if n < 25_000 else 0.2):
                said = label
            p = 0.9 + 0.1 * rng.random()
            yield {said: p, "b" if said == "a" else "a": 1 - p}, label

    held, _ = judged(ClassSets(), stream())
    assert worst_share(held) >= 0.85


def test_the_set_is_in_order_of_likelihood_and_never_empty() -> None:
    sets = ClassSets()
    for _ in range(FEWEST):
        assert sets.class_set({"a": 1.0}) is None
        sets.observe({"a": 0.2, "b": 0.8}, "a", class_set=None)
    assert sets.class_set({"z": 0.3, "c": 0.45, "b": 0.2, "a": 0.05}) == ("c", "z", "b")
    assert sets.class_set({"c": 0.1, "b": 0.1}) == ("c",)
    assert sets.class_set({}) is None


def test_a_label_the_model_never_named_is_a_miss_and_widens_the_sets() -> None:
    sets = ClassSets()
    for _ in range(300):
        stored = sets.class_set({"a": 0.9, "b": 0.1})
        sets.observe({"a": 0.9, "b": 0.1}, "new", class_set=stored)
    assert sets.class_set({"a": 0.9, "b": 0.1}) == ("a", "b")
    level = sets.dump()[1]
    sets.observe({"a": 0.9, "b": 0.1}, "new", class_set=("a", "b"))
    assert sets.dump()[1] == level


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_what_names_no_class_or_is_not_finite_never_enters(bad: float) -> None:
    sets = ClassSets()
    before = sets.dump()
    sets.observe({}, "a", class_set=None)
    sets.observe({"a": bad, "b": 0.1}, "a", class_set=("a",))
    assert sets.dump() == before


def test_a_restore_changes_no_set() -> None:
    sets = ClassSets()
    judged(sets, rows(5, 2, count=777))
    again = ClassSets.load(sets.dump())
    assert judged(again, rows(5, 1, count=600)) == judged(sets, rows(5, 1, count=600))
    assert again.dump() == sets.dump()

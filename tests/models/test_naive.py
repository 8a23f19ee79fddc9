"""The floor a learner must beat."""

from __future__ import annotations

import math
import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidemill.models.naive import Frequencies, Persistence
from tidemill.models.outputs import MOST_CLASSES, NO_ANSWER


def test_persistence_says_the_last_number_and_nothing_before_the_first() -> None:
    naive = Persistence()
    assert naive.ask() is None
    naive.observe(3.0)
    naive.observe(2.0)
    assert naive.ask() == 2.0
    assert Persistence.load(naive.dump()).ask() == 2.0


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 1e51])
def test_persistence_passes_over_what_is_no_number(bad: float) -> None:
    naive = Persistence(4.0)
    naive.observe(bad)
    assert naive.ask() == 4.0


@settings(deadline=None)
@given(st.lists(st.sampled_from("abcd"), min_size=1))
def test_frequencies_are_those_of_all_labels(labels: list[str]) -> None:
    naive = Frequencies()
    for label in labels:
        naive.observe(label)
    value, probabilities, outcome = naive.ask()
    counts = Counter(labels)
    assert value is None
    assert probabilities == {key: count / len(labels) for key, count in counts.items()}
    assert counts[outcome or ""] == max(counts.values())


def test_of_classes_equally_frequent_the_first_to_be_so_is_said() -> None:
    naive = Frequencies()
    assert naive.ask() == NO_ANSWER
    said = []
    for label in "baabc":
        naive.observe(label)
        said.append(naive.ask().outcome)
    assert said == ["b", "b", "a", "a", "a"]


def test_labels_without_end_do_not_swell_the_state() -> None:
    naive = Frequencies()
    for n in range(3 * MOST_CLASSES):
        naive.observe(f"c{n}")
    naive.observe("c0")
    probabilities = naive.ask().probabilities or {}
    assert len(probabilities) == MOST_CLASSES
    assert probabilities["c0"] == 2 / (3 * MOST_CLASSES + 1)


@settings(deadline=None)
@given(st.integers(0, 40))
def test_a_restore_anywhere_changes_no_answer(cut: int) -> None:
    rng = random.Random(3)
    calm = Frequencies()
    taken = calm
    for n in range(60):
        if n == cut:
            taken = Frequencies.load(calm.dump())
        label = rng.choice("abcde")
        for one in {id(calm): calm, id(taken): taken}.values():
            one.observe(label)
        assert taken.ask() == calm.ask()
        assert list(taken.ask().probabilities or ()) == list(calm.ask().probabilities or ())
    assert taken.dump() == calm.dump()

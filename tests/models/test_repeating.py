"""Classes learned several times are said to be as likely as they are."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from river import forest, linear_model, preprocessing, tree

from models.streams import machines
from tidemill.models.outputs import NO_ANSWER, Answer, Binary, Multiclass
from tidemill.models.repeating import FURTHEST, RepeatCorrection, corrected

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

SHARES = st.lists(st.floats(1e-6, 1), min_size=2, max_size=6)

PIPELINES: dict[str, Callable[[], Any]] = {
    "logistic": lambda: preprocessing.StandardScaler() | linear_model.LogisticRegression(),
    "tree": lambda: tree.HoeffdingTreeClassifier(leaf_prediction="mc"),
    "forest": lambda: forest.ARFClassifier(n_models=5, seed=1, leaf_prediction="mc"),
}


def deviations(model: Any, repeats: Mapping[str, int], *, by_mode: bool) -> dict[str, float]:
    """Return mean probability minus base rate of each class over AI4I, test-then-train."""
    task = Multiclass() if by_mode else Binary("false", "true")
    correction = RepeatCorrection(repeats)
    excess: dict[str, float] = {}
    count = 0
    for machine in machines():
        y = machine.mode if by_mode else machine.failed
        key = machine.mode if by_mode else str(machine.failed).lower()
        said = correction.correct(task.ask(model, machine.x)).probabilities
        if said is not None:
            count += 1
            for name, p in said.items():
                excess[name] = excess.get(name, 0.0) + p
            excess[key] = excess.get(key, 0.0) - 1.0
            correction.observe(said, key)
        for _ in range(repeats.get(key, 1)):
            model.learn_one(machine.x, y)
    return {name: total / count for name, total in excess.items()}


@pytest.mark.parametrize("repeat", [5, 20])
@pytest.mark.parametrize("name", ["logistic", "tree"])
def test_rare_failures_are_as_likely_as_they_are_frequent(name: str, repeat: int) -> None:
    found = deviations(PIPELINES[name](), {"true": repeat}, by_mode=False)
    assert max(map(abs, found.values())) < 0.005


def test_a_forest_says_failures_as_likely_as_they_are_frequent() -> None:
    found = deviations(PIPELINES["forest"](), {"true": 10}, by_mode=False)
    assert max(map(abs, found.values())) < 0.005


def test_several_repeated_classes_are_each_as_likely_as_they_are_frequent() -> None:
    repeats = {"TWF": 10, "HDF": 5, "PWF": 5, "OSF": 5}
    found = deviations(PIPELINES["tree"](), repeats, by_mode=True)
    assert max(map(abs, found.values())) < 0.0055


def test_before_any_label_two_classes_are_corrected_by_the_closed_form() -> None:
    correction = RepeatCorrection({"true": 10})
    for p in (0.0, 0.038, 0.25, 0.9, 1.0):
        said = correction.correct(Answer(None, {"false": 1 - p, "true": p}, "false"))
        assert said.probabilities is not None
        assert said.probabilities["true"] == pytest.approx(p / (p + 10 * (1 - p)), abs=1e-15)


@settings(deadline=None)
@given(SHARES, st.lists(st.integers(1, 100), min_size=6, max_size=6))
def test_the_odds_of_copies_become_the_odds_of_examples(
    shares: list[float], repeats: list[int]
) -> None:
    """A model of plain frequencies that learned copies says what it would without."""
    keys = [f"c{n}" for n in range(len(shares))]
    times = dict(zip(keys, repeats, strict=False))
    copies = {key: share * times[key] for key, share in zip(keys, shares, strict=True)}
    seen = {key: copy / sum(copies.values()) for key, copy in copies.items()}
    found = corrected(seen, {key: 1 / count for key, count in times.items()})
    assert list(found.values()) == pytest.approx([share / sum(shares) for share in shares])


def test_the_likeliest_class_is_the_one_likeliest_after_the_correction() -> None:
    correction = RepeatCorrection({"true": 10})
    said = correction.correct(Answer(None, {"false": 0.3, "true": 0.7}, "true"))
    assert said.outcome == "false"
    tied = RepeatCorrection({"b": 2}).correct(Answer(None, {"a": 1 / 3, "b": 2 / 3}, "b"))
    assert tied.outcome == "b"


def test_what_has_no_probabilities_stays_as_it_is() -> None:
    correction = RepeatCorrection({"true": 10})
    assert correction.correct(NO_ANSWER) == NO_ANSWER
    none = Answer(None, {"false": 0.0, "true": 0.0}, "false")
    assert correction.correct(none) == none


def test_the_shift_of_a_class_and_the_number_of_shifts_are_bounded() -> None:
    correction = RepeatCorrection({"a": 3})
    for n in range(2_000):
        correction.observe({"a": 0.0, "b": 1.0, f"x{n}": 0.0}, "a")
    shifts = dict(correction.dump())
    assert shifts["a"] == FURTHEST
    assert shifts["b"] == -FURTHEST
    assert len(shifts) == 256


def test_late_labels_shift_less() -> None:
    soon, late = RepeatCorrection({}), RepeatCorrection({})
    soon.observe({"a": 0.5, "b": 0.5}, "a")
    late.observe({"a": 0.5, "b": 0.5}, "a", delay=300.0)
    assert dict(soon.dump())["a"] == pytest.approx(4 * dict(late.dump())["a"])


@settings(deadline=None)
@given(st.integers(0, 60))
def test_a_restore_anywhere_changes_no_probability(cut: int) -> None:
    rng = random.Random(2)
    calm = RepeatCorrection({"a": 4, "b": 2})
    taken = calm
    for n in range(70):
        if n == cut:
            taken = RepeatCorrection({"a": 4, "b": 2})
            taken.load(calm.dump())
        p = rng.random()
        answer = Answer(None, {"a": p, "b": (1 - p) / 2, "c": (1 - p) / 2}, "a")
        said, again = calm.correct(answer), taken.correct(answer)
        assert again == said
        assert said.probabilities is not None
        label = rng.choice("abc")
        for one in {id(calm): calm, id(taken): taken}.values():
            one.observe(said.probabilities, label)
    assert taken.dump() == calm.dump()

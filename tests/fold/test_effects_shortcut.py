"""A sensor that gives the answer away until it breaks: what a veto is worth, at a small size."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest

from tidemill.contracts.topics import EVENTS, UPDATES
from tidemill.fold.applying import Fold
from tidemill.kernel.records import Message
from tidemill.testing.plants import LOGISTIC, event_value, sample_terms, update_value

if TYPE_CHECKING:
    from tidemill.models.state import ModelState

ASSET = "north/1"
VETO_AT, BREAK_AT, END = 1_250, 2_500, 3_500
FOREST = [{"forest.ARFClassifier": {"n_models": 5, "leaf_prediction": "mc", "seed": 1}}]


def stream(seed: int) -> list[tuple[dict[str, float], bool]]:
    """Return cases: two sensors decide, a third repeats the answer 19 times in 20 until it breaks.

    The rule is y = s0 + .8 s1 > .9, 5 % flipped; the shortcut is y with probability .95, .5 after
    the break, plus N(0, .05).
    """
    chance, cases = random.Random(seed), []
    for number in range(END):
        s0, s1 = chance.random(), chance.random()
        y = (s0 + 0.8 * s1 > 0.9) != (chance.random() < 0.05)
        is_told = chance.random() < (0.95 if number < BREAK_AT else 0.5)
        z = float(y == is_told) + chance.gauss(0, 0.05)
        cases.append(({"vibration": s0, "temperature": s1, "flow": z}, y))
    return cases


def accuracy(champion: Any, *, vetoes: bool, knows: bool = True) -> float:
    """Return how often a model is right after the break, without a label since.

    Args:
        champion: Its pipeline.
        vetoes: Whether the shortcut is vetoed half-way to the break.
        knows: Whether it ever had the shortcut.
    """
    fold = Fold(sample_terms(champion, kind="binary"), 0)
    right = 0
    for number, (x, y) in enumerate(stream(4)):
        if vetoes and number == VETO_AT:
            veto = update_value(ASSET, 1, {}, None, kind="VETO", feature="flow")
            fold.apply([Message(UPDATES, 0, 0, b"", veto)], 0)
        seen = x if knows else {**x, "flow": None}
        is_labelled = number < BREAK_AT
        if not is_labelled:
            plan, state = fold.plans["pump"], _state(fold)
            kept = {name: value for name, value in seen.items() if value is not None}
            right += plan.ask(state, kept).answer.outcome == str(y).lower()
            continue
        value = event_value(ASSET, number, seen, y)
        fold.apply([Message(EVENTS, 0, number, b"", value)], 0)
    return right / (END - BREAK_AT)


def _state(fold: Fold) -> ModelState:
    return fold.fleet.of("pump", ASSET).models[0].state


@pytest.mark.parametrize(
    ("champion", "least"), [(LOGISTIC, 0.84), (FOREST, 0.84)], ids=["veto", "reset"]
)
def test_a_veto_saves_a_model_from_a_shortcut_that_breaks(champion: Any, least: float) -> None:
    blind = accuracy(champion, vetoes=False)
    saved = accuracy(champion, vetoes=True)
    never = accuracy(champion, vetoes=False, knows=False)
    assert blind <= 0.65
    assert saved >= least
    assert saved >= never - 0.02

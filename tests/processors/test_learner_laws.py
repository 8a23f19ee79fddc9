"""The learner keeps the five laws on any stream."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tidemill.contracts.topics import EVENTS, UPDATES
from tidemill.fold.applying import Fold
from tidemill.fold.books import Books, Policy
from tidemill.fold.snapshots import SigningKey
from tidemill.kernel.records import Message
from tidemill.processors.learner.processor import Learner
from tidemill.testing.laws import check_processor
from tidemill.testing.plants import LINEAR, LOGISTIC, event_value, sample_terms, update_value

if TYPE_CHECKING:
    from tidemill.fold.terms import Terms

ASSETS = ("north/press", "south/saw")
QUICK_TREE = {"grace_period": 5, "delta": 0.4, "tau": 0.9}
PLANTS = {
    "linear": sample_terms(LINEAR, challengers={"plain": ["linear_model.LinearRegression"]}),
    "logistic": sample_terms(LOGISTIC, kind="binary"),
    "tree regressor": sample_terms([{"tree.HoeffdingTreeRegressor": QUICK_TREE}]),
    "tree classifier": sample_terms(
        [{"tree.HoeffdingTreeClassifier": QUICK_TREE}],
        kind="binary",
        challengers={"linear": list(LOGISTIC)},
    ),
}

numbers = st.one_of(
    st.floats(-100, 100), st.just(math.nan), st.just(math.inf), st.floats(), st.none()
)
features = st.fixed_dictionaries({"vibration": numbers, "temperature": numbers, "flow": numbers})
labels = st.one_of(st.floats(-10, 10), st.floats(), st.none())
assets = st.sampled_from(ASSETS)
events = st.tuples(st.just(EVENTS), assets, features, labels, st.sampled_from([0, 0, 0, 1, 9]))
updates = st.tuples(st.just(UPDATES), assets, features, labels, st.integers(0, 9))
streams = st.lists(st.one_of(events, events, updates), max_size=20)

Drawn = tuple[str, str, dict[str, float | None], float | None, int]


def record(offset: int, drawn: Drawn, *, is_binary: bool) -> Message:
    """Return one record; an event's last number is how many bytes are cut off its end."""
    topic, asset, x, number, extra = drawn
    label = number > 0 if is_binary and number is not None else number
    if topic == UPDATES:
        value = update_value(asset, extra, x, label)
    else:
        value = event_value(asset, offset, x, label)
        value = value[: len(value) - extra]
    return Message(topic, 0, offset, asset.encode(), value)


def learner(terms: Terms) -> Learner:
    fold = Fold(terms, 0)
    return Learner(fold, Books(fold, None, signing=SigningKey(bytes(32)), policy=Policy()))


@pytest.mark.parametrize("plant", PLANTS)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(stream=streams)
def test_the_learner_keeps_the_laws(plant: str, stream: list[Drawn]) -> None:
    terms = PLANTS[plant]
    is_binary = terms.definition.streams[0].kind == "binary"
    records = [record(n, drawn, is_binary=is_binary) for n, drawn in enumerate(stream)]

    check_processor(lambda: learner(terms), records, max_state_bytes=120_000, repeat=5)

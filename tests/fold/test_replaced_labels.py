"""Labels that are to replace others: those that never were, and those that no model learns."""

from __future__ import annotations

import pytest

from fold.instructed import Instructed, late_terms, of, reasons
from tidemill.contracts.topics import OUTCOMES

X = {"vibration": 1.0, "flow": 2.0, "temperature": 3.0}


@pytest.mark.parametrize("replaced", ["abc", "1.0", 1e60])
def test_what_replaces_a_label_that_could_not_be_read_is_learned_as_the_first(
    replaced: str | float,
) -> None:
    run, plain = Instructed(late_terms()), Instructed(late_terms())
    said, same = run.event(0, X), plain.event(0, X)
    marks = dict(run.champion.state.applied)
    if isinstance(replaced, str):
        assert reasons(run.label(said, replaced)) == ["domain"]  # type: ignore[arg-type]  # as a lab may err
        assert run.champion.state.applied == marks
        plain.causes += 1
    (outcome,) = of(run.label(said, 5.0, revision=1, replaced=replaced), OUTCOMES)
    (other,) = of(plain.label(same, 5.0, revision=1), OUTCOMES)

    assert not run.champion.state.has_pending
    assert outcome == other
    assert (outcome["revision"], outcome["label"]) == (1, 5.0)
    assert run.champion.state.version == plain.champion.state.version == 1
    assert dict(run.river["LinearRegression"].weights) == dict(
        plain.river["LinearRegression"].weights
    )


@pytest.mark.parametrize("first", [True, False])
def test_another_label_of_an_event_at_fault_needs_no_re_fold(*, first: bool) -> None:
    run = Instructed(late_terms())
    said = {**run.event(0, X), "quality": ["STUCK"]}
    lineage = run.champion.state.lineage
    if first:
        run.label(said, 3.0)
    (outcome,) = of(run.label(said, 5.0, revision=1, replaced=3.0), OUTCOMES)

    assert not run.champion.state.has_pending
    assert (outcome["revision"], outcome["label"], outcome["metrics"]) == (1, 5.0, {})
    assert run.champion.state.lineage == lineage

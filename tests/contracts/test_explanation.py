"""Explanations by hand are to the byte what the general encoder makes of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemill.contracts.codec import codec
from tidemill.contracts.explanation import (
    Content,
    Explains,
    ExplanationEncoder,
    Method,
    Part,
    named,
    source_of,
)
from tidemill.contracts.prediction import about, text

numbers = st.floats(allow_nan=False)
longs = st.integers(0, 2**62)
values = st.one_of(st.none(), numbers, st.booleans(), st.text(max_size=9))
names = st.text(min_size=1, max_size=9)
parts = st.lists(
    st.tuples(names, st.none() | names, values, numbers, st.none() | numbers), max_size=5
)


@given(st.data())
def test_an_explanation_is_what_the_general_encoder_makes_of_it(data: st.DataObject) -> None:
    draw = data.draw
    event_id, asset, stream, model = (draw(names) for _ in range(4))
    time_us, offset, version, n = (draw(longs) for _ in range(4))
    lineage = draw(st.binary(min_size=32, max_size=32))
    method, exact = draw(st.sampled_from(Method)), draw(st.booleans())
    target, contrast = draw(st.none() | names), draw(st.none() | names)
    base, prediction, residual, error = (draw(numbers) for _ in range(4))
    support, samples = draw(st.none() | numbers), draw(st.none() | st.integers(0, 2**31 - 1))
    missing, made = draw(st.lists(names, max_size=3)), draw(parts)
    neighbours = draw(st.lists(st.tuples(numbers, values), max_size=3))
    record = {
        "event_id": event_id,
        "asset": asset,
        "stream": stream,
        "time": time_us,
        "source": {"topic": "sensor.events", "partition": 3, "offset": offset},
        "model": model,
        "version": version,
        "lineage": lineage,
        "method": method.name,
        "exact": exact,
        "output_space": "value",
        "target_class": target,
        "contrast_class": contrast,
        "reference": {"kind": "mean", "n": n, "position": None},
        "base": base,
        "prediction": prediction,
        "attributions": [
            {
                "feature": feature,
                "unit": unit,
                "observed": observed,
                "attribution": attribution,
                "standard_error": standard_error,
            }
            for feature, unit, observed, attribution, standard_error in made
        ],
        "residual": residual,
        "additivity_error": error,
        "missing": missing,
        "age": 0,
        "support": support,
        "samples": samples,
        "neighbours": [{"distance": far, "label": label} for far, label in neighbours],
    }
    value = ExplanationEncoder("sensor.events", 3).encode(
        Explains(event_id, about(asset, stream), time_us, offset, text(model), version, lineage),
        [Part(named(name, unit), seen, share, far) for name, unit, seen, share, far in made],
        Content(
            method=method,
            exact=exact,
            output_space="value",
            base=base,
            prediction=prediction,
            residual=residual,
            additivity_error=error,
            target_class=target,
            contrast_class=contrast,
            reference_kind="mean",
            reference_n=n,
            missing=missing,
            support=support,
            samples=samples,
            neighbours=neighbours,
        ),
    )

    assert value == codec("Explanation").encode(record)
    assert source_of(value) == offset


@pytest.mark.parametrize("value", [None, b"", b"\x00", b"\x00\x00\x00\x00\x01no"])
def test_what_is_no_explanation_has_no_source(value: bytes | None) -> None:
    assert source_of(value) is None


def test_an_explanation_that_ends_too_early_has_no_source() -> None:
    prefix = ExplanationEncoder("sensor.events", 0)._prefix
    assert source_of(prefix) is None
    assert source_of(prefix + b"\x06abc\x02") is None
    assert source_of(prefix + b"\x05") is None

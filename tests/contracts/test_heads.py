"""The first texts of a record, read without the rest."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asking.topics import prediction
from tidemill.contracts.codec import codec
from tidemill.contracts.heads import first_texts


@given(st.text(max_size=300), st.text(max_size=20), st.integers(0, 2))
def test_the_first_texts_are_those_of_the_record(event_id: str, asset: str, count: int) -> None:
    value = codec("Prediction").encode(prediction(event_id, asset))

    assert first_texts(value, count) == [event_id.encode(), asset.encode()][:count]


@given(st.integers(0, 60))
def test_bytes_that_end_early_give_fewer_texts(length: int) -> None:
    value = codec("Prediction").encode(prediction("e1" * 10, "north/1"))
    whole = [b"e1" * 10, b"north/1", b"pump"]
    ends = [5 + 21, 5 + 21 + 8, 5 + 21 + 8 + 5]

    assert first_texts(value[:length], 3) == [
        text for text, end in zip(whole, ends, strict=True) if end <= length
    ]


@pytest.mark.parametrize("value", [None, b"", b"\0\0\0\0\1\x01a", b"\0\0\0\0\1" + b"\xff" * 9])
def test_what_is_no_such_record_gives_none(value: bytes | None) -> None:
    assert first_texts(value, 2) == []

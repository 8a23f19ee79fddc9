"""Predictions by hand are Avro's bytes for the schema."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tidemill.contracts.codec import codec
from tidemill.contracts.hot import varint
from tidemill.contracts.prediction import Late, PredictionEncoder, Quality, Said, about, text

INT64 = st.integers(-(2**63), 2**63 - 1)
NAMES = st.text(max_size=40)
SCORES = st.none() | st.dictionaries(NAMES, st.floats(0, 1), min_size=1, max_size=4)
FLOATS = st.floats(allow_nan=False)
SAID = st.builds(
    Said,
    model=NAMES.map(text),
    version=st.integers(0, 2**62),
    lineage=st.binary(min_size=32, max_size=32),
    value=st.none() | st.floats(allow_nan=False),
    probabilities=SCORES,
    outcome=st.none() | NAMES,
    interval=st.none() | st.tuples(FLOATS, FLOATS, st.integers(0, 2**40)),
    class_set=st.none() | st.lists(NAMES, max_size=3),
)
LATE = st.builds(
    Late,
    features=st.dictionaries(NAMES, FLOATS | st.booleans() | NAMES, max_size=5),
    naive=st.none() | FLOATS | st.dictionaries(NAMES, st.floats(0, 1), min_size=1, max_size=3),
)


@given(
    names=st.tuples(NAMES, NAMES, NAMES),
    place=st.tuples(INT64, st.integers(0, 2**31 - 1), st.integers(0, 2**62)),
    champion=st.tuples(SAID, st.integers(0, 2**40)),
    quality=st.lists(st.sampled_from(list(Quality)), max_size=3, unique=True),
    shadows=st.lists(SAID, max_size=3),
    late=st.none() | LATE,
)
def test_the_bytes_are_those_of_the_general_encoder(
    names: tuple[str, str, str],
    place: tuple[int, int, int],
    *,
    champion: tuple[Said, int],
    quality: list[Quality],
    shadows: list[Said],
    late: Late | None,
) -> None:
    event_id, asset, stream = names
    said, structure = champion
    time_us, partition, offset = place
    value = PredictionEncoder("sensor.events", partition).encode(
        event_id,
        about(asset, stream),
        time_us=time_us,
        offset=offset,
        said=said,
        structure=structure,
        quality=quality,
        shadows=shadows,
        late=late,
    )
    record = codec("Prediction").decode(value)

    assert codec("Prediction").encode(record) == value
    assert record["event_id"] == event_id
    assert (record["asset"], record["stream"], record["time"]) == (asset, stream, time_us)
    assert record["source"] == {
        "topic": "sensor.events",
        "partition": partition,
        "offset": offset,
    }
    assert (record["version"], record["lineage"]) == (said.version, said.lineage)
    assert record["value"] == said.value
    assert record["probabilities"] == said.probabilities
    assert record["outcome"] == said.outcome
    assert record["quality"] == [flag.name for flag in quality]
    assert [shadow["value"] for shadow in record["shadows"]] == [s.value for s in shadows]
    assert record["structure"] == structure
    assert record["class_set"] == said.class_set
    assert record["features"] == (None if late is None else late.features)
    assert list(record["features"] or {}) == list(late.features if late else {})
    assert record["naive"] == (None if late is None else late.naive)
    found = record["interval"]
    if said.interval is None:
        assert found is None
    else:
        assert (found["low"], found["high"], found["labels"]) == said.interval
        assert (found["level"], found["method"]) == (0.9, "adaptive conformal")


@given(INT64)
def test_varints_are_zigzag_of_64_bits(number: int) -> None:
    rest, shift = 0, 0
    for byte in varint(number):
        rest |= (byte & 0x7F) << shift
        shift += 7
    assert (rest >> 1) ^ -(rest & 1) == number


def test_quality_flags_stand_in_the_schema_at_their_numbers() -> None:
    schema = codec("Prediction").schema
    quality = next(field for field in schema["fields"] if field["name"] == "quality")
    assert [Quality[name].value for name in quality["type"]["items"]["symbols"]] == list(
        range(len(Quality))
    )

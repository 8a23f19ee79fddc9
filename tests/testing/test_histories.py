"""The checker of histories finds what was planted, all of it and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from tidemill.fold.applying import Fold
from tidemill.kernel.deadletters import dead_letter
from tidemill.kernel.errors import DeadLetterReason, InvalidRecordError
from tidemill.kernel.records import Message, Position
from tidemill.testing.cluster import MemoryCluster
from tidemill.testing.histories import (
    Input,
    Output,
    Reordered,
    check_history,
    read_input,
    read_output,
)
from tidemill.testing.plants import event_value, sample_terms

if TYPE_CHECKING:
    from random import Random

ASSETS = ("a", "b", "c")

inputs_strategy = st.lists(st.sampled_from(ASSETS), min_size=1, max_size=30).map(
    lambda assets: [
        Input(Position("events", n % 2, n), f"{asset}{n % 2}") for n, asset in enumerate(assets)
    ]
)


def answers(inputs: list[Input]) -> list[Output]:
    """Return one output per input, in the input's partition, with gaps as markers leave them."""
    return [
        Output(Position("out", source.partition, 3 * source.offset), source, asset)
        for source, asset in inputs
    ]


@given(inputs_strategy, st.randoms(use_true_random=False))
def test_one_answer_each_in_order_is_clean_however_it_was_collected(
    inputs: list[Input], rng: Random
) -> None:
    outputs = answers(inputs)
    rng.shuffle(outputs)

    assert check_history(inputs, outputs).is_clean


@given(inputs_strategy, st.data())
def test_exactly_the_lost_doubled_and_invented_are_reported(
    inputs: list[Input], data: st.DataObject
) -> None:
    outputs = answers(inputs)
    numbers = st.sets(st.integers(0, len(inputs) - 1), max_size=3)
    lost = data.draw(numbers)
    doubled = data.draw(numbers) - lost
    invented = data.draw(numbers)
    extra = [
        Output(Position("out", outputs[n].where.partition, 1000 + n), inputs[n].source, asset)
        for n in sorted(doubled)
        for asset in [inputs[n].asset]
    ]
    made_up = [
        Output(Position("out", 0, 2000 + n), Position("events", 0, 5000 + n), "a0")
        for n in sorted(invented)
    ]
    kept = [output for n, output in enumerate(outputs) if n not in lost]

    found = check_history(inputs, [*kept, *extra, *made_up])

    assert found.lost == tuple(sorted(inputs[n] for n in lost))
    assert found.doubled == tuple(sorted(extra))
    assert found.invented == tuple(sorted(made_up))
    assert found.reordered == ()
    assert found.is_clean == (not lost and not doubled and not invented)


@given(inputs_strategy, st.data())
def test_two_swapped_neighbours_of_one_asset_are_reported_as_reordered(
    inputs: list[Input], data: st.DataObject
) -> None:
    asset = data.draw(st.sampled_from(sorted({entry.asset for entry in inputs})))
    outputs = answers(inputs)
    mine = [n for n, output in enumerate(outputs) if output.asset == asset]
    if len(mine) < 2:
        return
    at = data.draw(st.integers(0, len(mine) - 2))
    first, second = mine[at], mine[at + 1]
    outputs[first], outputs[second] = (
        outputs[first]._replace(source=outputs[second].source),
        outputs[second]._replace(source=outputs[first].source),
    )

    found = check_history(inputs, outputs)

    assert found.reordered == (Reordered(outputs[first], outputs[second]),)
    assert not found.lost + found.doubled + found.invented


def test_an_answer_that_names_another_asset_is_invented_and_its_input_lost() -> None:
    asked = Input(Position("events", 0, 1), "a")
    wrong = Output(Position("out", 0, 0), asked.source, "b")

    found = check_history([asked], [wrong])

    assert (found.lost, found.invented) == ((asked,), (wrong,))


def test_another_topic_and_another_asset_have_an_order_of_their_own() -> None:
    one, two, three = (Position("events", 0, n) for n in range(3))
    inputs = [Input(one, "a"), Input(two, "a"), Input(three, "b")]
    outputs = [
        Output(Position("out", 0, 5), three, "b"),
        Output(Position("out", 0, 7), two, "a"),
        Output(Position("out.dlq", 0, 9), one, "a"),
    ]

    assert check_history(inputs, outputs).is_clean


def test_each_finding_is_told_with_its_positions() -> None:
    inputs = [Input(Position("events", 0, n), "a") for n in range(3)]
    outputs = [
        Output(Position("out", 0, 0), inputs[1].source, "a"),
        Output(Position("out", 0, 1), inputs[0].source, "a"),
        Output(Position("out", 0, 2), inputs[0].source, "a"),
        Output(Position("out", 0, 3), Position("events", 9, 9), "z"),
    ]

    assert str(check_history(inputs, outputs)).splitlines() == [
        "lost: events-0@2 of a",
        "doubled: events-0@0 of a, again at out-0@2",
        "reordered: events-0@0 at out-0@1 after events-0@1 at out-0@0",
        "invented: events-9@9 of z at out-0@3",
    ]


def test_a_dead_letter_answers_the_record_it_holds() -> None:
    cluster = MemoryCluster({"sensor.events": 2})
    cluster.append("sensor.events", 1, b"junk", key=b"a")
    (message,) = cluster.read("sensor.events")
    error = InvalidRecordError(DeadLetterReason.UNDECODABLE, "junk")
    emit = dead_letter(message, error, "learner")
    letter = Message(emit.topic, emit.partition, 4, emit.key, emit.value, emit.headers)

    found = check_history([read_input(message)], [read_output(letter)])

    assert found.is_clean


def test_a_prediction_answers_the_event_it_names() -> None:
    message = Message("sensor.events", 0, 7, b"a", event_value("a", 1, {"flow": 1.0}, 2.0))

    (emit,) = Fold(sample_terms(), 0).apply([message], 0)
    prediction = Message(emit.topic, emit.partition, 4, emit.key, emit.value)

    assert read_output(prediction) == (prediction.position, message.position, "a")

"""The plant definition: what is read, what is refused, and that the ledger gives it back."""

from __future__ import annotations

import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tidemill.contracts.definition import (
    AheadTarget,
    Feature,
    FieldTarget,
    LabelTarget,
    PlantDefinition,
    Step,
    TimeField,
    json_schema,
    parse_definition,
)
from tidemill.kernel.errors import ConfigError
from tidemill.testing.plants import sample_definition

TEXT = """\
plant: bottling-east
partitions: 8
schemas: ./avro
streams:
  pump:
    event: plant.PumpReading
    asset: asset
    time: event_time
    id: event_id
    lateness: 5m
    features:
      vibration: {unit: mm/s, range: [0, 50]}
      temperature: {unit: degC, range: [-20, 150], stuck_after: 120}
      recipe: {kind: nominal}
    target:
      label: {name: viscosity, unit: mPa.s, kind: regression, ttl: 8h}
    model:
      champion: [preprocessing.StandardScaler, {linear_model.LinearRegression: {l2: 1e-3}}]
      challengers: {tree: [{tree.HoeffdingTreeRegressor: {leaf_prediction: mean}}]}
      repeat: {}
    explanations: {which: all}
    drift: {run_length: 100000, question_timeout: 2h, hold_at_most: 0.05}
    feedback: {roles: [operator, domain_expert], veto_needs: domain_expert}
"""
LABEL = "label: {name: viscosity, unit: mPa.s, kind: regression, ttl: 8h}"


def problems(text: str) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        parse_definition(text)
    return caught.value.problems


def test_the_documented_example_is_read_whole() -> None:
    (pump,) = parse_definition(TEXT).streams

    assert (pump.name, pump.event, pump.asset) == ("pump", "plant.PumpReading", "asset")
    assert pump.time == TimeField(field="event_time", unit=None)
    assert (pump.id, pump.lateness_s, pump.memory_mb) == ("event_id", 300.0, 8.0)
    assert pump.features == (
        Feature(name="vibration", unit="mm/s", low=0, high=50),
        Feature(name="temperature", unit="degC", low=-20, high=150, stuck_after=120),
        Feature(name="recipe", kind="nominal"),
    )
    assert pump.target == LabelTarget(
        name="viscosity", kind="regression", ttl_s=28800.0, unit="mPa.s"
    )
    assert pump.champion[1] == Step(name="linear_model.LinearRegression", parameters={"l2": 0.001})
    assert list(pump.pipelines) == ["pump/champion", "pump/tree"]
    assert (pump.drift.run_length, pump.drift.question_timeout_s) == (100_000, 7200.0)


def test_a_stream_is_found_by_the_full_name_of_its_event() -> None:
    plant = parse_definition(TEXT)

    assert plant.stream_for("plant.PumpReading") is plant.streams[0]
    assert plant.stream_for("PumpReading") is None


def test_the_seed_comes_from_plant_and_stream_unless_it_is_given() -> None:
    own = TEXT.replace("    lateness", "    seed: 7\n    lateness")

    assert parse_definition(TEXT).streams[0].seed == 511217349  # on every machine, for ever
    assert parse_definition(TEXT.replace("east", "west")).streams[0].seed != 511217349
    assert parse_definition(own).streams[0].seed == 7


@pytest.mark.parametrize(
    ("written", "target"),
    [
        ("field: {name: jam, kind: multiclass}", FieldTarget(name="jam", kind="multiclass")),
        (
            "field: {name: ok, kind: binary, classes: [false, true]}",
            FieldTarget(name="ok", kind="binary", classes=("false", "true")),
        ),
        (
            "field: {name: ok, kind: binary, classes: [no, yes]}",
            FieldTarget(name="ok", kind="binary", classes=("no", "yes")),
        ),
        (
            "field: {name: ok, kind: binary, classes: [0, 1]}",
            FieldTarget(name="ok", kind="binary", classes=("0", "1")),
        ),
        ("ahead: {field: vibration, after: 5}", AheadTarget(field="vibration", after_events=5)),
        ("ahead: {field: vibration, after: 5m}", AheadTarget(field="vibration", after_s=300.0)),
    ],
)
def test_each_kind_of_target_is_read(written: str, target: object) -> None:
    assert parse_definition(TEXT.replace(LABEL, written)).streams[0].target == target


def test_no_target_means_anomaly() -> None:
    text = TEXT.replace("target:\n      " + LABEL, "target: none").replace("challengers", "#")
    (pump,) = parse_definition(text).streams

    assert pump.target is None
    assert pump.kind == "anomaly"


def test_memory_is_counted_in_mebibytes() -> None:
    text = TEXT.replace("      repeat: {}", "      memory: 512KiB")

    assert parse_definition(text).streams[0].memory_mb == 0.5


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (
            "[0, 50]",
            "[50, 0]",
            "streams.pump.features.vibration.range:"
            " must be [low, high] with low < high, was [50, 0]",
        ),
        ("[0, 50]", "[0, .nan]", "streams.pump.features.vibration.range: must be [low, high]"),
        ("[0, 50]", "[true, 50]", "streams.pump.features.vibration.range: must be [low, high]"),
        ("partitions: 8", "partitions: 0", "partitions: must be greater than or equal to 1"),
        ("partitions: 8", "partitions: '8'", "partitions: must be a valid integer, was '8'"),
        (
            "lateness: 5m",
            "latenes: 5m",
            "streams.pump.latenes: must not be here: unknown key, did you mean lateness?",
        ),
        ("lateness: 5m", "lateness: 5 parsecs", "streams.pump.lateness: must be a duration"),
        ("lateness: 5m", "lateness: 0s", "streams.pump.lateness: must be a duration above 0"),
        ("    asset: asset\n", "", "streams.pump.asset: must be given"),
        ("plant: bottling-east\n", "", "plant: must be given"),
        ("  pump:", "  pu|mp:", "streams.pu|mp: must be letters, digits"),
        ("stuck_after: 120", "stuck_after: 1", "streams.pump.features.temperature.stuck_after"),
        ("kind: nominal", "kind: nominal, range: [0, 1]", "recipe.range: excludes kind: nominal"),
        ("kind: regression", "kind: guess", "streams.pump.target.label.kind: must be"),
        (LABEL, "{}", "streams.pump.target: must be exactly one of label, field, ahead, or none"),
        (
            LABEL,
            LABEL + "\n      ahead: {field: vibration, after: 1}",
            "streams.pump.target: must be exactly one of label, field, ahead, or none,"
            " was label and ahead",
        ),
        (
            LABEL,
            "field: {name: vibration, kind: regression}",
            "streams.pump.features.vibration: must not be a feature, it is the stream's target",
        ),
        ("    id: event_id\n", "", "target.label: requires streams.pump.id or join: [asset, time]"),
        ("ttl: 8h", "ttl: 8h, join: [asset]", "target.label.join: must be [asset, time]"),
        ("kind: regression", "kind: binary", "kind: binary requires classes: [negative, positive]"),
        ("ttl: 8h", "ttl: 8h, classes: [0, 1]", "target.label.classes: requires kind: binary"),
        (
            "target:\n      " + LABEL,
            "target: none",
            "streams.pump.model.challengers: requires a target, was target: none",
        ),
        ("{tree: [", "{champion: [", "challengers.champion: must have another name"),
        ("repeat: {}", "repeat: {true: 3}", "model.repeat: requires a binary or multiclass target"),
        (
            "preprocessing.StandardScaler",
            "StandardScaler",
            "champion[0].StandardScaler: must be a River class with its module",
        ),
        ("l2: 1e-3", "l2: .inf", "linear_model.LinearRegression.l2 must be finite JSON"),
        ("which: all", "which: {every: 0}", "streams.pump.explanations.which: must be all"),
        ("veto_needs: domain_expert", "veto_needs: cook", "streams.pump.feedback.veto_needs"),
        (
            "roles: [operator, domain_expert]",
            "roles: [operator]",
            "streams.pump.feedback.veto_needs: requires that role",
        ),
        (
            "roles: [operator, domain_expert], veto_needs: domain_expert",
            "roles: [operator], experts: [eve]",
            "streams.pump.feedback.experts: requires domain_expert",
        ),
        ("veto_needs: domain_expert", 'experts: [""]', "streams.pump.feedback.experts"),
        ("veto_needs: domain_expert", "longest_hold: -1s", "streams.pump.feedback.longest_hold"),
        ("veto_needs: domain_expert", "tolerance: -0.1", "streams.pump.feedback.tolerance"),
        (
            "feedback: {",
            "feedback: {kinds: [explanation], ",
            "streams.pump.feedback.kinds: explanation requires inference",
        ),
        ("partitions: 8", "partitions: 8\npartitions: 9", "partitions: must be given once"),
        ("unit: mm/s,", "unit: mm/s, unit: m,", "streams.pump.features.vibration.unit: must be"),
    ],
)
def test_a_wrong_definition_is_refused_with_its_path(old: str, new: str, problem: str) -> None:
    assert old in TEXT
    assert any(problem in found for found in problems(TEXT.replace(old, new)))


def test_every_problem_is_reported_at_once() -> None:
    text = (
        TEXT.replace("[0, 50]", "[50, 0]")
        .replace("partitions: 8", "partitions: x\nplant: again")
        .replace("lateness", "latenes")
        .replace("    id: event_id\n", "")
        .replace("roles: [operator, domain_expert]", "roles: [operator]")
    )
    found = problems(text)

    paths = [problem.partition(":")[0] for problem in found]
    assert sorted(paths) == [
        "partitions",
        "plant",
        "streams.pump.features.vibration.range",
        "streams.pump.feedback.veto_needs",
        "streams.pump.latenes",
        "streams.pump.target.label",
    ]


def test_two_streams_may_not_claim_one_event() -> None:
    second = TEXT[TEXT.index("  pump:") :].replace("  pump:", "  valve:", 1)

    assert problems(TEXT + second) == (
        "streams.valve.event: must be claimed by one stream, plant.PumpReading is also claimed"
        " by streams.pump",
    )


@pytest.mark.parametrize("text", ["a: [", "", "- a", "a: &x [*x]", "\x00", "a: b: c", "{1: [2"])
def test_text_that_is_no_definition_is_a_configuration_error(text: str) -> None:
    assert problems(text)


@pytest.mark.parametrize("key", ["explanations", "drift", "feedback", "model", "features", "time"])
@pytest.mark.parametrize("value", ["", " 3", " [1]", " text", " {1: 2}", " {a: {b: c}}", " true"])
def test_a_part_of_another_shape_is_refused_or_read_but_never_raises_otherwise(
    key: str, value: str
) -> None:
    document = yaml.safe_load(TEXT)
    document["streams"]["pump"][key] = yaml.safe_load(value)
    found: tuple[str, ...] = ()
    try:
        parse_definition(yaml.safe_dump(document))
    except ConfigError as error:
        found = error.problems

    assert all(f"streams.pump.{key}" in problem for problem in found)


names = st.from_regex(r"[a-z][a-z0-9_]{0,6}", fullmatch=True)
finite = st.floats(allow_nan=False, allow_infinity=False, width=32)
parameters = st.dictionaries(
    names, st.one_of(finite, st.integers(-9, 9), st.booleans(), names, st.none()), max_size=3
)
pipeline = st.lists(
    st.one_of(
        st.just("preprocessing.StandardScaler"),
        parameters.map(lambda given: {"linear_model.LinearRegression": given}),
    ),
    min_size=1,
    max_size=3,
)
feature = st.fixed_dictionaries(
    {},
    optional={
        "unit": names,
        "range": st.tuples(st.integers(-99, 0), st.integers(1, 99)).map(list),
        "stuck_after": st.integers(2, 999),
        "required": st.booleans(),
    },
)
target = st.one_of(
    st.just({"label": {"name": "q", "kind": "regression", "ttl": "8h"}}),
    st.just({"field": {"name": "the_answer", "kind": "binary", "classes": [0, 1]}}),
    st.integers(1, 99).map(lambda n: {"ahead": {"field": "x", "after": n}}),
    st.integers(1, 99).map(lambda n: {"ahead": {"field": "x", "after": f"{n}m"}}),
)
stream = st.fixed_dictionaries(
    {
        "event": st.just("plant.Reading"),
        "asset": st.just("THE_ASSET"),
        "time": st.sampled_from(["THE_TIME", {"field": "THE_TIME", "unit": "ms"}]),
        "id": st.just("THE_ID"),
        "features": st.dictionaries(names, feature, min_size=1, max_size=5),
        "target": target,
        "model": st.fixed_dictionaries(
            {"champion": pipeline},
            optional={"challengers": st.dictionaries(names.map("c_{}".format), pipeline)},
        ),
    },
    optional={"seed": st.integers(0, 2**32 - 1), "lateness": st.just("5m")},
)
documents = stream.map(
    lambda s: {"plant": "p", "partitions": 4, "schemas": "./avro", "streams": {"s": s}}
)


@given(documents)
def test_what_the_ledger_keeps_gives_the_definition_back(document: dict[str, object]) -> None:
    plant = parse_definition(yaml.safe_dump(document, sort_keys=False))
    again = PlantDefinition.from_canonical(plant.canonical())

    assert again == plant.model_copy(update={"schemas": ""})
    assert again.canonical() == plant.canonical()
    assert list(again.streams[0].pipelines) == list(plant.streams[0].pipelines)


@given(documents, st.randoms(use_true_random=False))
def test_only_the_order_of_features_reaches_the_ledger(
    document: dict[str, object], random: object
) -> None:
    text = yaml.safe_dump(document, sort_keys=False)
    (written,) = document["streams"].values()  # type: ignore[attr-defined]  # a mapping, see above
    reordered = {**document, "streams": {"s": dict(reversed(written.items()))}}
    backwards = {**written, "features": dict(reversed(written["features"].items()))}
    canonical = parse_definition(text).canonical()

    assert parse_definition(yaml.safe_dump(reordered, sort_keys=False)).canonical() == canonical
    other = {**document, "streams": {"s": backwards}, "schemas": "/elsewhere"}
    is_same = parse_definition(yaml.safe_dump(other, sort_keys=False)).canonical() == canonical
    assert is_same == (len(written["features"]) == 1)


def test_editors_get_a_schema_that_knows_every_key_and_what_is_required() -> None:
    schema = json.loads(json.dumps(json_schema()))

    assert schema["required"] == ["plant", "partitions", "schemas", "streams"]
    assert schema["additionalProperties"] is False
    stream_schema = schema["$defs"]["StreamDocument"]
    assert set(stream_schema["required"]) <= set(stream_schema["properties"])
    assert {"type": "string", "const": "none"} in stream_schema["properties"]["target"]["anyOf"]


def test_what_people_may_is_in_the_canonical_text_only_where_it_is_said() -> None:
    plain = parse_definition(sample_definition())
    document = {"feedback": {"experts": ["eve"], "longest_hold": "2h", "tolerance": 0.5}}
    said = parse_definition(sample_definition(stream=document))

    again = PlantDefinition.from_canonical(said.canonical())
    assert again.streams[0].feedback == said.streams[0].feedback
    for key in ("experts", "longest_hold", "tolerance"):
        assert key not in plain.canonical()
        assert key in said.canonical()


DRIFT_SLIPS = {
    "run_length: 99": "greater than or equal to 100, was 99",
    "run_length: 100k": "a valid integer, was '100k'",
    "run_length: 1.5": "a valid integer, was 1.5",
    "run_length: true": "a valid integer, was True",
    "run_length: 10000000000000": "less than or equal to 1000000000000",
    "question_timeout: 0s": "a duration above 0 such as",
    "question_timeout: 2x": "a duration above 0 such as",
    "question_timeout: 5ms": "greater than or equal to 1, was '5ms'",
    "question_timeout: 4000d": "less than or equal to 315360000, was '4000d'",
    "hold_at_most: 0": "greater than 0, was 0",
    "hold_at_most: 5": "less than or equal to 1, was 5",
    "hold_at_most: 5%": "a valid number, was '5%'",
    "hold_at_most: .nan": "a finite number, was nan",
    "held: 1": "unknown key",
}


@pytest.mark.parametrize("slip", DRIFT_SLIPS)
def test_a_slip_in_what_is_said_of_drift_is_named_with_its_place(slip: str) -> None:
    usual = "drift: {run_length: 100000, question_timeout: 2h, hold_at_most: 0.05}"
    assert usual in TEXT
    (problem,) = problems(TEXT.replace(usual, f"drift: {{{slip}}}"))
    assert problem.startswith(f"streams.pump.drift.{slip.partition(':')[0]}: must ")
    assert DRIFT_SLIPS[slip] in problem

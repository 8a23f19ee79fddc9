"""Categories and gaps on their way to models that want numbers, all of them."""

from __future__ import annotations

from typing import Any

import pytest

from tidemill.contracts.stream import Feature, Step
from tidemill.models.encoding import MOST_CATEGORIES
from tidemill.models.pickles import dump_state
from tidemill.models.pipelines import build_pipeline
from tidemill.models.state import ModelState

FEATURES = (
    Feature(name="load"),
    Feature(name="recipe", kind="nominal"),
    Feature(name="recipe_slow"),
)
LINEAR = Step(name="linear_model.LinearRegression")


def built(*steps: Step) -> Any:
    return build_pipeline(steps, features=FEATURES, seed=1)


def encoder(name: str = "OneHotEncoder", **parameters: Any) -> Any:
    pipeline = built(Step(name=f"preprocessing.{name}", parameters=parameters), LINEAR)
    return pipeline["EncodedCategories"]


def test_numbers_pass_and_categories_become_features_that_no_other_can_be() -> None:
    one_hot = encoder()
    x = {"load": 2.0, "recipe": "slow", "recipe_slow": 7.0}
    one_hot.learn_one(x)
    assert one_hot.transform_one(x) == {"recipe=_slow": 1, "load": 2.0, "recipe_slow": 7.0}
    assert one_hot.transform_one({"load": 2.0}) == {"recipe=_slow": 0, "load": 2.0}


def test_an_unknown_category_is_as_if_it_were_missing() -> None:
    one_hot, ordinal = encoder(), encoder("OrdinalEncoder")
    for one in (one_hot, ordinal):
        one.learn_one({"recipe": "slow"})
    assert one_hot.transform_one({"recipe": "new"}) == {"recipe=_slow": 0}
    assert ordinal.transform_one({"recipe": "new"}) == {}
    assert ordinal.transform_one({"recipe": "slow"}) == {"recipe=": 1}


def test_zeros_are_dropped_where_that_is_asked_for() -> None:
    one_hot = encoder(drop_zeros=True)
    for recipe in ("slow", "fast"):
        one_hot.learn_one({"recipe": recipe})
    assert one_hot.transform_one({"recipe": "slow"}) == {"recipe=_slow": 1}
    assert one_hot.transform_one({"recipe": "new"}) == {}


@pytest.mark.parametrize("name", ["OneHotEncoder", "OrdinalEncoder"])
def test_a_serial_number_does_not_fill_the_memory(name: str) -> None:
    pipeline = built(Step(name=f"preprocessing.{name}"), LINEAR)
    for number in range(MOST_CATEGORIES * 4):
        pipeline.learn_one({"load": 1.0, "recipe": f"serial {number}"}, 1.0)
        if number == MOST_CATEGORIES:
            size = len(dump_state(ModelState(pipeline, b"")))
    assert len(dump_state(ModelState(pipeline, b""))) < size * 1.01


def test_imputers_put_what_they_know_for_what_is_absent_in_order() -> None:
    mean = built(Step(name="preprocessing.StatImputer"), LINEAR)["Completed"]
    last = built(Step(name="preprocessing.PreviousImputer"), LINEAR)["Completed"]
    for value in (1.0, 3.0):
        for imputer in (mean, last):
            imputer.learn_one({"load": value, "recipe": "slow"})
    assert list(mean.transform_one({"recipe_slow": 5.0}).items()) == [
        ("load", 2.0),
        ("recipe_slow", 5.0),
    ]
    assert list(last.transform_one({"recipe_slow": 5.0}).items()) == [
        ("load", 3.0),
        ("recipe", "slow"),
        ("recipe_slow", 5.0),
    ]


def test_an_imputer_behind_an_encoder_leaves_what_was_encoded() -> None:
    encode, impute = (
        Step(name="preprocessing.OneHotEncoder"),
        Step(name="preprocessing.StatImputer"),
    )
    pipeline = built(encode, impute, Step(name="tree.HoeffdingTreeRegressor"))
    pipeline.learn_one({"load": 4.0, "recipe": "slow"}, 1.0)
    model = pipeline["HoeffdingTreeRegressor"]
    assert model.nominal_attributes is None
    assert pipeline["Completed"].transform_one({"recipe=_slow": 1}) == {
        "load": 4.0,
        "recipe_slow": 0.0,
        "recipe=_slow": 1,
    }


def test_half_space_trees_without_any_feature_wait_for_one() -> None:
    steps = [Step(name="preprocessing.MinMaxScaler"), Step(name="anomaly.HalfSpaceTrees")]
    pipeline = build_pipeline(steps, features=(), seed=1)
    pipeline.learn_one({})
    assert pipeline.score_one({}) == 0


def test_half_space_trees_look_at_sensors_that_the_first_event_lacks() -> None:
    steps = [Step(name="preprocessing.MinMaxScaler"), Step(name="anomaly.HalfSpaceTrees")]
    features = (Feature(name="load"), Feature(name="speed"))
    pipeline = build_pipeline(steps, features=features, seed=1)
    pipeline.learn_one({})
    pipeline.learn_one({"load": 1.0})
    trees = pipeline.anomaly_detector["SteadyHalfSpaceTrees"].trees
    asked = {getattr(node, "feature", None) for tree in trees for node in tree.iter_dfs()}
    assert asked == {"load", "speed", None}

"""Trees over nominal features do not depend on how a process orders its sets."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tidemill.contracts.stream import Feature, Step
from tidemill.models.pickles import dump_state, load_state
from tidemill.models.state import Blueprint, ModelKey, ModelState

FEATURES = (Feature(name="recipe", kind="nominal"), Feature(name="load"))
KEY = ModelKey("s", "a", "s/champion")

# Many short streams in which categories do equally well: what is tried first then decides.
TOLD = """
import hashlib, random, sys
from tidemill.contracts.stream import Feature, Step
from tidemill.models.pipelines import build_pipeline
features = [Feature(name="recipe", kind="nominal")]
parameters = {"grace_period": 30, "tau": 0.5, "binary_split": sys.argv[1] == "binary"}
if "forest" in sys.argv[2]:
    parameters |= {"n_models": 2, "max_features": 1, "delta": 0.5}
digest = hashlib.sha256()
rng = random.Random(3)
for _ in range(60):
    steps = [Step(name=sys.argv[2], parameters=parameters)]
    tree = build_pipeline(steps, features=features, seed=1)
    recipes = ["slow", "fast", "auto", "hand"][: rng.choice([2, 3, 4])]
    for _ in range(150):
        x = {"recipe": rng.choice(recipes)}
        tree.learn_one(x, rng.choice("abc"))
    for recipe in [*recipes, "other"]:
        digest.update(repr(tree.predict_proba_one({"recipe": recipe})).encode())
    for one in getattr(tree, "models", [tree]):
        digest.update(repr(one.summary).encode())
print(digest.hexdigest())
"""


def told(split: str, name: str, hash_seed: int) -> str:
    """Return what a process of its own, with this order of sets, says of the same streams."""
    return subprocess.run(
        [sys.executable, "-c", TOLD, split, name],
        env={
            **os.environ,
            "PYTHONHASHSEED": str(hash_seed),
            "PYTHONPATH": os.pathsep.join(sys.path),
        },
        capture_output=True,
        check=True,
        text=True,
        timeout=120,
    ).stdout


@pytest.mark.parametrize(
    "name",
    [
        "tree.HoeffdingTreeClassifier",
        "tree.HoeffdingAdaptiveTreeClassifier",
        "forest.ARFClassifier",
    ],
)
@pytest.mark.parametrize("split", ["binary", "multiway"])
def test_a_tree_with_nominal_features_is_the_same_under_every_hash_seed(
    split: str, name: str
) -> None:
    assert len({told(split, name, hash_seed) for hash_seed in range(3)}) == 1


def test_a_tree_with_nominal_features_comes_back_as_what_it_was() -> None:
    steps = [Step(name="tree.HoeffdingTreeClassifier", parameters={"grace_period": 20})]
    blueprint = Blueprint.of("s/champion", steps, FEATURES, target="", seed=1)
    state = ModelState.fresh(KEY, blueprint)
    for n in range(400):
        state.pipeline.learn_one({"recipe": "abc"[n % 3], "load": float(n % 7)}, n % 3 == 1)
    again = load_state(dump_state(state))

    assert type(again.pipeline) is type(state.pipeline)
    assert again.pipeline.n_leaves > 1
    asked = {"recipe": "b", "load": 2.0}
    assert again.pipeline.predict_proba_one(asked) == state.pipeline.predict_proba_one(asked)

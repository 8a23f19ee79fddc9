"""What is said about trees at the edges: nothing learned, nothing voted, what is not a sum."""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING, Any

import pytest
from river import ensemble, forest, linear_model, tree
from river.stats import Var

from attribution.tree_cases import BINARY, CASES, NUMBERS, OWNER, RECIPES, Row, learn, stream
from attribution.tree_reference import Game, root_of
from tidemill.attribution.trees import explainer_of_trees
from tidemill.models import steady
from tidemill.models.outputs import Answer, Multiclass, Regression

if TYPE_CHECKING:
    from attribution.tree_cases import Case
    from tidemill.attribution.explained import Explained
    from tidemill.attribution.trees import TreeExplainer
    from tidemill.models.outputs import Task

BY_NAME = {case.name: case for case in CASES}
BOUND = 1e-12


def case_of(name: str, rows: int = 300) -> tuple[Case, Any, TreeExplainer]:
    """Return a case with its model, which has learned, and what explains it."""
    case = BY_NAME[name]
    model = case.build()
    for row in stream(rows, has_texts=case.has_texts):
        learn(model, row, case.task)
    return case, model, made(model)


def made(model: Any) -> TreeExplainer:
    explainer = explainer_of_trees(model)
    assert explainer is not None
    return explainer


def attributions(said: Explained | None) -> dict[str, float]:
    assert said is not None
    return {share.feature: share.attribution for share in said.shares}


@pytest.mark.parametrize(
    "model",
    [
        tree.HoeffdingTreeRegressor(leaf_prediction="mean"),
        steady.SteadyAdaptiveTreeRegressor(leaf_prediction="model"),
        steady.SteadyForestRegressor(aggregation_method="mean", leaf_prediction="mean"),
        ensemble.BaggingRegressor(tree.HoeffdingTreeRegressor(leaf_prediction="mean")),
    ],
    ids=lambda model: type(model).__name__,
)
def test_before_anything_is_learned_the_answer_is_the_base(model: Any) -> None:
    said = made(model).explain({"s0": 1.0}, OWNER, Regression())

    assert said is not None
    assert said.base == said.prediction == 0.0
    assert set(attributions(said).values()) == {0.0}
    assert said.support is None
    assert said.reference_n == 0


@pytest.mark.parametrize("name", ["tree", "forest", "bag", "mondrian forest", "adaptive tree"])
def test_there_is_nothing_to_explain_before_a_class_is_known(name: str) -> None:
    case = BY_NAME[name]

    assert made(case.build()).explain({"s0": 1.0}, OWNER, case.task) is None


def test_half_spaces_answer_nothing_until_a_window_is_full() -> None:
    case, _, explainer = case_of("half-space trees", rows=49)
    said = explainer.explain({"s0": 1.0}, OWNER, case.task)

    assert said is not None
    assert (said.base, said.prediction) == (0.0, 0.0)
    assert set(attributions(said).values()) == {0.0}


@pytest.mark.parametrize(
    "model",
    [
        linear_model.LinearRegression(),
        ensemble.BaggingRegressor(linear_model.LinearRegression()),
        ensemble.BaggingClassifier(linear_model.LogisticRegression()),
        forest.ARFRegressor(aggregation_method="median"),
        forest.ARFRegressor(aggregation_method="mean", disable_weighted_vote=False),
    ],
    ids=lambda model: type(model).__name__,
)
def test_what_is_not_a_sum_of_trees_is_left_to_others(model: Any) -> None:
    assert explainer_of_trees(model) is None


def test_a_tree_just_reset_casts_no_vote() -> None:
    case, model, explainer = case_of("bare forest")
    row = next(iter(stream(1, seed=8)))
    model.data[1] = model._new_base_model()
    explainer.learned(row.x)
    said = explainer.explain(row.x, OWNER, case.task)
    others = [tree for n, tree in enumerate(model) if n != 1]
    weights = [model._metrics[n].get() or 1.0 for n in (0, 2)]
    votes = [one.predict_proba_one(row.x)[True] for one in others]

    assert said is not None
    together = sum(w * v for w, v in zip(weights, votes, strict=True)) / sum(weights)
    assert said.prediction == pytest.approx(together, abs=BOUND)
    assert said.additivity_error <= BOUND


def test_a_forest_of_trees_just_reset_answers_nothing_and_says_so() -> None:
    case, model, explainer = case_of("bare forest")
    for number in range(len(model)):
        model.data[number] = model._new_base_model()
        model.data[number].classes.add(True)
    explainer.learned({"s0": 0.5})
    said = explainer.explain({"s0": 0.5}, OWNER, case.task)

    assert said is not None
    assert (said.base, said.prediction) == (0.0, 0.0)


def test_a_leaf_that_has_seen_nothing_answers_nothing() -> None:
    case, model, _ = case_of("tree")
    leaf = model._root.traverse({"s0": 0.1, "s1": 0.9, "s2": 0.5, "s3": 0.5})
    leaf.stats = {}
    row = Row({"s0": 0.1, "s1": 0.9, "s2": 0.5, "s3": 0.5}, 0.0, 0.0)
    said = made(model).explain(row.x, OWNER, case.task)
    game = Game(model, row.x, OWNER, label=True)

    assert said is not None
    assert said.prediction == 0.0
    assert said.support == 0.0
    assert attributions(said) == pytest.approx(game.shares(), abs=BOUND)


def test_what_weighs_nothing_is_shared_out_evenly() -> None:
    case, model, _ = case_of("linear leaves")
    branch = next(node for node in model._root.iter_branches() if node is not model._root)
    for leaf in branch.iter_leaves():
        leaf.stats = Var()
    for row in stream(40, seed=3):
        said = made(model).explain(row.x, OWNER, case.task)
        shares = Game(model, row.x, OWNER).shares()
        assert attributions(said) == pytest.approx(shares, abs=BOUND)


def test_where_nobody_votes_there_is_nothing_to_share_out() -> None:
    model: Any = ensemble.BaggingClassifier(BY_NAME["tree"].build(), n_models=2, seed=1)
    for row in stream(300):
        learn(model, row, BINARY)
    z = dict.fromkeys(NUMBERS, 0.1)
    for one in model:
        one._root.traverse(z).stats = {}
    said = made(model).explain(z, OWNER, BINARY)

    assert said is not None
    assert (said.base, said.prediction) == (0.0, 0.0)
    assert set(attributions(said).values()) == {0.0}


@pytest.mark.parametrize("name", ["number tree", "mondrian number forest", "half-space trees"])
def test_a_number_on_a_threshold_goes_where_the_model_sends_it(name: str) -> None:
    case, model, explainer = case_of(name)
    roots = [root_of(tree) for tree, _ in Game(model, {}, OWNER).members()]
    branches = [node for root in roots for node in root.iter_branches()]
    for node in branches[:60]:
        z = {**dict.fromkeys(NUMBERS, 0.4), node.feature: node.threshold}
        shares = Game(model, z, OWNER).shares()
        assert attributions(explainer.explain(z, OWNER, case.task)) == pytest.approx(
            shares, abs=BOUND
        )


@pytest.mark.parametrize("name", ["number tree", "number forest"])
def test_a_value_that_is_no_number_goes_where_the_model_sends_it(name: str) -> None:
    case, model, explainer = case_of(name)
    for feature in NUMBERS:
        z = {**dict.fromkeys(NUMBERS, 0.4), feature: math.nan}
        said = explainer.explain(z, OWNER, case.task)
        assert attributions(said) == pytest.approx(Game(model, z, OWNER).shares(), abs=BOUND)


@pytest.mark.parametrize("x", [{}, {"recipe": "unheard of"}], ids=["missing", "unknown"])
def test_what_stands_beside_the_leaves_answers_twice_to_a_case_that_was_lost(x: Any) -> None:
    model: Any = BY_NAME["adaptive tree of texts"].build()
    for row in stream(2_000, has_texts=True):
        model.learn_one({"recipe": row.x.get("recipe", "slow"), **row.x}, row.label(BINARY))
        lost = [node for node in model._root.iter_branches() if node.feature == "recipe"]
        under = [node.most_common_path()[1] for node in lost]
        found = [node for node in under if hasattr(node, "feature")]
        if found:
            break
    found[0]._alternate_tree = model._new_leaf({True: 9.0, False: 1.0}, found[0])
    z = {**dict.fromkeys(NUMBERS, 0.4), **x}
    said = made(model).explain(z, OWNER, BINARY)

    assert said is not None
    assert said.additivity_error <= BOUND
    assert attributions(said) == pytest.approx(Game(model, z, OWNER, True).shares(), abs=BOUND)


@pytest.mark.parametrize("name", ["linear leaves", "number forest", "half-space trees"])
def test_columns_of_one_player_join_together(name: str) -> None:
    case, model, explainer = case_of(name)
    owner = {"s0": "left", "s1": "right", "s2": "left", "s3": "right"}
    for row in stream(25, seed=6):
        said = explainer.explain(row.x, owner, case.task)
        game = Game(model, row.x, owner)

        assert game.players == list(attributions(said)) == ["left", "right"]
        assert attributions(said) == pytest.approx(game.shares(), abs=BOUND)


def test_the_columns_of_a_category_are_one_player() -> None:
    model: Any = tree.HoeffdingTreeClassifier(leaf_prediction="mc", grace_period=20, delta=0.1)
    owner = {"s0": "s0", "s1": "s1"} | {f"recipe_{name}": "recipe" for name in RECIPES}
    explainer = made(model)
    asked = 0
    for row in stream(400, has_texts=True):
        recipe = row.x.get("recipe")
        z = {name: value for name, value in row.x.items() if name in ("s0", "s1")}
        z |= {f"recipe_{name}": float(name == recipe) for name in RECIPES if recipe is not None}
        said = explainer.explain(z, owner, BINARY)
        if said is not None:
            shares = Game(model, z, owner, label=True).shares()
            assert attributions(said) == pytest.approx(shares, abs=BOUND)
            asked += len({node.feature for node in model._root.iter_branches()} & {*owner} - {"s0"})
        model.learn_one(z, row.label(BINARY))
        explainer.learned(z)
    assert asked


def test_a_change_of_players_is_followed() -> None:
    case, _, explainer = case_of("number forest")
    row = next(iter(stream(1, seed=2)))
    apart = explainer.explain(row.x, OWNER, case.task)
    together = explainer.explain(row.x, dict.fromkeys(NUMBERS, "all"), case.task)
    turned = explainer.explain(row.x, dict(reversed(OWNER.items())), case.task)

    assert together is not None
    assert [share.feature for share in together.shares] == ["all"]
    assert list(attributions(turned)) == list(reversed(attributions(apart)))
    assert attributions(turned) == pytest.approx(attributions(apart), abs=BOUND)


@pytest.mark.parametrize("name", ["linear leaves", "number tree"])
def test_a_column_that_nobody_owns_plays_for_itself(name: str) -> None:
    case, model, explainer = case_of(name)
    extra = {"s9": 5.0}
    for row in stream(60, seed=7):
        said = explainer.explain({**row.x, **extra}, {"s0": "s0"}, case.task)
        assert said is not None
        assert said.additivity_error <= 1e-9
        model.learn_one({**row.x, **extra}, row.height + 1.0)
        explainer.learned({**row.x, **extra})


@pytest.mark.parametrize("kind", ["nb", "nba"])
def test_leaves_that_answer_by_bayes_leave_a_residual_and_say_so(kind: str) -> None:
    model: Any = tree.HoeffdingTreeClassifier(leaf_prediction=kind, grace_period=100, delta=0.05)
    explainer = made(model)
    residuals = []
    for row in stream(500):
        said = explainer.explain(row.x, OWNER, BINARY)
        if said is not None:
            assert not said.exact
            assert said.additivity_error <= BOUND
            residuals.append(said.residual)
            leaf = model._root.traverse(row.x) if hasattr(model._root, "traverse") else model._root
            constant = leaf.stats.get(True, 0.0) / sum(leaf.stats.values())
            assert said.prediction - said.residual == pytest.approx(constant, abs=BOUND)
        model.learn_one(row.x, row.label(BINARY))
        explainer.learned(row.x)
    assert max(map(abs, residuals)) > 0.01


def test_the_known_answer_is_not_asked_for_again() -> None:
    case, _, explainer = case_of("number tree")
    said = explainer.explain({"s0": 0.5}, OWNER, case.task, Answer(123.0, None, None))

    assert said is not None
    assert said.prediction == 123.0


@pytest.mark.parametrize(("task", "key"), [(BINARY, "true"), (Multiclass(), "c2")])
def test_the_class_explained_is_named_as_predictions_name_it(task: Task, key: str) -> None:
    model: Any = tree.HoeffdingTreeClassifier(leaf_prediction="mc")
    for row in stream(200):
        model.learn_one(row.x, row.label(task))
    said = made(model).explain({"s0": 0.5}, OWNER, task)

    assert said is not None
    assert said.target_class == key
    assert said.contrast_class is None
    assert said.output_space == "probability"
    assert said.reference_kind == "tree cover"
    assert said.reference_n == 200
    assert said.missing == ("s1", "s2", "s3", "recipe")


def test_support_is_the_weight_of_the_leaf_that_answered() -> None:
    case, model, explainer = case_of("number tree of texts")
    for row in stream(20, has_texts=True, seed=2):
        said = explainer.explain(row.x, OWNER, case.task)
        assert said is not None
        assert said.support == model._root.traverse(row.x).total_weight


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case.name).replace(" ", "-"))
def test_explaining_changes_nothing_and_says_the_same_again(case: Case) -> None:
    asked, alone = case.build(), case.build()
    explainer = made(asked)
    rows = list(stream(min(case.rows, 250), has_texts=case.has_texts))
    for row in rows:
        first = explainer.explain(row.x, OWNER, case.task)
        assert repr(explainer.explain(row.x, OWNER, case.task)) == repr(first)
        learn(asked, row, case.task)
        learn(alone, row, case.task)
        explainer.learned(row.x)
    ask = {"regression": "predict_one", "anomaly": "score_one"}.get(
        case.task.name, "predict_proba_one"
    )
    for row in stream(50, has_texts=case.has_texts, seed=5):
        assert repr(getattr(asked, ask)(row.x)) == repr(getattr(alone, ask)(row.x))


def test_a_case_learned_several_times_on_one_way_is_followed() -> None:
    case, model, explainer = case_of("tree")
    rng = random.Random(1)
    for row in stream(100, seed=6):
        for _ in range(rng.randrange(1, 12)):
            learn(model, row, case.task)
        explainer.learned(row.x)
        assert repr(explainer.explain(row.x, OWNER, case.task)) == repr(
            made(model).explain(row.x, OWNER, case.task)
        )

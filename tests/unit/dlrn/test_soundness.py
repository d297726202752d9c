"""What scoring relies on is asked once, of every array: one test a reason, on a small model written down by hand."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier

from cvtbatch.dlrn.attention import Attention
from cvtbatch.dlrn.forest import FlatForest, flatten
from cvtbatch.dlrn.model import NO_SCORE, FrozenModel, score_rows
from cvtbatch.dlrn.nomogram import Axis, Nomogram
from cvtbatch.dlrn.settings import SIGNATURES, Model
from cvtbatch.dlrn.soundness import forest_problems, model_problems, out_of_fold_problems

# Two trees over columns 0 and 1: a root with two leaves, and one whose right child is split again.
FOREST = FlatForest(
    roots=np.array([0, 3], np.int32),
    depths=np.array([1, 2], np.int32),
    column=np.array([0, 0, 0, 1, 0, 0, 0, 0], np.int32),
    threshold=np.array([0.5, np.inf, np.inf, 0.1, np.inf, 0.2, np.inf, np.inf]),
    child=np.array([[1, 2], [1, 1], [2, 2], [4, 5], [4, 4], [6, 7], [6, 6], [7, 7]], np.int32),
    share=np.array([0.5, 0.0, 1.0, 0.5, 0.25, 0.75, 0.5, 1.0]),
)
TERMS = (-2.0, 3.0, 1.5)


def sound_model() -> FrozenModel:
    used = np.array([0, 1], np.int64)
    return FrozenModel(
        radiomics=("a", "b"),
        components=("dl_001",),
        loadings=np.ones((4, 1)),
        offset=np.zeros(1),
        mean=np.zeros(3),
        scale=np.ones(3),
        low=-np.ones(3),
        high=np.ones(3),
        used=dict.fromkeys(SIGNATURES, used),
        forests=dict.fromkeys(SIGNATURES, FOREST),
        terms=np.array(TERMS),
        nomogram=Nomogram((Axis("dlr", 0.0, 1.0, 0.0, 100.0), Axis("epilepsy", 0.0, 1.0, 0.0, 50.0)), -2.0, 0.03),
        distance_columns=used,
        whitening=np.eye(2),
        training_distances=np.array([0.5, 1.0]),
        thresholds={model: {"youden": 0.5, "sens90": 0.25, "sens95": 0.0} for model in Model},
        missing_feature=NO_SCORE,
    )


def with_forest(**parts: object) -> FrozenModel:
    model = sound_model()
    return replace(model, forests={**model.forests, Model.DL: replace(FOREST, **parts)})  # type: ignore[arg-type]


def put(array: np.ndarray, place: object, value: float) -> np.ndarray:  # type: ignore[type-arg]
    changed = array.copy()
    changed[place] = value
    return changed


def test_a_sound_model_has_no_problem_and_scores_by_hand() -> None:
    model = sound_model()
    assert model_problems(model) == []
    rows = np.array([[0.6, 0.0], [0.4, 0.15]])
    scores = score_rows(model, rows, np.zeros((2, 4), np.float32), {"epilepsy": np.array([1.0, 0.0])})
    # Column 0 on 0.5; column 1 on 0.1, then column 0 on 0.2.
    assert scores.score[Model.DLR].tolist() == [(1.0 + 0.25) / 2, (0.0 + 1.0) / 2]


FORESTS: dict[str, Callable[[], FrozenModel]] = {
    "child leads back": lambda: with_forest(child=put(FOREST.child, (5, 0), 3)),
    "child leads back, or out of its tree": lambda: with_forest(child=put(FOREST.child, (0, 0), 4)),
    "out of its tree": lambda: with_forest(child=put(FOREST.child, (5, 1), 2**31 - 1)),
    "out of its tree ": lambda: with_forest(child=put(FOREST.child, (5, 1), -(2**31))),
    "to a node twice": lambda: with_forest(child=put(FOREST.child, (5, 1), 6)),
    "column is none of its signature": lambda: with_forest(column=put(FOREST.column, 3, 2)),
    "column is none of its signature ": lambda: with_forest(column=put(FOREST.column, 3, -1)),
    "that of a leaf is not 0": lambda: with_forest(column=put(FOREST.column, 7, 2**31 - 1)),
    "threshold is not finite": lambda: with_forest(threshold=put(FOREST.threshold, 0, np.nan)),
    "threshold is not finite ": lambda: with_forest(threshold=put(FOREST.threshold, 0, np.inf)),
    "that of a leaf is not infinite": lambda: with_forest(threshold=put(FOREST.threshold, 1, 0.0)),
    "share is outside 0 to 1": lambda: with_forest(share=put(FOREST.share, 1, np.nan)),
    "depths are not the numbers of steps": lambda: with_forest(depths=np.array([1, 2**31 - 1], np.int32)),
    "depths are not the numbers of steps ": lambda: with_forest(depths=np.array([1, 1], np.int32)),
    "roots are not first nodes": lambda: with_forest(roots=np.array([0, 8], np.int32)),
    "roots are not first nodes ": lambda: with_forest(roots=np.array([3, 0], np.int32)),
    "roots are not first nodes  ": lambda: with_forest(
        roots=np.array([0, 2**31 - 1, -(2**31)], np.int32), depths=np.array([1, 2, 1], np.int32)
    ),
    "dl.roots is int32 of 0": lambda: with_forest(roots=np.zeros(0, np.int32), depths=np.zeros(0, np.int32)),
    "dl.roots is int64": lambda: with_forest(roots=FOREST.roots.astype(np.int64)),
    "dl.child is int32 of 8 x 3": lambda: with_forest(child=np.zeros((8, 3), np.int32)),
    "dl.share is float64 of 7": lambda: with_forest(share=FOREST.share[:-1]),
    "dl.column is int32 of no dimension": lambda: with_forest(column=np.array(1, np.int32)),
}
NUMBERS: dict[str, dict[str, object]] = {
    "scale holds a deviation": {"scale": np.array([1.0, 0.0, 1.0])},
    "scale holds a number that is not finite": {"scale": np.array([1.0, np.nan, 1.0])},
    "mean is float64 of 2, not float64 of 3": {"mean": np.zeros(2)},
    "mean is float32": {"mean": np.zeros(3, np.float32)},
    "loadings is float64 of 4 x 2": {"loadings": np.ones((4, 2))},
    "loadings is float64 of 0 x 1": {"loadings": np.ones((0, 1))},
    "offset holds a number": {"offset": np.array([np.inf])},
    "low is above high": {"low": np.array([2.0, 0, 0])},
    "terms is float64 of 4": {"terms": np.zeros(4)},
    "nomogram gives other odds than terms": {"terms": np.array([-2.0, 3.0, 1.6])},
    "whitening is float64 of 3 x 3": {"whitening": np.eye(3)},
    "distance_columns does not name columns": {"distance_columns": np.array([0, 3])},
    "distance_columns does not name columns ": {"distance_columns": np.array([0, -1])},
    "dlr.used does not name columns": {
        "used": {**dict.fromkeys(SIGNATURES, np.array([0, 1])), Model.DLR: np.array([0, 0])}
    },
    "training_distances are not lengths": {"training_distances": np.array([1.0, 0.5])},
    "training_distances is float64 of 0": {"training_distances": np.zeros(0)},
    "thresholds.rad.youden is no probability": {
        "thresholds": {**sound_model().thresholds, Model.RAD: {"youden": 1.5, "sens90": 0.0, "sens95": 0.0}}
    },
    "names a column twice": {"radiomics": ("a", "a")},
    "columns names epilepsy": {"radiomics": ("a", "epilepsy")},
    "recalibration is not finite": {"recalibration": np.array([0.0, -1.0])},
    "axes are not dlr and epilepsy": {"nomogram": Nomogram(sound_model().nomogram.axes[::-1], -2.0, 0.03)},
    "attention.hidden is float64 of 3 x 2, not float64 of 4 x 2": {
        "attention": Attention(np.zeros((3, 2)), np.zeros(2), np.zeros(2))
    },
    "attention.weights is float64 of 0": {"attention": Attention(np.zeros((4, 0)), np.zeros(0), np.zeros(0))},
    "attention holds a number that is not finite": {
        "attention": Attention(np.zeros((4, 2)), np.zeros(2), np.full(2, 1e308))
    },
    "nomogram holds a number": {"nomogram": Nomogram(sound_model().nomogram.axes, -2.0, float("nan"))},
}


@pytest.mark.parametrize("said", FORESTS)
def test_a_forest_that_cannot_be_walked_is_named(said: str) -> None:
    problems = model_problems(FORESTS[said]())
    assert any(said.strip() in problem for problem in problems), problems


@pytest.mark.parametrize("said", NUMBERS)
def test_a_number_that_cannot_be_scored_with_is_named(said: str) -> None:
    problems = model_problems(replace(sound_model(), **NUMBERS[said]))  # type: ignore[arg-type]
    assert any(said.strip() in problem for problem in problems), problems


@pytest.mark.parametrize(
    "parameters",
    [
        {"max_depth": None, "class_weight": "balanced"},
        {"max_depth": 1},
        {"max_leaf_nodes": 9, "max_depth": 7},
        {"criterion": "log_loss", "min_samples_leaf": 60},
        {"max_depth": 3, "ccp_alpha": 0.01},
    ],
)
def test_every_forest_that_scikit_learn_grows_is_sound(parameters: dict[str, object]) -> None:
    rng = np.random.default_rng(8)
    values = rng.standard_normal((100, 3)).astype(np.float32)
    outcome = (values[:, 0] + rng.standard_normal(100) > 0.7).astype(np.int64)
    estimator = RandomForestClassifier(20, random_state=0, **parameters).fit(values, outcome)
    used = np.array([5, 2, 9], np.int64)
    assert list(forest_problems(flatten(estimator, used.tolist()), used)) == []


def test_a_walk_that_never_ends_is_found_in_time_for_its_nodes() -> None:
    """A chain of 5,000 nodes is deeper than any tree that grows; one of 4,000 is not."""
    for steps, wanted in ((4000, []), (5000, ["rad: depths are not the numbers of steps to the farthest leaves"])):
        nodes = 2 * steps + 1
        child = np.repeat(np.arange(nodes, dtype=np.int32)[:, None], 2, axis=1)
        child[:-1:2] = np.stack([np.arange(1, nodes, 2), np.arange(2, nodes, 2)], axis=1)
        leaf = child[:, 0] == np.arange(nodes)
        forest = FlatForest(
            np.zeros(1, np.int32),
            np.array([steps], np.int32),
            np.zeros(nodes, np.int32),
            np.where(leaf, np.inf, 0.5),
            child,
            np.full(nodes, 0.5),
        )
        model = sound_model()
        assert model_problems(replace(model, forests={**model.forests, Model.RAD: forest})) == wanted


def test_out_of_fold_scores_are_sorted_probabilities() -> None:
    sound = {"out_of_fold.dlr.events": np.array([0.1, 0.5]), "out_of_fold.dlr.others": np.array([0.0, 1.0])}
    assert out_of_fold_problems(sound) == []
    assert out_of_fold_problems({"out_of_fold.dlrn.events": np.array([0.3 + 2**-53, 0.3])}) == []
    for wrong in (np.array([0.5, 0.1]), np.array([0.1, np.nan]), np.array([-0.1]), np.array([[0.1]]), np.array([1])):
        [problem] = out_of_fold_problems({**sound, "out_of_fold.dlr.others": wrong})
        assert "out_of_fold.dlr.others" in problem

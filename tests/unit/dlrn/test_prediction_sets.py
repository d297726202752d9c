"""Prediction sets: CV+ of the paper, by hand; the folds' models as they were fitted; and what is promised, kept."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from safetensors.numpy import load_file
from scipy.special import expit

from cvtbatch import contracts
from cvtbatch.cli import cli
from cvtbatch.dlrn import load_bundle
from cvtbatch.dlrn.bundle import Bundle
from cvtbatch.dlrn.bundle_files import ARRAYS
from cvtbatch.dlrn.clinical_terms import EPILEPSY
from cvtbatch.dlrn.cohort import Cohort
from cvtbatch.dlrn.fit import fit_model
from cvtbatch.dlrn.model_arrays import problems_of
from cvtbatch.dlrn.nomogram import NO_NOMOGRAM
from cvtbatch.dlrn.prediction_sets import PredictionSets, coverage_bound
from cvtbatch.dlrn.recalibration import Function, recalibrate_bundle
from cvtbatch.dlrn.settings import Model
from cvtbatch.dlrn.tasks import TaskResult, nomogram_scores, plan_tasks, run_task
from cvtbatch.errors import InputError
from tests.support.cohorts import (
    RECALIBRATION,
    SMALLEST_JOB,
    SPECS,
    CohortPlan,
    as_table,
    made_cohort,
    of_two_centers,
    settings,
    surroundings,
    write,
)

PLAN = CohortPlan(cases=80, positives=32, radiomics=30, length=12, effect=1.0, epilepsy=(0.2, 0.5))
WANTED = settings(
    *SMALLEST_JOB,
    "fit.crossfit_folds=3",
    "fit.prediction_sets.alpha=0.2",
    "fit.harmonise.method=combat",
)


def by_hand(training: list[tuple[int, int, float]], probability: np.ndarray, alpha: float) -> list[tuple[bool, bool]]:
    """Return for each case whether its set holds classes 1 and 0: algorithm 2 of Romano, Sesia and Candes, within a class.

    Args:
        training: fold, class and probability of class 1 of each training case, by the model of its fold.
        probability: (K, n) of new cases, by the model of each fold.
    """
    found = []
    for case in range(probability.shape[1]):
        holds = []
        for label in (1, 0):
            smaller = among = 0
            for fold, own, scored in training:
                if own == label:
                    among += 1
                    of_training = 1 - scored if label else scored
                    of_case = 1 - probability[fold, case] if label else probability[fold, case]
                    smaller += of_training < of_case
            holds.append(smaller < (1 - alpha) * (among + 1))
        found.append((holds[0], holds[1]))
    return found


def sets_of(training: list[tuple[int, int, float]], folds: int, alpha: float) -> PredictionSets:
    scores = [
        tuple(np.sort([p for fold, own, p in training if (fold, own) == (place, side)]) for side in (1, 0))
        for place in range(folds)
    ]
    return PredictionSets(alpha, tuple(scores))


@pytest.mark.parametrize("alpha", [0.05, 0.2, 0.4, 0.6])
def test_sets_are_those_of_the_paper_ties_among_them(alpha: float) -> None:
    rng = np.random.default_rng(3)
    # Sixty-fourths, so that 1 - p is exact and many are equal.
    training = [
        (int(fold), int(label), float(p))
        for fold, label, p in zip(
            rng.integers(0, 4, 90), rng.integers(0, 2, 90), rng.integers(0, 65, 90) / 64, strict=True
        )
    ]
    probability = rng.integers(0, 65, (4, 200)) / 64
    event, other = sets_of(training, 4, alpha).holds(probability).T
    found = list(zip(event.tolist(), other.tolist(), strict=True))
    assert found == by_hand(training, probability, alpha)
    if alpha == 0.6:
        assert {(False, False), (True, False), (False, True)} <= set(found)


def test_the_bound_is_the_theorems() -> None:
    # Of as many folds as cases it is 1 - 2 alpha; of 100 cases in 5 folds, 2 (1 - 1/5) / (100/5 + 1) less.
    assert coverage_bound(0.1, 40, 40) == pytest.approx(0.8, abs=1e-15)
    assert coverage_bound(0.1, 100, 5) == pytest.approx(0.8 - 1.6 / 21, abs=1e-15)
    # Of 30 in 5, (1 - 5/30) / 6 is the smaller cost.
    assert coverage_bound(0.1, 30, 5) == pytest.approx(0.8 - (5 / 6) / 6, abs=1e-15)
    assert coverage_bound(0.45, 30, 5) == coverage_bound(0.1, 4, 5) == 0.0
    few, many = (
        sets_of([(i % 5, label, 0.5) for label in (0, 1) for i in range(n if label else 100)], 5, 0.1)
        for n in (30, 100)
    )
    assert (few.bound, many.bound) == (coverage_bound(0.1, 30, 5), coverage_bound(0.1, 100, 5))


def test_sets_hold_each_class_as_often_as_they_promise() -> None:
    """Of made-up cases and a linear rule that is learnt in each fold, one class three times rarer than the other."""
    rng, held = np.random.default_rng(4), []
    folds = np.arange(80) % 5
    for _ in range(60):
        label = (rng.permutation(380) % 4 == 0).astype(int)
        values = rng.standard_normal((380, 6)) + 0.6 * label[:, None] * (np.arange(6) < 2)
        train, new = slice(0, 80), slice(80, None)
        training, probability = [], []
        for fold in range(5):
            own, out = folds != fold, folds == fold
            mean = [values[train][own & (label[train] == side)].mean(axis=0) for side in (0, 1)]
            weights, middle = mean[1] - mean[0], (mean[0] + mean[1]) / 2
            scored = expit((values - middle) @ weights)
            training += [
                (fold, *pair) for pair in zip(label[train][out].tolist(), scored[train][out].tolist(), strict=True)
            ]
            probability.append(scored[new])
        event, other = sets_of(training, 5, 0.2).holds(np.array(probability)).T
        held.append([event[label[new] == 1].mean(), other[label[new] == 0].mean()])
    # Far above the bounds, 0.43 and 0.50, and near 1 - alpha, as the paper finds.
    assert (np.abs(np.mean(held, axis=0) - 0.8) < 0.05).all()


@pytest.fixture(scope="module")
def cohort() -> Cohort:
    drawn = of_two_centers(made_cohort(PLAN, 2), np.arange(80) % 5 < 2, 2)
    epilepsy = np.array(drawn.clinical[EPILEPSY], np.float64)
    epilepsy[::20] = np.nan
    return replace(drawn, clinical={EPILEPSY: epilepsy})


@pytest.fixture(scope="module")
def folder(cohort: Cohort, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sets") / "bundle"
    write(folder, fit_model(cohort, WANTED, SPECS, surroundings(cohort)), cohort)
    return folder


@pytest.fixture(scope="module")
def bundle(folder: Path) -> Bundle:
    return load_bundle(folder)


def fold_scores(result: TaskResult, cohort: Cohort) -> np.ndarray:
    """Return the probabilities that a fold's fitted signatures and nomogram give to a whole cohort."""
    assert result.signatures is not None
    assert result.nomogram is not None
    fit, terms = result.nomogram
    votes = result.signatures.score(cohort, np.arange(len(cohort.keys)))[Model.DLR]
    return nomogram_scores(fit, votes, cohort.clinical, terms)


def test_a_bundles_sets_are_made_by_the_models_of_its_folds_as_they_were_fitted(cohort: Cohort, bundle: Bundle) -> None:
    results = [
        run_task(cohort, WANTED, task) for task in plan_tasks(cohort, WANTED) if task.name.startswith("crossfit")
    ]
    training = [
        (fold, int(cohort.outcome[row]), float(p))
        for fold, result in enumerate(results)
        for row, p in zip(result.task.test, result.scores[Model.DLRN], strict=True)
        if not np.isnan(p)
    ]
    assert len(training) == 76
    new = of_two_centers(made_cohort(PLAN, 7), np.arange(80) % 3 == 0, 2)
    epilepsy = np.array(new.clinical[EPILEPSY], np.float64)
    epilepsy[5] = np.nan
    new = replace(new, clinical={EPILEPSY: epilepsy})
    probability = np.array([fold_scores(result, new) for result in results])
    table = as_table(new, {"center": new.centers})
    scored = bundle.score(table)
    found = list(zip(scored["set_event"].to_pylist(), scored["set_other"].to_pylist(), strict=True))
    expected: list[tuple[bool, bool] | tuple[None, None]] = [*by_hand(training, probability, 0.2)]
    expected[5] = (None, None)
    assert found == expected
    assert len(set(found)) >= 4
    alone = bundle.score(table.slice(11, 1))
    assert (alone["set_event"][0].as_py(), alone["set_other"][0].as_py()) == found[11]


def test_a_bundle_says_what_it_promises_and_asks_for_the_columns_of_all_folds(bundle: Bundle) -> None:
    told = bundle.document["prediction_sets"]
    sets = bundle.model.sets
    assert sets is not None
    assert (told["method"], told["alpha"], told["by_class"], len(told["folds"])) == ("cv+", 0.2, True, 3)
    counts = [sum(map(len, of_class)) for of_class in zip(*sets.scores, strict=True)]
    assert sum(counts) == 76
    assert told["bound"] == min(coverage_bound(0.2, count, 3) for count in counts)
    for fold in told["folds"]:
        assert set(fold["columns"]["radiomics"]) <= set(bundle.needed_columns())
        assert fold["harmonisation"]["centers"] == ["C1", "C2"]
    assert len({tuple(fold["columns"]["radiomics"]) for fold in told["folds"]}) > 1


def test_the_command_tells_what_sets_promise_and_of_whom(folder: Path, bundle: Bundle) -> None:
    whole = CliRunner().invoke(cli, ["bundle", "show", str(folder), "--json"])
    document = json.loads(whole.stdout)
    assert contracts.problems_of(document, "commands/bundle.json") == []
    told = bundle.document["prediction_sets"]
    assert document["prediction_sets"] == {"method": "cv+", "alpha": 0.2, "bound": told["bound"], "folds": 3}
    text = " ".join(CliRunner().invoke(cli, ["bundle", "show", str(folder)]).stdout.split())
    assert f"hold at least {100 * told['bound']:.1f} % of each class" in text
    assert "which a new centre's are not" in text


def test_a_recalibration_leaves_sets_as_they_are(cohort: Cohort, bundle: Bundle, folder: Path, tmp_path: Path) -> None:
    recalibrate_bundle(folder, tmp_path / "again", Function(-0.7, 0.5), RECALIBRATION)
    table = as_table(cohort, {"center": cohort.centers})
    found, own = (of.score(table) for of in (load_bundle(tmp_path / "again"), bundle))
    assert found["dlrn"] != own["dlrn"]
    for column in ("set_event", "set_other"):
        assert found[column] == own[column]


def test_folds_that_are_no_models_are_no_bundle(bundle: Bundle, folder: Path) -> None:
    arrays, told = load_file(folder / ARRAYS), bundle.description
    assert told.prediction_sets is not None
    lacking = {name: array for name, array in arrays.items() if not name.startswith("fold-2.out_of_fold")}
    half = {name: array for name, array in arrays.items() if name != "fold-3.out_of_fold.dlrn.others"}
    for changed, message in (
        (half, "fold-3. arrays.safetensors lacks the DLRN's scores"),
        (lacking, "fold-2. arrays.safetensors lacks the DLRN's scores"),
        ({**arrays, "fold-1.scale": -arrays["fold-1.scale"]}, "fold-1. scale holds a deviation"),
        ({**arrays, "fold-3.dlr.child": arrays["fold-3.dlr.child"] + 1}, "fold-3. dlr: child leads"),
        ({**arrays, "fold-4.scale": arrays["scale"]}, "holds fold-4.scale, which are no arrays of a model"),
        ({**arrays, "fold-1.more": arrays["scale"]}, "fold-1. arrays.safetensors holds more"),
    ):
        assert any(message in problem for problem in problems_of(told, changed)), message
    plain = {name: array for name, array in arrays.items() if not name.startswith("harmonisation")}
    assert "of the whole cohort, or of a fold" in problems_of(replace(told, harmonisation=None), plain)[0]
    first, *others = told.prediction_sets.folds
    bare = (replace(first, nomogram=NO_NOMOGRAM), *others)
    without = replace(told, prediction_sets=replace(told.prediction_sets, folds=bare))
    assert problems_of(without, arrays)[0].startswith("fold-1. nomogram.axes are not dlr and ")
    promised = replace(told, prediction_sets=replace(told.prediction_sets, bound=0.99))
    assert problems_of(promised, arrays) == ["prediction_sets promise what CV+ of so many cases does not"]


def test_the_studys_protocol_has_no_folds_to_make_sets_of() -> None:
    with pytest.raises(InputError, match=r"fit\.protocol=study freezes one that has none") as caught:
        settings("fit.prediction_sets.alpha=0.1", "fit.protocol=study")
    assert caught.value.kind == "bad_job"

"""Prediction sets of several classes: the paper's rule by hand, made-up cohorts, and a bundle of a fit."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file
from scipy.special import softmax

from cvtbatch import contracts
from cvtbatch.dlrn.bundle import Bundle, load_bundle
from cvtbatch.dlrn.bundle_files import ARRAYS
from cvtbatch.dlrn.clinical_terms import EPILEPSY
from cvtbatch.dlrn.cohort import Cohort
from cvtbatch.dlrn.fit import fit_model
from cvtbatch.dlrn.model_arrays import problems_of
from cvtbatch.dlrn.prediction_sets import PredictionSets, coverage_bound, held_out_scores
from cvtbatch.dlrn.settings import Model
from cvtbatch.dlrn.tasks import plan_tasks, run_task
from cvtbatch.errors import InputError
from cvtbatch.pipelines.cases.case_inputs import CaseInputs
from cvtbatch.pipelines.cases.predict import predict_case
from cvtbatch.reporting.outlined_slice import OutlinedSlice
from cvtbatch.validation.report.card import card_lines, card_page
from tests.support.class_cohorts import CLASSES, JOB, class_cohort, write_classes
from tests.support.cohorts import SPECS, as_table, settings, surroundings

ALPHA = 0.2
WANTED = settings(
    *JOB, "fit.nested.repeats=0", f"fit.prediction_sets.alpha={ALPHA}", "fit.clinical.candidates=[x_score, x_noise]"
)

# Fold, class, and the probabilities of all classes by the model of the fold.
Training = list[tuple[int, int, list[float]]]


def by_hand(training: Training, probability: np.ndarray, alpha: float) -> list[list[bool]]:
    """Return for each case which classes its set holds: algorithm 2 of Romano, Sesia and Candes, within a class.

    Args:
        probability: (K, n, C) of new cases, by the model of each fold.
    """
    found = []
    for case in range(probability.shape[1]):
        holds = []
        for label in range(probability.shape[2]):
            smaller = among = 0
            for fold, own, scored in training:
                if own == label:
                    among += 1
                    smaller += 1 - scored[label] < 1 - probability[fold, case, label]
            holds.append(smaller < (1 - alpha) * (among + 1))
        found.append(holds)
    return found


def sets_of(training: Training, folds: int, alpha: float) -> PredictionSets:
    scores = []
    for place in range(folds):
        own = [(label, scored) for fold, label, scored in training if fold == place]
        scores.append(held_out_scores(np.array([label for label, _ in own]), np.array([scored for _, scored in own])))
    return PredictionSets(alpha, tuple(scores))


@pytest.mark.parametrize("alpha", [0.05, 0.2, 0.6])
def test_sets_are_those_of_the_paper_ties_among_them(alpha: float) -> None:
    rng = np.random.default_rng(3)
    # Sixty-fourths, so that 1 - p is exact and many are equal.
    training = [
        (int(fold), int(label), scored)
        for fold, label, scored in zip(
            rng.integers(0, 4, 120),
            rng.integers(0, 3, 120),
            (rng.integers(0, 65, (120, 3)) / 64).tolist(),
            strict=True,
        )
    ]
    probability = rng.integers(0, 65, (4, 150, 3)) / 64
    found = sets_of(training, 4, alpha).holds(probability).tolist()
    assert found == by_hand(training, probability, alpha)
    if alpha == 0.6:
        assert {0, 1, 2} <= {sum(held) for held in found}


def test_of_two_classes_told_as_several_sets_are_those_of_an_event() -> None:
    rng = np.random.default_rng(5)
    outcome, scored, new = rng.integers(0, 2, 60), rng.integers(0, 65, 60) / 64, rng.integers(0, 65, (2, 80)) / 64
    halves = (slice(0, 30), slice(30, 60))
    event = PredictionSets(ALPHA, tuple(held_out_scores(outcome[own], scored[own]) for own in halves))
    both = np.column_stack([1 - scored, scored])
    several = PredictionSets(ALPHA, tuple(held_out_scores(outcome[own], both[own]) for own in halves))
    assert (event.holds(new) == several.holds(np.stack([1 - new, new], axis=2))[:, ::-1]).all()
    assert event.bound == several.bound


def test_sets_hold_each_class_as_often_as_they_promise() -> None:
    """Of made-up cases and a linear rule that is learnt in each fold, the rarest class of three a sixth of all."""
    rng, held = np.random.default_rng(4), []
    folds, bounds = np.arange(120) % 5, set()
    for _ in range(60):
        label = np.array([0, 0, 0, 1, 1, 2])[rng.permutation(420) % 6]
        values = rng.standard_normal((420, 6)) + 0.8 * np.eye(3)[label].repeat(2, axis=1)
        train, new = slice(0, 120), slice(120, None)
        training, probability = [], []
        for fold in range(5):
            own, out = folds != fold, folds == fold
            means = np.array([values[train][own & (label[train] == side)].mean(axis=0) for side in range(3)])
            scored = softmax(values @ means.T - (means**2).sum(axis=1) / 2, axis=1)
            training += [(fold, *pair) for pair in zip(label[train][out], scored[train][out].tolist(), strict=True)]
            probability.append(scored[new])
        sets = sets_of(training, 5, ALPHA)
        found = sets.holds(np.array(probability))
        bounds.add(sets.bound)
        held.append([found[label[new] == side, side].mean() for side in range(3)])
    assert max(bounds) < 0.6 - 0.1
    # Far above the bounds, and near 1 - alpha, as the paper finds.
    assert (np.abs(np.mean(held, axis=0) - 0.8) < 0.05).all()


@pytest.fixture(scope="module")
def cohort() -> Cohort:
    drawn = class_cohort(2, 1.5)
    epilepsy = np.array(drawn.clinical[EPILEPSY], np.float64)
    epilepsy[::20] = np.nan
    rng = np.random.default_rng(8)
    score = np.round(rng.normal(drawn.outcome, 1.0), 1)
    return replace(drawn, clinical={EPILEPSY: epilepsy, "x_score": score, "x_noise": rng.normal(size=len(score))})


@pytest.fixture(scope="module")
def folder(cohort: Cohort, tmp_path_factory: pytest.TempPathFactory) -> Path:
    fit = fit_model(cohort, WANTED, SPECS, surroundings(cohort))
    return write_classes(tmp_path_factory.mktemp("sets") / "bundle", fit)


@pytest.fixture(scope="module")
def bundle(folder: Path) -> Bundle:
    return load_bundle(folder)


def test_sets_of_a_bundle_are_those_of_its_folds_as_they_were_fitted(cohort: Cohort, bundle: Bundle) -> None:
    training: Training = []
    of_folds = []
    rows = np.arange(len(cohort.keys))
    for place, task in enumerate(task for task in plan_tasks(cohort, WANTED) if task.name.startswith("crossfit-")):
        result = run_task(cohort, WANTED, replace(task, test=tuple(rows.tolist())))
        # Rounded, so that what is equal but for an ulp is a tie for the rule by hand as well.
        scored = result.scores[Model.DLRN].round(12)
        of_folds.append(scored)
        training += [
            (place, int(cohort.outcome[row]), scored[row].tolist())
            for row in task.test
            if not np.isnan(scored[row]).any()
        ]
    found = bundle.score(as_table(cohort))["set_by_class"].to_pylist()
    wanted = by_hand(training, np.array(of_folds), ALPHA)
    unknown = np.isnan(cohort.clinical[EPILEPSY])
    for row, (own, held) in enumerate(zip(found, wanted, strict=True)):
        assert own == (None if unknown[row] else [int(holds) for holds in held])
    assert {sum(own) for own in found if own is not None} >= {1, 2}
    assert bundle.score(as_table(cohort).slice(11, 1))["set_by_class"][0].as_py() == found[11]
    assert bundle.score(as_table(cohort).slice(0, 0))["set_by_class"].to_pylist() == []


def test_a_card_shows_the_set_that_the_case_has_in_a_table_and_why_there_is_none(
    cohort: Cohort, bundle: Bundle
) -> None:
    rows = bundle.score(as_table(cohort)).to_pylist()
    inside = [place for place, row in enumerate(rows) if not row["outside_features"]]
    picture = OutlinedSlice(np.zeros((4, 4), np.int16), np.ones((4, 4), np.uint8), (1.0, 1.0))
    seen = set()
    for place in (*inside[:6], 20):
        values = dict(zip(cohort.radiomics_names, cohort.radiomics[place].tolist(), strict=True))
        inputs = CaseInputs("one", (), "image", "input", 1.0, 1.0, values, cohort.embedding[place], picture)
        epilepsy = cohort.clinical[EPILEPSY][place]
        known = {"x_score": f"{cohort.clinical['x_score'][place]:g}"}
        if not np.isnan(epilepsy):
            known[EPILEPSY] = f"{epilepsy:g}"
        found = predict_case(bundle, inputs, known)
        document = found.to_document()
        assert contracts.problems_of(document, "commands/predict.json") == []
        page, text = card_page(found.card, "test"), " ".join(card_lines(found.card))
        if rows[place]["set_by_class"] is None:
            assert document["prediction_set"] == {"not_computable": "epilepsy is not known"}
            assert "Prediction set: none: " in text
        else:
            held = [name for name, own in zip(CLASSES, rows[place]["set_by_class"], strict=True) if own]
            assert document["prediction_set"] == held
            assert f"Prediction set: {', '.join(held) or 'empty'} (what it promises" in text
        assert "prediction set" in page
        seen.add(str(document["prediction_set"]))
    assert len(seen) > 2


def test_a_candidate_that_passes_enters_the_nomograms_of_the_bundle_and_of_its_folds(bundle: Bundle) -> None:
    candidates = {row["name"]: (row["test"], row["entered"]) for row in bundle.document["clinical_candidates"]}
    assert candidates == {"x_score": ("ANOVA (Welch)", True), "x_noise": ("ANOVA (Welch)", False)}
    names = ["intercept", "dlr=CVT", "dlr=CAA", EPILEPSY, "x_score"]
    assert [[term.name for term in own.terms] for own in bundle.class_fits().values()] == [[], names, names]
    for model in bundle.model.models:
        assert [term.name for term in model.clinical] == [EPILEPSY, "x_score"]


def test_a_bundle_promises_what_its_rarest_class_allows(cohort: Cohort, bundle: Bundle) -> None:
    told, counts = bundle.document["prediction_sets"], np.bincount(cohort.outcome[~np.isnan(cohort.clinical[EPILEPSY])])
    assert (told["method"], told["alpha"], told["by_class"]) == ("cv+", ALPHA, True)
    assert told["bound"] == coverage_bound(ALPHA, int(counts.min()), len(told["folds"]))
    assert all("nomogram" not in fold for fold in told["folds"])


def test_folds_that_are_no_models_of_the_classes_are_no_bundle(bundle: Bundle, folder: Path) -> None:
    arrays, told = load_file(folder / ARRAYS), bundle.description
    name = "fold-2.out_of_fold.dlrn.class-3"
    lacking = {other: array for other, array in arrays.items() if other != name}
    for changed, message in (
        (lacking, "fold-2. arrays.safetensors lacks the DLRN's scores"),
        ({**arrays, name: arrays[name][::-1].copy()}, f"{name} are not probabilities in ascending order"),
        ({**arrays, "fold-2.out_of_fold.dlrn.class-4": arrays[name]}, "holds out_of_fold.dlrn.class-4, which are no"),
        ({**arrays, "out_of_fold.dlrn.class-1": arrays[name]}, "holds out_of_fold.dlrn.class-1, which are no"),
        ({**arrays, "fold-1.terms": arrays["fold-1.terms"][:1]}, "fold-1. terms is"),
    ):
        found = " ".join(problems_of(told, changed))
        assert message in found.replace("fold-2. out", "fold-2.out")
    assert told.prediction_sets is not None
    promised = replace(told, prediction_sets=replace(told.prediction_sets, bound=0.99))
    assert problems_of(promised, arrays) == ["prediction_sets promise what CV+ of so many cases does not"]
    assert bundle.model.classes == CLASSES


def test_folds_inside_of_folds_for_which_a_class_is_too_rare_are_refused_before_any_fit(cohort: Cohort) -> None:
    rows = [*np.flatnonzero(cohort.outcome < 2), *np.flatnonzero(cohort.outcome == 2)[:5]]
    few = cohort.of_keys([cohort.keys[row] for row in rows])
    with pytest.raises(InputError, match=r"of class 3 of fit\.classes do not make") as refused:
        plan_tasks(few, WANTED)
    assert refused.value.kind == "too_few_patients"

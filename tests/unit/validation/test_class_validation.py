"""The validation of several classes against scikit-learn and statsmodels, and where cases do not suffice."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.special import logit
from sklearn.metrics import confusion_matrix, precision_score, recall_score, roc_auc_score
from statsmodels.api import GLM, add_constant
from statsmodels.genmod.families import Binomial
from statsmodels.stats.proportion import proportion_confint

from cvtbatch.validation.class_validation import ClassCase, ClassValidation, evaluate_classes
from cvtbatch.validation.inputs import CenterCohort
from cvtbatch.validation.report.class_page import class_document, write_class_report
from cvtbatch.validation.report.class_tables import class_tables
from cvtbatch.validation.values import Estimate, Interval, NotComputable
from tests.support.validation_cases import make_provenance

CLASSES = ("HP", "CVT", "CAA")


def drawn(labels: Sequence[str | None], patients: int = 0) -> tuple[ClassValidation, np.ndarray]:
    """Return a validation of cases with these classes, and their probabilities (n, 3)."""
    rng = np.random.default_rng(3)
    own = np.array([CLASSES.index(label) if label else 0 for label in labels], dtype=np.int64)
    odds = rng.normal(size=(len(own), 3)) + 1.2 * np.eye(3)[own]
    probability = np.exp(odds) / np.exp(odds).sum(axis=1, keepdims=True)
    cases = tuple(
        ClassCase(
            key=f"C2/{number:03d}",
            patient=f"p{number % patients if patients else number}",
            outcome=None,
            scores={},
            clinical={},
            label=label,
            by_class={"DLR": tuple(row), "DLRN": tuple(row)},
            by_class_as_they_are={"DLRN": tuple(row[::-1])},
        )
        for number, (label, row) in enumerate(zip(labels, probability.tolist(), strict=True))
    )
    cohort = CenterCohort("C2", cases, (), (), {}, None)
    training: dict[str, tuple[()]] = {"DLR": (), "DLRN": ()}
    return evaluate_classes(cohort, "etiology", CLASSES, training, make_provenance(), 1), probability


LABELS = [*["HP"] * 30, *["CVT"] * 24, *["CAA"] * 16]


def value(found: object) -> float:
    assert isinstance(found, Estimate)
    return found.value


def test_every_number_is_scikit_learns_or_statsmodels() -> None:
    found, probability = drawn(LABELS)
    model, outcome = found.primary_result, np.array([CLASSES.index(label) for label in LABELS])
    called = probability.argmax(axis=1)
    assert value(model.macro) == pytest.approx(roc_auc_score(outcome, probability, multi_class="ovo"))
    assert value(model.macro_as_they_are) == pytest.approx(
        roc_auc_score(outcome, probability[:, ::-1], multi_class="ovo")
    )
    assert found.models[0].macro_as_they_are is None
    assert value(model.accuracy) == pytest.approx((called == outcome).mean())
    assert model.confusion == tuple(map(tuple, confusion_matrix(outcome, called).tolist()))
    for number, own in enumerate(model.classes):
        mine = (outcome == number).astype(np.float64)
        assert value(own.auc) == pytest.approx(roc_auc_score(mine, probability[:, number]))
        assert value(own.recall) == pytest.approx(recall_score(outcome, called, average=None)[number])
        assert value(own.precision) == pytest.approx(precision_score(outcome, called, average=None)[number])
        odds = logit(probability[:, number])
        slope = GLM(mine, add_constant(odds), family=Binomial()).fit(tol=1e-10)
        intercept = GLM(mine, np.ones((70, 1)), offset=odds, family=Binomial()).fit(tol=1e-10)
        assert own.calibration is not None
        assert value(own.calibration.slope) == pytest.approx(slope.params[1], rel=1e-6)
        assert value(own.calibration.intercept) == pytest.approx(intercept.params[0], rel=1e-6)
        assert value(own.observed_over_expected) == pytest.approx(mine.sum() / probability[:, number].sum())
    for pair in model.pairs:
        places = [CLASSES.index(pair.first), CLASSES.index(pair.second)]
        among = np.isin(outcome, places)
        both = [roc_auc_score(outcome[among] == place, probability[among, place]) for place in places]
        assert pair.auc == pytest.approx(np.mean(both))
    assert [own.calibration for own in found.models[0].classes] == [None] * 3


def test_a_class_that_is_not_here_has_no_number_and_the_others_keep_theirs() -> None:
    labels = [label for label in LABELS if label != "CAA"]
    found, probability = drawn(labels)
    model, outcome = found.primary_result, np.array([CLASSES.index(label) for label in labels])
    assert isinstance(model.macro, NotComputable)
    assert model.macro.reason == "no case here is of CAA"
    both = [roc_auc_score(outcome == place, probability[:, place]) for place in (0, 1)]
    assert model.pairs[0].auc == pytest.approx(np.mean(both))
    assert all(isinstance(pair.auc, NotComputable) for pair in model.pairs[1:])
    assert isinstance(model.classes[2].auc, NotComputable)


@pytest.mark.parametrize("labels", [[], ["HP"] * 5, [None, "HP", "CVT"]])
def test_few_cases_make_a_page_that_says_what_is_lacking(labels: list[str | None], tmp_path: Path) -> None:
    found, _ = drawn(labels)
    document = class_document(found)
    assert document["models"][1]["n"] == sum(label is not None for label in labels)
    page = write_class_report(found, tmp_path / "report")
    assert "not computable" in page.read_text()


def test_patients_with_several_cases_widen_intervals() -> None:
    alone, together = (drawn(LABELS, patients)[0].primary_result for patients in (0, 10))
    assert value(alone.macro) == value(together.macro)
    assert isinstance(alone.macro, Estimate)
    assert alone.macro.interval != together.macro.interval  # type: ignore[union-attr]


def test_sets_are_counted_by_the_class_that_cases_have_and_shares_are_statsmodels() -> None:
    held = [("HP",), ("HP", "CVT"), ("CVT",), (), None, ("CVT",), CLASSES, ("CAA", "HP")]
    labels = ["HP"] * 5 + ["CVT"] * 2 + [None]
    plain = [
        ClassCase(key=f"C2/{n}", patient=f"p{n}", outcome=None, scores={}, clinical={}, label=label, held=own)
        for n, (label, own) in enumerate(zip(labels, held, strict=True))
    ]
    training: dict[str, tuple[()]] = {"DLRN": ()}

    def evaluated(cases: Sequence[ClassCase]) -> ClassValidation:
        cohort = CenterCohort("C2", tuple(cases), (), (), {}, None)
        return evaluate_classes(cohort, "etiology", CLASSES, training, make_provenance(), 1)

    found = evaluated(plain)
    hp, cvt, caa = found.sets
    assert (hp.name, hp.n, hp.unknown, hp.sizes) == ("HP", 4, 1, (1, 2, 1, 0))
    assert (cvt.n, cvt.unknown, cvt.sizes) == (2, 0, (0, 1, 0, 1))
    assert isinstance(caa.held, NotComputable)
    assert isinstance(hp.held, Estimate)
    assert isinstance(hp.held.interval, Interval)
    low, high = proportion_confint(2, 4, method="wilson")
    assert (hp.held.value, hp.held.interval.low, hp.held.interval.high) == pytest.approx((0.5, low, high), abs=1e-12)
    assert value(cvt.held) == 1
    tables = {table.name: table for table in class_tables(found)}
    assert tables["sets"].header[-4:] == ("empty", "of one class", "of 2", "of all")
    assert [row[6] for row in tables["cases"].rows][3:5] == ["empty", "none"]
    assert evaluated([replace(case, held=None) for case in plain]).sets == ()

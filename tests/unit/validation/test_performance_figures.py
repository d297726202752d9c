"""What stands in the figures of a model's worth."""

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.axes import Axes
from sklearn.metrics import average_precision_score

from cvtbatch.validation.evaluate import Validation, evaluate
from cvtbatch.validation.outcome import outcome_of
from cvtbatch.validation.report.drawing import Drawing, class_labels, finish, new_figure, style
from cvtbatch.validation.report.performance_figures import draw_performance
from tests.support.validation_cases import make_bundle, make_cohort, make_provenance, make_training


@pytest.fixture(scope="module")
def validation() -> Validation:
    return evaluate(make_cohort(1, 40), make_bundle(), make_training(1), make_provenance(), seed=1)


def test_a_training_auc_has_its_caution_in_the_figure(validation: Validation) -> None:
    caution = "in sample for its coefficients"
    plain, marked = (_draw_auc(validation, text) for text in ("", caution))
    assert plain.png != marked.png
    assert f"(b) {caution}" in marked.alt
    assert caution not in plain.alt


def test_the_area_below_a_drawn_precision_recall_curve_is_the_average_precision(
    validation: Validation, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[tuple[tuple[float, ...], tuple[float, ...]]] = []

    def step(_: Axes, x: tuple[float, ...], y: tuple[float, ...], **how: object) -> None:
        assert how["where"] == "pre"
        drawn.append((x, y))

    monkeypatch.setattr(Axes, "step", step)
    assert any(drawing.name == "precision_recall" for drawing in draw_performance(validation))
    known = [result.case for result in validation.cases if result.case.outcome is not None]
    assert len(drawn) == len(validation.models) == 4
    for (x, y), model in zip(drawn, validation.models, strict=True):
        area = float(np.sum(np.diff(x) * y[1:]))
        outcome, score = zip(*((case.outcome, case.scores[model.name]) for case in known), strict=True)
        assert x[0] == 0
        assert area == pytest.approx(average_precision_score(outcome, score))


@pytest.mark.parametrize(
    ("column", "shown"),
    [
        ("cvt", ("CVT", "other causes")),
        ("x_$a$_b$", ("x_$a$_b$", "no x_$a$_b$")),
        ("x_病", ("event", "no event")),
        ("x_" + "long" * 9, ("event", "no event")),
    ],
)
def test_classes_are_drawn_by_their_names_as_far_as_figures_have_room_and_letters(
    column: str, shown: tuple[str, str]
) -> None:
    assert class_labels(outcome_of(column)) == shown


def test_dollar_signs_are_drawn_as_they_are() -> None:
    with style("dollars"):
        figure, axes = new_figure()
        axes.set(xlabel="x_$a$_b$")
        assert finish(figure, "dollars", "", "").png


def _draw_auc(validation: Validation, caution: str) -> Drawing:
    """Return the figure of AUCs, the primary model's first training AUC having a caution."""
    *others, last = validation.models
    changed = replace(last, training=(replace(last.training[0], caution=caution), *last.training[1:]))
    drawings = draw_performance(replace(validation, models=(*others, changed)))
    return next(drawing for drawing in drawings if drawing.name == "auc")

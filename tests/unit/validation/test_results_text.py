"""results.md: the numbers of report.json in sentences, a legend for every figure, and what must not be claimed."""

import re
from dataclasses import replace
from decimal import Decimal

import pytest

from cvtbatch.validation.evaluate import Validation, evaluate
from cvtbatch.validation.inputs import Scale, scored_cases
from cvtbatch.validation.report.case_words import epilepsy_decides, extrapolated
from cvtbatch.validation.report.document import to_document
from cvtbatch.validation.report.model_figures import draw_model
from cvtbatch.validation.report.performance_figures import draw_performance
from cvtbatch.validation.report.results_text import results_text
from cvtbatch.validation.values import NotComputable
from tests.support.validation_cases import make_bundle, make_cohort, make_provenance, make_training


@pytest.fixture(scope="module")
def validation() -> Validation:
    return evaluate(make_cohort(1, 70), make_bundle(), make_training(1), make_provenance(), seed=1)


def _section(text: str, name: str) -> str:
    return text.partition(f"## {name}\n")[2].partition("\n## ")[0]


def test_the_paragraph_has_the_numbers_of_the_report(validation: Validation) -> None:
    document = to_document(validation)
    told = _section(results_text(validation, ()), "Results").replace("−", "-")
    primary = document["models"][-1]
    point = primary["points"][0]["decisions"]
    estimates = [model["auc"] for model in document["models"]]
    estimates += [primary["calibration"]["observed_over_expected"]]
    estimates += [primary["calibration"]["terms"][name] for name in ("intercept", "slope")]
    for estimate in estimates:
        low, high = estimate["interval"]["low"], estimate["interval"]["high"]
        # The decimals of its standard error when that is written with two significant digits.
        digits = min(3, -int(Decimal(f"{(high - low) / 3.92:.1e}").as_tuple().exponent))
        assert f"{estimate['value']:.{digits}f} (95 % CI {low:.{digits}f} to {high:.{digits}f})" in told
    known = [case for case in document["cases"] if case["outcome"] is not None]
    events = sum(case["outcome"] for case in known)
    assert f"70 cases of {document['patients']} patients" in told
    assert f"outcome of {len(known)} was known, and {events} of them had CVT" in told
    few, many = events, len(known) - events
    assert few < 20 <= many
    low, high = point["sensitivity"]["interval"]["low"], point["sensitivity"]["interval"]["high"]
    assert f"sensitivity was {point['true_positive']} of {few} (95 % CI {low:.2f} to {high:.2f})" in told
    low, high = point["specificity"]["interval"]["low"], point["specificity"]["interval"]["high"]
    value = point["true_negative"] / many
    told_share = f"{value:.2f} (95 % CI {low:.2f} to {high:.2f}; {point['true_negative']} of {many})"
    assert f"specificity was {told_share}" in told


def test_every_figure_has_a_legend(validation: Validation) -> None:
    drawings = [*draw_model(validation), *draw_performance(validation)]
    told = _section(results_text(validation, drawings), "Figure legends")
    assert re.findall(r"\(figures/(\w+)\.svg\)", told) == [drawing.name for drawing in drawings]


def test_what_must_not_be_claimed_is_said(validation: Validation) -> None:
    told = _section(results_text(validation, ()), "What must not be claimed")
    for words in (
        "no medical device",
        "never trained",
        validation.power.verdict.rstrip("."),
        "own best point",
        "forest's votes",
        "study protocol",
        "selection before cross-validation",
        "outside it",
        "thresholds rest on few training events",
    ):
        assert words in told, words


def test_votes_are_told_from_probabilities_by_what_the_bundle_makes_of_them(validation: Validation) -> None:
    def claims(*scales: Scale) -> list[str]:
        models = tuple(
            replace(model, scale=scale)
            for model, scale in zip(validation.models, (*scales, "probability"), strict=True)
        )
        told = _section(results_text(replace(validation, models=models), ()), "What must not be claimed")
        return [line for line in told.splitlines() if "are probabilities" in line]

    [recalibrated] = claims("recalibrated votes", "recalibrated votes", "recalibrated votes")
    assert recalibrated.startswith(
        "- That scores of Rad, DL and DLR are probabilities: they are shares of a forest's votes; "
    )
    assert "uncalibrated" not in recalibrated
    [none] = claims("uncalibrated votes", "uncalibrated votes", "uncalibrated votes")
    assert none.startswith("- That scores of Rad, DL and DLR are probabilities: ")
    assert "uncalibrated" in none
    assert "step, fitted in training" not in none
    some, others = claims("uncalibrated votes", "recalibrated votes", "recalibrated votes")
    assert "That scores of DL and DLR are" in some
    assert "That scores of Rad are" in others


@pytest.mark.parametrize("outcomes", ["one", "none"])
def test_what_cannot_be_computed_is_said_with_its_reason(outcomes: str) -> None:
    found = evaluate(make_cohort(1, 12, outcomes=outcomes), make_bundle(), None, make_provenance(), seed=1)
    text = results_text(found, ())
    assert "could not be computed" in _section(text, "Results")
    assert not re.search(r"\b(nan|inf|NotComputable|None)\b", text)


def test_extrapolated_scores_and_what_epilepsy_decides_are_counted(validation: Validation) -> None:
    """By a count of one's own over the cases of the report."""
    name, cases = validation.primary, [result.case for result in validation.cases]
    scored = [case for case in cases if name in case.scores]
    terms = {term.name: term.training for term in validation.nomogram.terms}
    signature = terms["DLR signature"]
    beyond = [bool(case.outside) or not signature.low <= case.scores["DLR"] <= signature.high for case in scored]
    assert 0 < sum(beyond) < len(scored)
    assert extrapolated(validation).startswith(f"{sum(beyond)} of {len(scored)} scores of {name} are of inputs outside")
    threshold = validation.primary_result.points[0].decisions.threshold
    known = [case for case in scored if case.clinical["epilepsy"] is not None]
    same = sum((case.scores[name] >= threshold) == bool(case.clinical["epilepsy"]) for case in known)
    assert 0 < same < len(known)
    assert epilepsy_decides(validation).startswith(f"In {same} of {len(known)} cases the decision of {name}")
    told = _section(results_text(validation, ()), "Results")
    assert extrapolated(validation) in told
    assert epilepsy_decides(validation) in told
    inside = tuple(replace(result, case=replace(result.case, outside=(), scores={})) for result in validation.cases)
    assert extrapolated(replace(validation, cases=inside)) == ""


@pytest.mark.parametrize(
    ("clinical", "scores", "reason"),
    [
        ({"epilepsy": None}, {"Rad": 0.5}, "no case has a score of DLRN, and none has epilepsy: fill in that column"),
        ({"epilepsy": 1}, {"Rad": 0.5}, "no case has a score of DLRN"),
    ],
)
def test_why_no_case_is_judged_is_said(clinical: dict, scores: dict, reason: str) -> None:
    flags = ("epilepsy_unknown",) if clinical["epilepsy"] is None else ()
    cases = tuple(replace(case, clinical=clinical, scores=scores, flags=flags) for case in make_cohort(1, 6).cases)
    assert scored_cases(cases, "DLRN")[0].lacks() == NotComputable(reason)
    assert scored_cases(cases, "DL")[0].lacks() == NotComputable("no case has a score of DL")
    unknown = tuple(replace(case, outcome=None) for case in cases)
    told = "no case has an outcome: fill in its column, which is cvt or etiology where CVT is told"
    assert scored_cases(unknown, "DLRN")[0].lacks() == NotComputable(told)

"""results.md: results and figure legends to paste, by the numbers of report.json, and what must not be claimed. Pure."""

from collections.abc import Iterable, Iterator, Mapping

from cvtbatch.validation.decisions import Decisions
from cvtbatch.validation.evaluate import Validation
from cvtbatch.validation.inputs import Scale
from cvtbatch.validation.model_result import ModelResult
from cvtbatch.validation.outcome import Outcome
from cvtbatch.validation.report.case_words import epilepsy_decides, extrapolated
from cvtbatch.validation.report.cohort_words import unrecorded_criteria
from cvtbatch.validation.report.column_words import in_words
from cvtbatch.validation.report.digits import counted_share, decimal, estimate_text
from cvtbatch.validation.report.drawing import Drawing
from cvtbatch.validation.report.repeat_words import repeats_in_words
from cvtbatch.validation.shares import share_in_words
from cvtbatch.validation.values import Estimate, Maybe, NotComputable

# By the figure's name, or its beginning up to an underscore.
LEGENDS = {
    "flow": "Cases at each step from screened to analysed, and why others were left out.",
    "roc": "Receiver operating characteristic of the cases with a known outcome; dots: at the frozen threshold.",
    "precision_recall": "Precision against recall, with the average precision (AP); dotted: prevalence.",
    "auc": "AUC with 95 % confidence interval: at this centre, in training by each protocol{published}; letters: what "
    "speaks against an estimate.",
    "scores": "Probabilities by outcome, a mark a case, spread at random across; bars: medians; dashed: the frozen threshold.",
    "calibration": "Observed share with {event} against prediction: flexible curve and groups of cases, with 95 % intervals.",
    "decision_curve": "Net benefit by threshold probability with 95 % confidence band, against treating all and treating none.",
    "decision_curves": "Net benefit of each model by threshold probability, against treating all and treating none.",
    "nomogram": "Points of each term, their total and the probability, as frozen in training; marked: an example of this centre.",
    "importances": "Share of each selected feature in the impurity decrease of the DLR signature's forest, in training.",
    "shift": "Standardised difference of selected features, this centre less training; gray: half a deviation to each side.",
    "shift_scores": "Share of cases at or below each probability, by outcome: here, and out of fold in training (dashed; for "
    "the DLRN in sample for its coefficients).",
    "readers": "Intraclass correlation coefficients (two-way, absolute agreement, single) of features by class.",
    "subgroups": "AUC by subgroup with 95 % confidence interval, and events of cases; dashed: all cases.",
}
VOTES: Mapping[Scale, str] = {
    "recalibrated votes": "they are shares of a forest's votes; calibration and net benefit are of the probabilities that a "
    "logistic step, fitted in training, makes of them",
    "uncalibrated votes": "they are shares of a forest's votes, uncalibrated: the bundle has no step from them to probabilities",
}


def results_text(validation: Validation, drawings: Iterable[Drawing]) -> str:
    """Return results.md.

    Args:
        drawings: the report's figures, in the order of the page.
    """
    where = validation.provenance
    parts = [
        f"# {validation.primary} at centre {where.center}: text to paste",
        f"By bundle {where.bundle_digest} and snapshot {where.snapshot}; every number is report.json's. "
        "For research use; not a medical device.",
        "## Results",
        " ".join(_results(validation)),
        "## Figure legends",
        *(
            f"**{drawing.title}.** {_legend(drawing.name, validation.outcome)} (figures/{drawing.name}.svg)"
            for drawing in drawings
        ),
        "## What must not be claimed",
        "\n".join(f"- {in_words(claim)}" for claim in _not_to_claim(validation)),
    ]
    return "\n\n".join(parts) + "\n"


def _results(validation: Validation) -> Iterator[str]:
    primary, where = validation.primary_result, validation.provenance
    yield from _by_whom(validation)
    yield (
        f"{_count(len(validation.cases), 'case')} of {_count(validation.patients, 'patient')} at centre {where.center} were scored "
        f"by a model that was frozen after training on {where.training_cases} cases of {', '.join(where.training_centers)}; the "
        f"outcome of {validation.known} was known, and {validation.events} of them had {validation.outcome.event}."
    )
    if unrecorded := unrecorded_criteria(validation):
        yield f"Of the criteria of eligibility, {unrecorded}; an empty value left nobody out."
    if repeats := repeats_in_words(validation):
        yield repeats
    yield _sentence(f"The AUC of {primary.name} was", f"The AUC of {primary.name}", primary.auc)
    if outside := extrapolated(validation):
        yield outside
    yield from _decisions(primary)
    if epilepsy := epilepsy_decides(validation):
        yield epilepsy
    terms = primary.calibration.terms
    for name, value in (
        ("calibration intercept", terms.intercept),
        ("calibration slope", terms.slope),
        ("ratio of observed to expected events", primary.calibration.observed_over_expected),
    ):
        yield _sentence(f"Its {name} was", f"Its {name}", value)
    for model in validation.models:
        if model is not primary:
            yield _sentence(f"The AUC of {model.name} was", f"The AUC of {model.name}", model.auc)
    yield f"Against training: {in_words(validation.shift.verdict).rstrip('.')}."


def _by_whom(validation: Validation) -> Iterator[str]:
    """Say first what the paragraph may not be pasted without."""
    where = validation.provenance
    if where.not_for_inference:
        yield f"The image network was untrained (weights {where.weights}): nothing here is about patients."
    if where.applied_reader != where.fitted_reader:
        yield f"The model was fitted on outlines by {where.fitted_reader} and applied to those by {where.applied_reader}."


def _decisions(primary: ModelResult) -> Iterator[str]:
    point = primary.points[0]
    found = point.decisions
    if not isinstance(found, Decisions):
        yield f"Decisions at the frozen threshold could not be judged: {found.reason}."
        return
    yield f"At the threshold that was frozen in training ({point.name}, {decimal(found.threshold)}),"
    told = [
        f"{name} could not be computed ({share.reason})"
        if isinstance(share, NotComputable)
        else f"{name} was {estimate_text(share, 2)}"
        for name, share in ((name, counted_share(name, found)) for name in ("sensitivity", "specificity"))
    ]
    yield " and ".join(told) + "."


def _sentence(verb: str, subject: str, value: Maybe[Estimate]) -> str:
    if isinstance(value, NotComputable):
        return f"{subject} could not be computed: {value.reason}."
    return f"{verb} {estimate_text(value)}."


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _listed(names: list[str]) -> str:
    return " and ".join([*filter(None, [", ".join(names[:-1])]), names[-1]])


def _legend(name: str, outcome: Outcome) -> str:
    published = ", and as published" if outcome.is_cvt else ""
    legend = LEGENDS[name if name in LEGENDS else name.partition("_")[0]]
    return legend.format(event=outcome.event, published=published)


def _of_votes(validation: Validation) -> Iterator[str]:
    """Say what scores of signatures are, by whether their votes have a probability beside them."""
    for scale, told in VOTES.items():
        names = [model.name for model in validation.models if model.scale == scale]
        if names:
            yield f"That scores of {_listed(names)} are probabilities: {told}."


def _not_to_claim(validation: Validation) -> Iterator[str]:
    where, primary = validation.provenance, validation.primary_result
    yield "That the model may be used for the care of patients: it is for research, and no medical device."
    if where.not_for_inference:
        yield f"Anything of any patient: the image network has the weights {where.weights}, which were never trained."
    if where.unfit_outlines:
        yield f"Anything of any patient: {where.unfit_outlines} outlines come from a method that is for demos and second opinions."
    if where.applied_reader != where.fitted_reader:
        yield (
            f"What the model is worth on outlines by {where.fitted_reader}, on which it was fitted: these are by "
            f"{where.applied_reader}."
        )
    if unrecorded := unrecorded_criteria(validation):
        yield f"That every case belongs to the study: {unrecorded}."
    yield f"More than these cases can carry: {validation.power.verdict.rstrip('.')}."
    yield "Performance at this centre's own best point, which was chosen on the same cases: the frozen threshold counts."
    yield from _of_votes(validation)
    yield "That one model is better than another, unless the comparison of their AUCs on the same cases says so."
    for estimate in primary.training:
        if estimate.caution:
            yield f"The training AUC by {estimate.protocol} as an estimate for new cases: {estimate.caution}."
    support = validation.shift.support
    if not isinstance(support, NotComputable):
        yield (
            "That the model holds beyond its training range: "
            f"{share_in_words(round(support.outside.value * support.cases), support.cases)} here have a feature outside it."
        )
    yield from (f"Anything that this caution forbids: {caution}." for caution in where.cautions)

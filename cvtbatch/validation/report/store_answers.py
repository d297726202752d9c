"""What the store's provenance and the validation itself answer of the checklists, by topic. Pure."""

from collections.abc import Iterator, Mapping

from cvtbatch import contracts
from cvtbatch.validation.evaluate import Validation
from cvtbatch.validation.outcome import EXPANSION
from cvtbatch.validation.recalibration import Recalibration
from cvtbatch.validation.report.answer import Answer, to_pointer
from cvtbatch.validation.report.case_words import clinical_terms
from cvtbatch.validation.report.cohort_words import uncompared_in_words, unrecorded_criteria
from cvtbatch.validation.report.digits import value_text
from cvtbatch.validation.report.tables import counted
from cvtbatch.validation.roc import AucComparison
from cvtbatch.validation.subgroups import UNKNOWN
from cvtbatch.validation.values import Estimate, NotComputable, Significance

RADIOMICS_SETTINGS = "radiomics settings"
FEATURE_SET, IMAGE_TYPES, FEATURE_CLASSES = "feature set", "image types", "feature classes"
"""What is said of a feature set of the user's own; nothing of these where the features are the study's."""
RADIOMIC_MODELS = frozenset({"Rad", "DL", "DLR", "DLRN"})
"""Models that rest on features of the image; any other is one that they can be compared with."""
_OUTCOMES = {
    "cvt": "Hematoma caused by cerebral venous thrombosis (column cvt of the manifest).",
    EXPANSION: "Growth of the hematoma by more than 6 ml or more than 33 % until the first later study (pairs of the store).",
}
_BY_SPECIFICATION = {
    "resampling": (
        "volume specification",
        "Stored grid of 0.5 x 0.5 x 5 mm; images by cubic B-spline, outlines by nearest neighbour.",
    ),
    "image_types": (
        "radiomics specification",
        "Original, LoG, wavelet, square, square root, logarithm, exponential, gradient and LBP-3D: 20 image types.",
    ),
    "classes": (
        "radiomics specification",
        "Shape, first order, GLCM, GLRLM, GLSZM, GLDM, NGTDM; 2,048 values of the image network.",
    ),
}


def store_answers(validation: Validation) -> dict[str, Answer]:
    """Return what is known, by topic; a topic that is not known is absent."""
    return {
        **dict(_of_origin(validation)),
        **dict(_of_features(validation.provenance.settings)),
        **dict(_of_cohort(validation)),
        **dict(_of_model(validation)),
        **dict(_of_performance(validation)),
    }


def _yes(text: str, *place: str | int) -> Answer:
    return Answer("yes", text, to_pointer(*place))


def _no(text: str, *place: str | int) -> Answer:
    return Answer("no", text, to_pointer(*place))


def _of_origin(validation: Validation) -> Iterator[tuple[str, Answer]]:
    origin = validation.provenance
    trained = ", ".join(origin.training_centers)
    yield "intended", _yes(origin.intended_use, "provenance", "intended_use")
    source = f"Centre {origin.center}; training centres {trained}. Snapshot {origin.snapshot}."
    yield "source", _yes(source, "provenance", "snapshot_digest")
    yield "multicenter", _yes(source, "provenance", "training_centers")
    yield (
        "split",
        _yes(
            f"External: trained on {origin.training_cases} cases of {trained}, judged on centre {origin.center} alone.",
            "provenance",
            "training_cases",
        ),
    )
    told = "; ".join(f"{name}: {value}" for name, value in origin.settings.items())
    if told:
        yield "settings", _yes(told, "provenance", "settings")
    yield "digests", _yes(f"Frozen bundle {origin.bundle_digest}.", "provenance", "bundle_digest")
    yield "one_modality", _yes("Non-enhanced head CT alone.", "provenance", "intended_use")


def _of_features(settings: Mapping[str, str]) -> Iterator[tuple[str, Answer]]:
    for topic, (name, text) in _BY_SPECIFICATION.items():
        if name in settings:
            yield topic, _yes(text, "provenance", "settings", name)
    if FEATURE_SET in settings:
        yield from _of_feature_set(settings)
        return
    if "radiomics specification" in settings:
        yield "features", _yes(_count_features(), "provenance", "settings", "radiomics specification")
    if RADIOMICS_SETTINGS in settings:
        place, told = ("provenance", "settings", RADIOMICS_SETTINGS), settings[RADIOMICS_SETTINGS]
        yield (
            "preprocessing",
            _yes(
                f"HU of the stored grid, not smoothed or denoised; filtered images are types of features; {told}.",
                *place,
            ),
        )
        yield "discretisation", _yes(f"Bins of fixed width (binWidth), counted from 0: {told}.", *place)
        extraction = f"PyRadiomics 3.0.1's definitions, on the stored volume and outline: {told}."
        yield "extraction", _yes(extraction, *place)
        yield "defaults", _yes("PyRadiomics 3.0.1's defaults for what is not named there.", *place)


def _of_feature_set(settings: Mapping[str, str]) -> Iterator[tuple[str, Answer]]:
    """Yield what is known of a feature set; it replaces what is said of the study's features."""
    place = ("provenance", "settings")
    yield (
        "features",
        _yes(f"Feature set {settings[FEATURE_SET]}, named as PyRadiomics names them.", *place, FEATURE_SET),
    )
    yield "image_types", _yes(f"{settings[IMAGE_TYPES]}.", *place, IMAGE_TYPES)
    classes = f"{settings[FEATURE_CLASSES]}; 2,048 values of the image network."
    yield "classes", _yes(classes, *place, FEATURE_CLASSES)
    told = f"On the stored volume and outline: {settings[RADIOMICS_SETTINGS]}."
    for topic in ("preprocessing", "discretisation", "extraction", "defaults"):
        yield topic, _yes(told, *place, RADIOMICS_SETTINGS)


def _count_features() -> str:
    names = contracts.feature_names()
    image_types = len({name.split("_")[0] for name in names})
    shape = sum(name.split("_")[1] == "shape" for name in names)
    return (
        f"{len(names):,} PyRadiomics features: {shape} of shape and {(len(names) - shape) // image_types} of each of "
        f"{image_types} image types."
    )


def _of_cohort(validation: Validation) -> Iterator[tuple[str, Answer]]:
    if validation.flow:
        yield "flow", _yes(" → ".join(f"{step.name}: {step.left}" for step in validation.flow), "flow")
        reasons = [pair for step in validation.flow for pair in step.excluded]
        left_out = f"Left out: {counted(reasons)}." if reasons else "Nobody was left out."
        if unrecorded := unrecorded_criteria(validation):
            yield "eligibility", Answer("open", f"{left_out} Of the criteria, {unrecorded}.", "")
        else:
            yield "eligibility", _yes(left_out, "flow")
    known = [row.variable for row in validation.protocol if not isinstance(row.first, NotComputable)]
    if known:
        yield "protocol", _yes(f"Section Cohort: {', '.join(known)}.", "protocol")
    else:
        yield "protocol", _no("Nothing is known of scanner and protocol.", "protocol")
    if validation.baseline_by_class:
        yield "baseline", _yes("Section Cohort.", "baseline_by_class")
    against = validation.baseline_against_training
    place = ("baseline_against_training",)
    if isinstance(against, NotComputable):
        yield "against", _no(f"Not computable: {against.reason}.", *place)
    else:
        yield "against", _yes("Section Cohort, table against training.", *place)
    if validation.readers:
        told = "; ".join(f"{study.kind}, {study.cases} cases" for study in validation.readers)
        yield "readers", _yes(told, "readers")
    else:
        there = uncompared_in_words(validation)
        yield (
            "readers",
            _no(f"No ICC: {'; '.join(there) or 'no case has outlines of several readers or readings'}.", "readers"),
        )
    if validation.subgroups:
        variables = dict.fromkeys(row.variable for row in validation.subgroups if row.level != UNKNOWN)
        if variables:
            yield "subgroups", _yes(f"Section Subgroups: {', '.join(variables)}.", "subgroups")


def _of_model(validation: Validation) -> Iterator[tuple[str, Answer]]:
    origin = validation.provenance
    models = ", ".join(model.name for model in validation.models)
    yield "model", _yes(f"Frozen bundle {origin.bundle_digest}; models {models}.", "provenance", "bundle_digest")
    clinical = clinical_terms(validation.nomogram)
    if clinical == ("epilepsy",):
        epilepsy = [row.variable for row in validation.baseline_by_class].index("epilepsy")
        predictors = "Epileptic seizure at admission (0, 1 or unknown), from the manifest."
        yield "predictors", _yes(predictors, "baseline_by_class", epilepsy)
    else:
        yield "predictors", _yes(f"From the manifest, at admission: {', '.join(clinical) or 'none'}.", "nomogram")
    column = validation.outcome.column
    yield "outcome", _yes(_OUTCOMES.get(column, f"Column {column} of the manifest."), "cases")
    yield "output", _yes("A probability, and classes at the bundle's frozen thresholds.", "models")
    if isinstance(validation.nomogram, NotComputable):
        yield "full_model", _no(f"Not computable: {validation.nomogram.reason}.", "nomogram")
    else:
        yield "full_model", _yes("Intercept and coefficients: section Model; the whole is the bundle.", "nomogram")
    if validation.importances:
        yield "selected", _yes(f"{len(validation.importances)} selected features (section Model).", "importances")
        yield "explained", _yes("Nomogram, importances, and contributions case by case.", "importances")
    if any(isinstance(offered, Recalibration) for offered in validation.recalibrations.values()):
        yield "updating", _yes("Offered, not applied (section Calibration).", "recalibrations")
    else:
        yield "updating", _no("None could be computed (section Calibration).", "recalibrations")
    if origin.recalibrated:
        updated = f"The bundle is one that was recalibrated on centre {origin.recalibrated.center}."
        yield "updated", _yes(updated, "provenance", "recalibrated")
    else:
        yield "updated", _no("The bundle is as it was fitted.", "provenance", "recalibrated")


def _of_performance(validation: Validation) -> Iterator[tuple[str, Answer]]:
    primary, place = validation.primary_result, ("models", len(validation.models) - 1)
    yield "power", _yes(validation.power.verdict, "power")
    yield "shift", _yes(validation.shift.verdict, "shift")
    if any(isinstance(row.test, Significance) for row in validation.shift.covariates):
        explained = "What acquisition explains of the score beyond the outcome: section Shift."
        yield "confounders", _yes(explained, "shift", "covariates")
    text = f"{primary.name}: {primary.n} cases with {primary.events} events; each table names its own."
    yield "numbers", _yes(text, *place, "n")
    unscored = f"Nothing is imputed: {primary.unscored} cases with an outcome have no {primary.name} score."
    yield "missing", _yes(unscored, *place, "unscored")
    if isinstance(primary.auc, Estimate):
        metrics = (
            "AUC, average precision, decisions at frozen thresholds, calibration, Brier, net benefit: each with its reason where "
            "it could not be computed."
        )
        yield "metrics", _yes(metrics, *place, "points")
        found = f"{primary.name}: AUC {value_text(primary.auc)}; sections Discrimination to Subgroups."
        yield "performance", _yes(found, *place, "auc", "value")
    else:
        for topic in ("metrics", "performance"):
            yield topic, _no(f"Not computable: {primary.auc.reason}.", *place, "auc")
    if isinstance(primary.auc, Estimate) and not isinstance(primary.auc.interval, NotComputable):
        of_auc = "Obuchowski, of patients" if validation.repeats else "DeLong"
        intervals = (
            f"95 % intervals: {of_auc}, Wilson, log, logit, Wald, and a seeded bootstrap, each named at its table."
        )
        yield "uncertainty", _yes(intervals, *place, "auc", "interval")
    else:
        yield "uncertainty", _no(f"The AUC of {primary.name} has no interval.", *place, "auc")
    slope = primary.calibration.terms.slope
    if isinstance(slope, Estimate):
        yield "calibration", _yes(f"Slope {value_text(slope, 2)}; section Calibration.", *place, "calibration")
    else:
        yield "calibration", _no(f"Slope not computable: {slope.reason}.", *place, "calibration")
    nested = [row for row in primary.training if row.protocol == "nested cross-validation"]
    if nested:
        yield "internal", _yes("Nested cross-validation in training (section Discrimination).", *place, "training")
    else:
        yield "internal", _no("Training had no nested cross-validation.", *place, "training")
    yield from _of_comparisons(validation)


def _of_comparisons(validation: Validation) -> Iterator[tuple[str, Answer]]:
    done = [row for row in validation.comparisons if isinstance(row.result, AucComparison)]
    if done:
        names = ", ".join(model.name for model in validation.models)
        test = "Obuchowski" if validation.repeats else "DeLong"
        yield "comparison", _yes(f"{test}'s paired test between {names} (section Discrimination).", "comparisons")
    else:
        yield "comparison", _no("No two models could be compared.", "comparisons")
    others = {name for row in done for name in (row.first, row.second)} - RADIOMIC_MODELS
    if others:
        text = f"Compared with {', '.join(sorted(others))} (section Discrimination)."
        yield "non_radiomic", _yes(text, "comparisons")
    else:
        clinical = clinical_terms(validation.nomogram)
        compared = ", ".join(model.name for model in validation.models)
        yield (
            "non_radiomic",
            _no(
                f"No model without the image is there: {compared}"
                + (f", of which {validation.primary} takes {' and '.join(clinical)} too." if clinical else "."),
                "models",
            ),
        )
        yield "simple_model", _no(f"No simple or classical model is there beside {compared}.", "models")

"""Reporting checklists: the items that the store's provenance answers are filled in, the rest stands as open."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources

from cvtbatch import contracts
from cvtbatch.validation.evaluate import Validation
from cvtbatch.validation.report.tables import counted, decimal
from cvtbatch.validation.values import Estimate, NotComputable

_PIPELINE = {
    "resampling": "Stored grid of 0.5 x 0.5 x 5 mm; images by cubic B-spline, outlines by nearest neighbour.",
    "image_types": "Original, LoG, wavelet, square, square root, logarithm, exponential, gradient and LBP-3D: 20 image types.",
    "classes": "Shape, first order, GLCM, GLRLM, GLSZM, GLDM, NGTDM; 2,048 values of the image network.",
    "missing": "Epilepsy unknown gives no DLRN score; nothing is imputed. Cases without outcome or score are counted.",
    "metrics": "AUC, average precision, decisions at frozen thresholds, calibration terms and curves, Brier, net benefit.",
    "uncertainty": "95 % intervals: DeLong, Wilson, log, logit, Wald, and a seeded bootstrap, each named at its table.",
}


RADIOMICS_SETTINGS = "radiomics settings"


@dataclass(frozen=True, slots=True)
class Item:
    """One item; an empty answer is open."""

    number: str
    text: str
    answer: str


@dataclass(frozen=True, slots=True)
class Checklist:
    """A checklist as far as it can be answered here."""

    name: str
    title: str
    source: str
    items: tuple[Item, ...]

    @property
    def answered(self) -> int:
        return sum(bool(item.answer) for item in self.items)


def fill_checklists(validation: Validation) -> tuple[Checklist, ...]:
    """Return CLEAR and TRIPOD+AI with what can be answered."""
    answers = _answers(validation)
    places = {
        "CLEAR": {
            "7": "guidelines", "9": "power", "11": "eligibility", "13": "source", "15": "split", "16": "protocol",
            "17": "predictors", "18": "outcome", "21": "preprocessing", "22": "resampling", "23": "discretisation",
            "24": "image_types", "25": "extraction", "26": "classes", "27": "features", "28": "defaults", "29": "missing",
            "31": "readers", "34": "model", "36": "shift", "38": "split", "39": "metrics", "40": "uncertainty",
            "41": "comparison", "42": "comparison", "43": "explained", "44": "baseline", "45": "flow", "46": "selected",
            "47": "performance", "48": "comparison", "55": "settings", "57": "digests",
        },
        "TRIPOD+AI": {
            "3b": "intended", "5a": "source", "6b": "eligibility", "7": "settings", "8a": "outcome", "9b": "predictors",
            "10": "power", "11": "missing", "12a": "split", "12c": "model", "12e": "metrics", "12f": "updating",
            "12g": "digests", "14": "subgroups", "15": "output", "16": "shift", "20a": "flow", "20b": "baseline",
            "20c": "against", "21": "numbers", "22": "model", "23a": "performance", "24": "updating", "27a": "missing",
        },
    }  # fmt: skip
    lists = json.loads(resources.files(__package__).joinpath("checklists.json").read_text(encoding="utf-8"))
    return tuple(
        Checklist(
            name,
            entry["title"],
            entry["source"],
            tuple(
                Item(number, text, answers.get(places[name].get(number, ""), ""))
                for number, text in entry["items"].items()
            ),
        )
        for name, entry in lists.items()
    )


def _of_radiomics(settings: Mapping[str, str]) -> Mapping[str, str]:
    """Return what the settings of the features answer, where the bundle or the store keeps them."""
    if RADIOMICS_SETTINGS not in settings:
        return {}
    told = settings[RADIOMICS_SETTINGS]
    return {
        "preprocessing": f"HU of the stored grid, no filter before feature extraction; {told}.",
        "discretisation": f"Bins of fixed width (binWidth), counted from 0: {told}.",
        "extraction": f"PyRadiomics 3.0.1's definitions, on the stored volume and outline: {told}.",
        "defaults": "PyRadiomics 3.0.1's defaults for what is not named there.",
    }


def _features() -> str:
    names = contracts.feature_names()
    image_types = len({name.split("_")[0] for name in names})
    shape = sum(name.split("_")[1] == "shape" for name in names)
    return (
        f"{len(names):,} PyRadiomics features: {shape} of shape and {(len(names) - shape) // image_types} of each of "
        f"{image_types} image types."
    )


def _answers(validation: Validation) -> Mapping[str, str]:
    """Return what is known, by topic; a topic that is not known is absent."""
    origin, primary = validation.provenance, validation.primary_result
    trained = ", ".join(origin.training_centers)
    found = {
        **_PIPELINE,
        "features": _features(),
        "guidelines": "This list and the other below, filled from the store's provenance.",
        "intended": origin.intended_use,
        "source": f"Centre {origin.center}; training centres {trained}. Snapshot {origin.snapshot}.",
        "split": f"External: trained on {origin.training_cases} cases of {trained}, judged on centre {origin.center} alone.",
        "settings": "; ".join(f"{name}: {value}" for name, value in origin.settings.items()),
        "predictors": "Epileptic seizure at admission (0, 1 or unknown), from the manifest.",
        "outcome": "Hematoma caused by cerebral venous thrombosis (column cvt of the manifest).",
        "model": f"Frozen bundle {origin.bundle_digest}; models {', '.join(model.name for model in validation.models)}.",
        "digests": f"Bundle {origin.bundle_digest}; snapshot {origin.snapshot_digest}.",
        "output": "A probability, and classes at the bundle's frozen thresholds.",
        "power": validation.power.verdict,
        "numbers": f"{primary.name}: {primary.n} cases with {primary.events} events; each table names its own.",
        "comparison": "DeLong's paired test between Rad, DL, DLR and DLRN (section Discrimination).",
        "explained": "Nomogram, importances, and contributions case by case.",
        "baseline": "Section Cohort.",
        "updating": "Offered, not applied (section Calibration).",
        "selected": f"{len(validation.importances)} selected features (section Model).",
    }
    found |= _of_radiomics(origin.settings)
    if validation.flow:
        found["flow"] = " → ".join(f"{step.name}: {step.left}" for step in validation.flow)
        reasons = [pair for step in validation.flow for pair in step.excluded]
        if reasons:
            found["eligibility"] = f"Left out: {counted(reasons)}."
    if validation.protocol:
        found["protocol"] = "Section Cohort, table of scanner and protocol."
    if validation.readers:
        found["readers"] = "; ".join(f"{study.kind}, {study.cases} cases" for study in validation.readers)
    if validation.subgroups:
        found["subgroups"] = "Section Subgroups: age, sex, location, hematoma volume, scanner."
    found["shift"] = validation.shift.verdict
    if not isinstance(validation.baseline_against_training, NotComputable):
        found["against"] = "Section Cohort, table against training."
    if isinstance(primary.auc, Estimate):
        found["performance"] = (
            f"{primary.name}: AUC {decimal(primary.auc.value)}; sections Discrimination to Subgroups."
        )
    return found

"""Coded concepts: those of SNOMED CT, DICOM, UCUM and IBSI where they exist, else of a scheme of our own.

A code of ours never changes its meaning and is never used again. Values hold at most 16 characters, meanings 64 (PS3.3 8).
"""

from pydicom.sr.coding import Code

from cvtbatch.dlrn.settings import Model
from cvtbatch.dlrn.thresholds import THRESHOLDS

SCHEME = "99CVTBATCH"

ABNORMAL = Code("49755003", "SCT", "Morphologically Abnormal Structure")
HEMORRHAGE = Code("50960005", "SCT", "Hemorrhage")
BRAIN = Code("12738006", "SCT", "Brain")
CT_OF_HEAD = Code("303653007", "SCT", "Computed tomography of head")
VOLUME = Code("118565006", "SCT", "Volume")
AREA = Code("42798000", "SCT", "Area")
DIAMETER = Code("81827009", "SCT", "Diameter")
DIAMETER_3D = Code("L0JK", "IBSI", "Maximum 3D diameter")
ATTENUATION = Code("112031", "DCM", "Attenuation Coefficient")
MAXIMUM = Code("56851009", "SCT", "Maximum")
MEAN = Code("373098007", "SCT", "Mean")
POSITIVE = Code("10828004", "SCT", "Positive")
NEGATIVE = Code("260385009", "SCT", "Negative")
COMMENT = Code("121106", "DCM", "Comment")
ARTIFICIAL_INTELLIGENCE = Code("123110", "DCM", "Artificial Intelligence")
ML = Code("mL", "UCUM", "milliliter")
MM = Code("mm", "UCUM", "millimeter")
MM2 = Code("mm2", "UCUM", "square millimeter")
HU = Code("[hnsf'U]", "UCUM", "Hounsfield unit")
NO_UNITS = Code("1", "UCUM", "no units")

_MODELS = {str(model): model.upper() if model != Model.RAD else "Rad" for model in Model}
_SIGNATURES = {name: shown for name, shown in _MODELS.items() if name != Model.DLRN}
_AT = {"youden": "Youden's point", "sens90": "sensitivity 0.90", "sens95": "sensitivity 0.95"}


def _own(value: str, meaning: str) -> Code:
    return Code(value, SCHEME, meaning)


SOURCE_SLICES = _own("source_slices", "On the slices of the source series, as segmented")
STORED_GRID = _own("stored_grid", "On the grid that features were computed on")
NOT_LEARNED = _own("not_learned", "Rules or an outside program")
VOTES = {name: _own(name, f"Votes for CVT, signature {shown}, no probability") for name, shown in _SIGNATURES.items()}
PROBABILITIES = {name: _own(f"{name}_probability", f"Probability of CVT by {shown}") for name, shown in _MODELS.items()}
EVENT = _own("event", "Event that the model tells")
EVENT_VOTES = {
    name: _own(f"{name}_event", f"Votes for the event, signature {shown}, no probability")
    for name, shown in _SIGNATURES.items()
}
EVENT_PROBABILITIES = {
    name: _own(f"{name}_event_prob", f"Probability of the event by {shown}") for name, shown in _MODELS.items()
}
BY_CLASS = {
    **{
        name: _own(f"{name}_by_class", f"Votes for a class, signature {shown}, no probability")
        for name, shown in _SIGNATURES.items()
    },
    str(Model.DLRN): _own("dlrn_by_class", "Probability of a class by DLRN"),
}
PREDICTED_CLASS = _own("predicted_class", "Class of the highest probability by DLRN")
CUTS = {
    (name, at): _own(f"{name}_thr_{at}", f"Threshold of {shown} at {_AT[at]} of training")
    for name, shown in _MODELS.items()
    for at in THRESHOLDS
}
CLASSES = {
    (name, at): _own(f"{name}_cls_{at}", f"{shown} against its threshold at {_AT[at]}")
    for name, shown in _MODELS.items()
    for at in THRESHOLDS
}
POINTS = {
    "points_dlr": _own("points_dlr", "Nomogram points of the DLR signature"),
    "points_epilepsy": _own("points_epilepsy", "Nomogram points of epilepsy"),
    "points_total": _own("points_total", "Nomogram points, total"),
}
CLINICAL_POINTS = _own("clinical_points", "Nomogram points of a clinical term, by name")
OUTSIDE_COUNT = _own("outside_count", "Values outside the training cohort's range")
FLAG = _own("flag", "Flag of the image, the outline or the score")
BUNDLE_DIGEST = _own("bundle_digest", "SHA-256 of the bundle that scored")
SOFTWARE = _own("software", "Software and its version")

PRIVATE_CODES: tuple[Code, ...] = (
    SOURCE_SLICES,
    STORED_GRID,
    NOT_LEARNED,
    *VOTES.values(),
    *PROBABILITIES.values(),
    EVENT,
    *EVENT_VOTES.values(),
    *EVENT_PROBABILITIES.values(),
    *BY_CLASS.values(),
    PREDICTED_CLASS,
    *CUTS.values(),
    *CLASSES.values(),
    *POINTS.values(),
    CLINICAL_POINTS,
    OUTSIDE_COUNT,
    FLAG,
    BUNDLE_DIGEST,
    SOFTWARE,
)

"""Lines of the page for viewers: the report's values and warnings, in letters that its font has."""

from cvtbatch.dicom_results import codes
from cvtbatch.dicom_results.values import Judged, Measured, Results, Told
from cvtbatch.pipelines.results.page_lines import to_lines
from tests.unit.dicom_results.test_dicom_objects import DRAWN, FOUND, THEN

RESULTS = Results(
    (
        Measured(codes.VOLUME, 20.4296875, codes.ML, method=codes.STORED_GRID),
        Measured(codes.AREA, 812.5, codes.MM2, codes.MAXIMUM, codes.STORED_GRID),
        Measured(codes.ATTENUATION, 61.25, codes.HU, codes.MEAN, codes.STORED_GRID),
        Measured(codes.VOTES["dlr"], 0.73, codes.NO_UNITS),
        Measured(codes.PROBABILITIES["dlrn"], 0.625, codes.NO_UNITS),
        Measured(codes.CUTS["dlrn", "youden"], 0.5, codes.NO_UNITS),
    ),
    (Judged(codes.CLASSES["dlr", "youden"], codes.POSITIVE), Judged(codes.CLASSES["dlrn", "youden"], codes.NEGATIVE)),
    (
        Told(codes.COMMENT, "For research use, 研究用"),
        Told(codes.FLAG, "tilted: so"),
        Told(codes.BUNDLE_DIGEST, "ab" * 32),
    ),
    THEN,
)


def test_what_a_reader_needs_first_is_on_the_page() -> None:
    assert to_lines(DRAWN, RESULTS) == [
        "Outline: drawn by a person",
        "Volume: 20.43 mL (on the features' grid)",
        "Area, maximum: 812.5 mm2 (on the features' grid)",
        "Attenuation Coefficient, mean: 61.25 HU (on the features' grid)",
        "Probability of CVT by DLRN: 0.625",
        "DLRN against its threshold at Youden's point: Negative",
        "For research use, ???",
        "Flag tilted: so",
    ]
    assert to_lines(FOUND, RESULTS)[0] == "Outline: found by a method, blast-ct"

"""The published external figures of the method (Sci Rep 2025, doi 10.1038/s41598-025-31206-8), to stand beside one's own."""

from collections.abc import Mapping
from types import MappingProxyType

from cvtbatch.validation.values import Estimate, Interval

SOURCE = "Sci Rep 2025, doi 10.1038/s41598-025-31206-8, external cohort: 83 patients, 24 with CVT"

AUC: Mapping[str, Estimate] = MappingProxyType(
    {
        "Rad": Estimate(0.791, Interval(0.664, 0.918)),
        "DL": Estimate(0.831, Interval(0.718, 0.943)),
        "DLR": Estimate(0.904, Interval(0.821, 0.988)),
        "DLRN": Estimate(0.911, Interval(0.827, 0.996)),
    }
)
ACCURACY: Mapping[str, float] = MappingProxyType({"Rad": 0.783, "DL": 0.771, "DLR": 0.892, "DLRN": 0.904})
SENSITIVITY: Mapping[str, float] = MappingProxyType({"Rad": 0.708, "DL": 0.833, "DLR": 0.750, "DLRN": 0.792})
SPECIFICITY: Mapping[str, float] = MappingProxyType({"Rad": 0.814, "DL": 0.746, "DLR": 0.949, "DLRN": 0.949})

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

"""SliceLocation held against ImagePositionPatient: two statements of one thing, of which a wrong one shows by the other.

Only positions place slices. SliceLocation (DICOM PS3.3 C.7.6.2.1.2) is "relative position of the image plane" in no coordinate that
the standard names: it runs either way, from any origin, along the normal or, where the gantry is tilted, along the table, whose
steps are longer by the cosine of the tilt; it is rounded, may be one value for all slices of a rotation, or absent.
"""

from collections.abc import Sequence

import numpy as np

from cvtbatch.geometry import Triple, Vector
from cvtbatch.ingest.slice_header import SliceHeader

# What is left between both may be this share of the typical gap beside what rounding explains.
_TOLERATED_SHARE = 0.25
# Values count as one for all slices of a rotation where there are no more than this share of them.
_ROTATION_SHARE = 0.6
_DECIMALS = (0, 1, 2)
# Slices that are there twice count once.
_PLACE_DECIMALS = 2


def locations_disagree(slices: Sequence[SliceHeader], normal: Triple) -> bool:
    """Say whether SliceLocation contradicts where slices lie; not where a slice has none, or all have the same.

    Args:
        slices: with positions.
        normal: of the slices, of unit length.
    """
    if any(header.slice_location_mm is None for header in slices):
        return False
    depths = np.array([header.position_mm for header in slices]) @ np.array(normal)
    depths, firsts = np.unique(np.round(depths, _PLACE_DECIMALS), return_index=True)
    locations = np.array([header.slice_location_mm for header in slices])[firsts]
    if len(depths) < 2 or not np.ptp(locations):
        return False
    # Of the patient's axes the table's is the one to which the normal is nearest.
    cosine = float(np.abs(normal).max())
    left = min(
        float(np.ptp(locations - sign * scale * depths)) for sign in (1, -1) for scale in (1.0, 1 / cosine, cosine)
    )
    gap = float(np.median(np.diff(depths)))
    return left > _rounding_mm(locations) + _TOLERATED_SHARE * gap


def _rounding_mm(locations: Vector) -> float:
    """Return the step in which locations are given."""
    distinct = np.unique(locations)
    if len(distinct) <= _ROTATION_SHARE * len(locations):
        return float(np.diff(distinct).max())
    return next((10.0**-digits for digits in _DECIMALS if np.allclose(locations, np.round(locations, digits))), 0.0)

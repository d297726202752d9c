from .archive_images import SERIES_FORM, in_archive, series_address
from .case import Case, CompactPickle, Reading, RoiSource, Value, key_of, patient_digest
from .centers import find_twins, folded, name_centers, refuse_twins, require_centers, twin_notices, twins_of
from .manifest import Manifest, Survey, read_manifest, survey_manifest
from .presence import MISSING_FILE, is_absent, is_missing
from .row_pairs import RowPairs

__all__ = [
    "MISSING_FILE",
    "SERIES_FORM",
    "Case",
    "CompactPickle",
    "Manifest",
    "Reading",
    "RoiSource",
    "RowPairs",
    "Survey",
    "Value",
    "find_twins",
    "folded",
    "in_archive",
    "is_absent",
    "is_missing",
    "key_of",
    "name_centers",
    "patient_digest",
    "read_manifest",
    "refuse_twins",
    "require_centers",
    "series_address",
    "survey_manifest",
    "twin_notices",
    "twins_of",
]

"""Which report a report says that it replaces."""

import pydicom


def predecessor_of(report: pydicom.Dataset) -> pydicom.Dataset | None:
    """Return the identity of the one report that a report replaces, as far as another one has to name it."""
    studies = report.get("PredecessorDocumentsSequence") or ()
    if not studies:
        return None
    series = studies[0].ReferencedSeriesSequence[0]
    instance = series.ReferencedSOPSequence[0]
    found = pydicom.Dataset()
    found.StudyInstanceUID, found.SeriesInstanceUID = studies[0].StudyInstanceUID, series.SeriesInstanceUID
    found.SOPClassUID, found.SOPInstanceUID = instance.ReferencedSOPClassUID, instance.ReferencedSOPInstanceUID
    return found

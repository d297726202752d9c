"""How a CT series was made, as far as a store may know it.

Text tags hold whatever a technologist typed. What stands in an `Acquisition` is therefore spelled with known words alone; anything
else is None. UIDs are kept as they are, because repeats are found by them: hash them with a key before they leave the machine.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Acquisition:
    """What a DICOM series says of itself, and what reading it had to mend; all None (zero) for other formats.

    Attributes:
        convolution_kernel: name as the scanner's vendor writes it.
        image_type: known values, joined with "/".
        transfer_syntax: UID of the DICOM standard; several are joined with "/".
        contrast: whether a contrast agent is named; None where the tag is absent.
        series_uid, study_uid, frame_of_reference_uid: raw; never to be stored or shared as they are.
        duplicates_dropped: slices that were in the source twice with equal pixels.
        missing_slices: how many are missing where `allow_gaps` let the series pass.
        series_in_source: how many CT image series, as split for the choice, the source holds.
    """

    manufacturer: str | None = None
    scanner_model: str | None = None
    convolution_kernel: str | None = None
    kvp: float | None = None
    slice_thickness_mm: float | None = None
    image_type: str | None = None
    transfer_syntax: str | None = None
    contrast: bool | None = None
    series_uid: str | None = None
    study_uid: str | None = None
    frame_of_reference_uid: str | None = None
    patient_position: str | None = None
    duplicates_dropped: int | None = None
    missing_slices: int | None = None
    series_in_source: int | None = None

"""A CT slice as its DICOM file describes it, and how the file stores its pixels."""

from dataclasses import dataclass

from cvtbatch.ingest.units import may_be_hounsfield

_LOCALIZERS = {"LOCALIZER", "SCOUT", "TOPOGRAM"}


@dataclass(frozen=True, slots=True)
class PixelFormat:
    """How the pixels of a file are stored.

    Attributes:
        offset: where the element of the pixels begins in the file; None if the file is deflated.
        present: whether anything follows the header.
        private_compression: what a vendor calls a compression of its own; None where the pixels are stored by the standard.
        padding: smallest and largest stored value that is no image, as the file writes them.
        overlay_bits: whether unused bits of a pixel hold an overlay.
    """

    transfer_syntax: str
    implicit_vr: bool
    little_endian: bool
    offset: int | None
    present: bool
    rows: int
    columns: int
    frames: int
    samples: int
    bits_allocated: int
    bits_stored: int
    high_bit: int
    signed: bool
    private_compression: str | None
    padding: tuple[int, int] | None
    overlay_bits: bool


@dataclass(frozen=True, slots=True)
class SliceHeader:
    """A slice as its file describes it. What is absent or unusable is None; texts are as the file has them, and private.

    Attributes:
        file: name of the file in its source.
        frame: index of the slice in the file.
        acquisition_time, acquisition_datetime: as numbers that grow as time does, HHMMSS and YYYYMMDDHHMMSS with their fractions.
        temporal_position: TemporalPositionIndex or TemporalPositionIdentifier.
        orientation: direction cosines of row and column.
        slice_location_mm: SliceLocation, in the vendor's own coordinate.
        pixel_spacing_mm: distance of rows (y), distance of columns (x).
        rescale: slope and intercept.
        contrast: whether a contrast agent is hinted at; None where nothing is said.
        multi_energy: whether it is hinted at that the slice was computed of several energies.
        rescale_type: unit of the rescaled values.
        stack_id: which stack of a multi-frame object a frame belongs to; None for classic slices.
        lossy: whether the file says that its pixels were once compressed with loss.
    """

    file: str
    frame: int
    pixels: PixelFormat
    series_uid: str
    instance_uid: str
    study_uid: str | None
    frame_of_reference_uid: str | None
    image_type: tuple[str, ...]
    acquisition_number: int | None
    acquisition_time: float | None
    acquisition_datetime: float | None
    temporal_position: int | None
    stack_id: str | None
    manufacturer: str | None
    model: str | None
    kernel: str | None
    kvp: float | None
    slice_thickness_mm: float | None
    contrast: bool | None
    multi_energy: bool
    patient_position: str | None
    orientation: tuple[float, ...] | None
    position_mm: tuple[float, ...] | None
    slice_location_mm: float | None
    pixel_spacing_mm: tuple[float, ...] | None
    rescale: tuple[float, float] | None
    rescale_type: str | None
    lossy: bool

    @property
    def is_localizer(self) -> bool:
        """Whether the slice is a scout image."""
        return not _LOCALIZERS.isdisjoint(value.upper() for value in self.image_type)

    @property
    def is_derived(self) -> bool:
        """Whether the slice was computed from other slices."""
        return bool(self.image_type) and self.image_type[0].upper() == "DERIVED"

    @property
    def is_hounsfield(self) -> bool:
        """Whether the slice says nothing against its values being HU."""
        return may_be_hounsfield(self.rescale_type, self.image_type, is_derived=self.is_derived)

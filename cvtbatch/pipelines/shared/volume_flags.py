"""What a reader should look at of a decoded source, by name."""

from collections.abc import Iterator

from cvtbatch.imaging.quality import SeriesQuality
from cvtbatch.ingest import SourceVolume


def volume_flags(source: SourceVolume, quality: SeriesQuality) -> list[str]:
    """Return what a reader should look at of a source, by name."""
    return [*_geometry_flags(source), *quality.flags]


def _geometry_flags(source: SourceVolume) -> Iterator[str]:
    stack, acquisition = source.stack, source.acquisition
    if stack.shifts_mm().any():
        yield "tilted"
    if source.has_unverified_slices:
        yield "unverified_slices"
    if source.other_place is not None and source.other_place.contradicts:
        yield "two_places"
    if not stack.is_even():
        yield "uneven_slices"
    if stack.missing_slices():
        yield "missing_slices"
    if acquisition.duplicates_dropped:
        yield "duplicate_slices"
    if acquisition.contrast:
        yield "contrast"
    yield from acquisition.flags

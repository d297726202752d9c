"""What the table `volumes` says of a source beside its identity: geometry, scanner, triage, and UIDs as keyed hashes."""

import numpy as np

from cvtbatch.geometry import Grid
from cvtbatch.imaging.quality import measure_series
from cvtbatch.ingest import SourceVolume
from cvtbatch.ingest.acquisition import Acquisition
from cvtbatch.pipelines.shared.uid_key import UidKey
from cvtbatch.pipelines.shared.volume_flags import volume_flags

Row = dict[str, object]


def describe_volume(source: SourceVolume, grid: Grid, key: UidKey | None) -> Row:
    """Return the columns that follow from a decoded source and its stored grid."""
    stack, acquisition = source.stack, source.acquisition
    gaps, quality = stack.gaps_mm(), measure_series(source.hu_zyx, stack)
    return {
        "size_xyz": list(grid.size_xyz),
        "spacing_mm": list(grid.spacing_mm),
        "origin_mm": list(grid.origin_mm),
        "direction": list(grid.direction),
        "source_format": source.source_format,
        "source_size_xyz": [stack.columns, stack.rows, len(stack.positions_mm)],
        "source_spacing_mm": [*stack.pixel_mm, float(np.median(gaps))],
        "source_gap_min_mm": float(gaps.min()),
        "source_gap_max_mm": float(gaps.max()),
        "source_tilt_deg": stack.tilt_deg(),
        "source_field_mm": [stack.columns * stack.pixel_mm[0], stack.rows * stack.pixel_mm[1]],
        "missing_slices": stack.missing_slices(),
        "clipped_voxels": source.clipped_voxels,
        **_acquisition_columns(acquisition, key),
        "head_coverage_mm": quality.head_coverage_mm,
        "brain_ml": quality.brain_ml,
        "noise_hu": quality.noise_hu,
        "metal_ml": quality.metal_ml,
        "slice_jump_mm": quality.slice_jump_mm,
        "flags": volume_flags(source, quality),
    }


def _acquisition_columns(acquisition: Acquisition, key: UidKey | None) -> Row:
    """Return what the series says of itself; its UIDs leave here only as hashes."""
    uids = {
        "series_uid_hash": acquisition.series_uid,
        "study_uid_hash": acquisition.study_uid,
        "frame_of_reference_hash": acquisition.frame_of_reference_uid,
    }
    hashes = {name: key.hash(uid) if key and uid else None for name, uid in uids.items()}
    return {
        "manufacturer": acquisition.manufacturer,
        "scanner_model": acquisition.scanner_model,
        "convolution_kernel": acquisition.convolution_kernel,
        "kvp": acquisition.kvp,
        "slice_thickness_mm": acquisition.slice_thickness_mm,
        "image_type": acquisition.image_type,
        "transfer_syntax": acquisition.transfer_syntax,
        "patient_position": acquisition.patient_position,
        "contrast": acquisition.contrast,
        "duplicates_dropped": acquisition.duplicates_dropped,
        "series_in_source": acquisition.series_in_source,
        **hashes,
        "uid_key_id": key.key_id if key and any(hashes.values()) else None,
    }

"""What `volumes` says of a source: its geometry, its scanner, its flags, and its UIDs under a key."""

import hashlib
import hmac
from dataclasses import replace

import numpy as np
import pytest

from cvtbatch import contracts
from cvtbatch.geometry import Grid, SliceStack, stored_grid
from cvtbatch.imaging.quality import measure_series
from cvtbatch.ingest import SourceVolume, read_volume
from cvtbatch.ingest.acquisition import Acquisition
from cvtbatch.ingest.nifti import OtherPlace
from cvtbatch.manifest import Case
from cvtbatch.pipelines.extraction.volume_row import describe_volume
from cvtbatch.pipelines.shared.uid_key import UidKey
from tests.support.outside_data import outside

KEY = UidKey(b"a key of sixteen and more")
ACQUISITION = Acquisition(
    manufacturer="GE",
    scanner_model="HiSpeed Dual",
    convolution_kernel="SOFT",
    kvp=120.0,
    slice_thickness_mm=7.0,
    contrast=True,
    series_uid="1.2.3",
    study_uid="1.2.4",
    duplicates_dropped=2,
    series_in_source=3,
)


def source(depths: list[float], shift_mm: float = 0.0, acquisition: Acquisition = ACQUISITION) -> SourceVolume:
    positions = tuple((0.0, k * shift_mm, depth) for k, depth in enumerate(depths))
    stack = SliceStack(40, 30, (0.5, 0.6), (1.0, 0, 0), (0, 1.0, 0), (0, 0, 1.0), positions)
    return SourceVolume(np.full((len(depths), 30, 40), -1000, np.int16), stack, 7, "DICOM", acquisition, "")


def described(volume: SourceVolume, key: UidKey | None = KEY) -> dict[str, object]:
    return describe_volume(volume, stored_grid(volume.stack, (0.5, 0.5, 5.0)), key)


def test_every_column_is_in_the_contract_and_none_is_left_out() -> None:
    columns = {field.name for field in contracts.table("volumes").fields}
    elsewhere = {
        "case_key",
        "center",
        "case_id",
        "volume_spec_id",
        "image_digest",
        "image_fingerprint",
        "path",
        "checksum",
    }
    elsewhere |= {"generation", "manifest_row", "run_id", "sequence", "recorded_at"}
    assert set(described(source([0.0, 5.0, 10.0]))) == columns - elsewhere


def test_scanner_and_geometry_are_the_sources() -> None:
    row = described(source([0.0, 4.0, 8.0, 12.0]))
    expected = {"manufacturer": "GE", "scanner_model": "HiSpeed Dual", "kvp": 120.0, "slice_thickness_mm": 7.0}
    expected |= {"source_spacing_mm": [0.5, 0.6, 4.0], "source_field_mm": [20.0, 18.0], "source_size_xyz": [40, 30, 4]}
    expected |= {"clipped_voxels": 7, "duplicates_dropped": 2, "missing_slices": 0, "series_in_source": 3}
    assert {name: row[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("volume", "flags"),
    [
        (source([0.0, 4.0, 8.0, 12.0]), ["duplicate_slices", "contrast", "no_head"]),
        (source([0.0, 4.0, 8.0, 12.0], acquisition=Acquisition(contrast=False)), ["no_head"]),
        (source([0.0, 4.0, 8.0, 12.0], 1.0, Acquisition()), ["tilted", "no_head"]),
        (source([0.0, 4.0, 8.0, 15.0, 22.0, 29.0], 0.0, Acquisition()), ["uneven_slices", "no_head"]),
        (source([0.0, 4.0, 8.0, 16.0, 20.0], 0.0, Acquisition()), ["uneven_slices", "missing_slices", "no_head"]),
    ],
    ids=["said by the series", "plain", "tilted", "uneven", "missing"],
)
def test_flags_say_what_the_source_is(volume: SourceVolume, flags: list[str]) -> None:
    assert described(volume)["flags"] == flags


def test_an_image_file_says_what_it_cannot_know() -> None:
    elsewhere = Grid((40, 30, 3), (0.5, 0.6, 4.0), (0.0, 0.0, 12.0), (1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0))
    corners = ([0.0, 0.0, 0.0], [0.0, 0.0, 12.0])
    file = replace(source([0.0, 4.0, 8.0], 0.0, Acquisition()), source_format="NIfTI")
    tilted = replace(source([0.0, 4.0, 8.0], 1.0, Acquisition()), source_format="NRRD")
    assert described(file)["flags"] == ["no_head"]
    assert described(tilted)["flags"] == ["tilted", "unverified_slices", "no_head"]
    for contradicts, flags in ((True, ["two_places", "no_head"]), (False, ["no_head"])):
        assert described(replace(file, other_place=OtherPlace(elsewhere, contradicts, corners)))["flags"] == flags


def test_flags_are_those_of_the_contract() -> None:
    [field] = (field for field in contracts.table("volumes").fields if field.name == "flags")
    raised = set(described(source([0.0, 4.0, 8.0, 16.0, 20.0], 1.0))["flags"])
    assert raised == {"tilted", "uneven_slices", "missing_slices", "duplicate_slices", "contrast", "no_head"}
    raised |= {"unverified_slices", "two_places"}
    assert all(name in field.description for name in raised)


def test_uids_are_hashes_under_the_key_and_nothing_without_one() -> None:
    row = described(source([0.0, 5.0]))
    assert row["series_uid_hash"] == hmac.new(KEY.secret, b"1.2.3", hashlib.sha256).hexdigest()
    assert row["study_uid_hash"] == hmac.new(KEY.secret, b"1.2.4", hashlib.sha256).hexdigest()
    assert (row["frame_of_reference_hash"], row["uid_key_id"]) == (None, KEY.key_id)
    for bare in (
        described(source([0.0, 5.0]), key=None),
        described(source([0.0, 5.0], acquisition=replace(ACQUISITION, series_uid=None, study_uid=None))),
    ):
        assert {bare[name] for name in ("series_uid_hash", "study_uid_hash", "uid_key_id")} == {None}


def test_the_real_head_is_described_as_it_is() -> None:
    """Its slices lie alternately 2.4 mm off one another in y, the shear of one slice: displaced against their own headers."""
    volume = read_volume(Case("ge", "head", str(outside("head_ct_ge")), "", None, False, (), "{}", (), 1))
    row = described(volume)
    assert row["flags"] == ["tilted", "uneven_slices", "displaced_slices"]
    assert row["source_tilt_deg"] == pytest.approx(18.5, abs=0.01)
    assert (row["head_coverage_mm"], row["metal_ml"]) == (pytest.approx(149.6, abs=0.1), 0.0)
    assert 1200 < float(str(row["brain_ml"])) < 1500
    assert row["slice_jump_mm"] == measure_series(volume.hu_zyx, volume.stack).slice_jump_mm

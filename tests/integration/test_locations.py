"""Table `locations` of a store: that of the stored volume and mask, beside signs, and a failure where no skull is found."""

from pathlib import Path

from cvtbatch import units
from cvtbatch.location.rows import location_row
from cvtbatch.location.rules import LocationRules
from cvtbatch.store import FeatureStore, StoredArray
from tests.support.archives import skulled_archive, tiny_archive, write_rows
from tests.support.commands import appended, cvtbatch, extract_json
from tests.support.store_contents import grid_of

COARSE = ("--set", "volume.spacing_mm=[2,2,5]")


def test_rows_hold_what_the_stored_volume_and_mask_give(tmp_path: Path) -> None:
    write_rows(tmp_path / "manifest.csv", skulled_archive(tmp_path, 1))
    arguments = (*COARSE, "--set", "outline.method=threshold")
    extract_json(tmp_path / "manifest.csv", tmp_path / "store", *arguments)
    document = extract_json(
        tmp_path / "manifest.csv", tmp_path / "store", *arguments, "--set", "describe=[signs, locations]"
    )
    assert (appended(document), document["decoded"]) == ({"signs": 1, "locations": 1}, 0)
    store = FeatureStore(str(tmp_path / "store"))
    rows = store.locations()
    [row], [roi], [volume] = rows.to_pylist(), store.rois().to_pylist(), store.current("volumes").to_pylist()
    hu_zyx, mask_zyx = (store.read_array(StoredArray(found["path"], found["checksum"])) for found in (volume, roi))
    made = location_row(hu_zyx, mask_zyx, grid_of(volume), LocationRules())  # type: ignore[arg-type]
    assert {name: row[name] for name in made} == made
    assert set(row) - set(made) == set(store.table("locations").contract.arrow().names) - set(made)
    assert row["input_digest"] == roi["input_digest"]
    assert {units(rows)[name] for name in ("skull_mm", "ventricles_ml", "midplane_yaw_deg")} == {"mm", "ml", "deg"}


def test_without_a_skull_nothing_is_located_and_the_rest_is_there(tmp_path: Path) -> None:
    tiny_archive(tmp_path / "archive", 1)
    document = extract_json(
        tmp_path / "archive" / "manifest.csv", tmp_path / "store", "--set", "describe=[locations]", code=3
    )
    assert document["failures"] == [{"stage": "locations", "kind": "no_inside", "cases": 1}]
    assert document["rows"]["radiomics"] == 1  # type: ignore[index]
    assert FeatureStore(str(tmp_path / "store")).locations().num_rows == 0


def test_an_atlas_is_part_of_the_specification_and_serves_locations_alone(tmp_path: Path) -> None:
    tiny_archive(tmp_path / "archive", 1)
    manifest, store = tmp_path / "archive" / "manifest.csv", tmp_path / "store"
    for arguments, told in (
        (["atlas.template=t.nii"], "give both atlas.template and atlas.labels"),
        (["atlas.template=t.nii", "atlas.labels=l.nii"], "add locations to describe"),
        (["atlas.template=t.nii", "atlas.labels=l.nii", "describe=[locations]"], "cannot be read: No such file"),
    ):
        options = [part for argument in arguments for part in ("--set", argument)]
        refused = cvtbatch("extract", manifest, "--store", store, "--workers", 0, *options)
        assert refused.returncode == 1
        assert told in refused.stderr

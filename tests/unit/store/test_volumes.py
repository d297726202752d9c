import json
from pathlib import Path

import numpy as np
import ome_zarr_models.v05 as ome
import pytest
import zarr
from zarr.abc.buffer import Buffer
from zarr.storage import MemoryStore

from cvtbatch.errors import FormatError
from cvtbatch.geometry import Grid
from cvtbatch.store import FeatureStore, StoredArray

GRID = Grid((20, 16, 6), (0.5, 0.5, 5.0), (-10.0, 20.0, 30.0), (1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0))


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    return FeatureStore.open_for_writing(str(tmp_path / "store"))


def volume() -> np.ndarray:
    return np.random.default_rng(0).integers(-1024, 2000, GRID.shape_zyx).astype(np.int16)


def test_round_trip(store: FeatureStore) -> None:
    hu, mask = volume(), (volume() > 500).astype(np.uint8)
    for values, stored in ((hu, store.write_volume(hu, GRID)), (mask, store.write_mask(mask, GRID))):
        again = store.read_array(stored)
        assert again.dtype == values.dtype
        assert np.array_equal(again, values)


def test_equal_voxels_have_equal_checksums_and_different_paths(store: FeatureStore) -> None:
    first, second = store.write_volume(volume(), GRID), store.write_volume(volume(), GRID)
    assert first.checksum == second.checksum
    assert first.path != second.path


def test_public_readers_open_it(store: FeatureStore) -> None:
    """OME-Zarr 0.5 by ome-zarr-models, and the array by plain zarr: one shard a volume, one chunk a slice, zstd by Blosc."""
    stored = store.write_volume(volume(), GRID)
    group = zarr.open_group(f"{store.location.path}/{stored.path}", mode="r")
    image = ome.Image.from_zarr(group)
    [multiscale] = image.ome_attributes.multiscales
    assert [(axis.name, axis.type, axis.unit) for axis in multiscale.axes] == [
        (name, "space", "millimeter") for name in "zyx"
    ]
    scale, translation = multiscale.datasets[0].coordinateTransformations
    assert scale.scale == [5.0, 0.5, 0.5]
    assert translation.translation == [30.0, 20.0, -10.0]
    array = group["0"]
    assert np.array_equal(array[:], volume())
    metadata = json.loads((Path(store.location.path) / stored.path / "0" / "zarr.json").read_text())
    assert metadata["chunk_grid"]["configuration"]["chunk_shape"] == list(GRID.shape_zyx)
    [sharding] = metadata["codecs"]
    assert sharding["name"] == "sharding_indexed"
    assert sharding["configuration"]["chunk_shape"] == [1, 16, 20]
    [of_slice] = [codec for codec in sharding["configuration"]["codecs"] if codec["name"] == "blosc"]
    assert of_slice["configuration"]["cname"] == "zstd"


@pytest.mark.parametrize("kind", ["volume", "mask"])
@pytest.mark.parametrize("fill", [False, True])
def test_a_shard_is_what_zarr_writes(store: FeatureStore, kind: str, fill: bool) -> None:
    """Also where slices hold nothing but the fill value, and where they are no C-ordered array."""
    hu = np.full(GRID.shape_zyx, -1024, np.int16) if fill else np.asfortranarray(volume())
    mask = (hu > 500).astype(np.uint8)
    stored = store.write_volume(hu, GRID) if kind == "volume" else store.write_mask(mask, GRID)
    path = Path(store.location.path) / stored.path
    metadata = json.loads((path / "0" / "zarr.json").read_text())
    by_zarr: dict[str, Buffer] = {}
    memory = MemoryStore(by_zarr)
    array = zarr.create_array(
        memory,
        data=hu if kind == "volume" else mask,
        chunks=(1, 16, 20),
        shards=GRID.shape_zyx,
        compressors=[codec for codec in metadata["codecs"][0]["configuration"]["codecs"] if codec["name"] != "bytes"],
        fill_value=metadata["fill_value"],
        dimension_names=metadata["dimension_names"],
        config={"write_empty_chunks": True},
    )
    assert array.metadata.to_dict() == zarr.open_array(path / "0", mode="r").metadata.to_dict()
    assert (path / "0/c/0/0/0").read_bytes() == by_zarr["c/0/0/0"].to_bytes()


@pytest.mark.parametrize("values", [np.full(GRID.shape_zyx, -1024, np.int16), np.zeros(GRID.shape_zyx, np.int16)])
def test_a_volume_of_one_value_has_its_shard_too(store: FeatureStore, values: np.ndarray) -> None:
    stored = store.write_volume(values, GRID)
    assert np.array_equal(store.read_array(stored), values)
    (Path(store.location.path) / stored.path / "0/c/0/0/0").unlink()
    with pytest.raises(FormatError) as raised:
        store.read_array(stored)
    assert raised.value.kind == "volume_missing"


@pytest.mark.parametrize("name", ["zarr.json", "0/zarr.json", "0/c/0/0/0"])
@pytest.mark.parametrize("damage", ["gone", "cut", "flipped"])
def test_damage_is_an_error_and_never_air(store: FeatureStore, name: str, damage: str) -> None:
    stored = store.write_volume(volume(), GRID)
    path = Path(store.location.path) / stored.path / name
    data = bytearray(path.read_bytes())
    if damage == "gone":
        path.unlink()
    else:
        data[len(data) // 2] ^= 1
        path.write_bytes(data if damage == "flipped" else data[: len(data) // 2])
    with pytest.raises(FormatError):
        store.read_array(stored)


def test_a_path_that_nobody_wrote(store: FeatureStore) -> None:
    with pytest.raises(FormatError):
        store.read_array(StoredArray("volumes/ab/absent.ome.zarr", "0"))


def test_slices_are_those_of_the_whole(store_url: str) -> None:
    any_store = FeatureStore.open_for_writing(store_url)
    hu, mask = volume(), (volume() > 500).astype(np.uint8)
    for values, stored in ((hu, any_store.write_volume(hu, GRID)), (mask, any_store.write_mask(mask, GRID))):
        for indices in ([0], [5], [4, 1, 1], []):
            slices = any_store.read_slices(stored, indices)
            assert slices.dtype == values.dtype
            assert np.array_equal(slices, values[indices])
        assert np.array_equal(any_store.read_array(stored), values)
    for index in (-1, 6):
        with pytest.raises(FormatError) as raised:
            any_store.read_slices(stored, [index])
        assert raised.value.kind == "no_such_slice"


def test_a_slice_needs_its_own_bytes_alone(store: FeatureStore) -> None:
    """What is damaged elsewhere in the shard is not even read."""
    hu = volume()
    stored = store.write_volume(hu, GRID)
    path = Path(store.location.path) / stored.path / "0/c/0/0/0"
    whole = path.read_bytes()
    spoilt: list[tuple[int, str]] = []
    places = range(0, len(whole), 131)
    for place in places:
        data = bytearray(whole)
        data[place] ^= 4
        path.write_bytes(data)
        for index in range(6):
            try:
                assert np.array_equal(store.read_slices(stored, [index])[0], hu[index])
            except FormatError as error:
                spoilt.append((index, error.kind))
    assert {kind for _, kind in spoilt} == {"volume_damaged"}
    for index in range(6):
        assert len(places) / 9 < spoilt.count((index, "volume_damaged")) < len(places) / 4


@pytest.mark.parametrize("name", ["0/zarr.json", "0/c/0/0/0"])
@pytest.mark.parametrize("kept", [None, 0.0, 0.5])
def test_a_slice_of_a_cut_or_lost_volume_is_never_air(store: FeatureStore, name: str, kept: float | None) -> None:
    stored = store.write_volume(np.full(GRID.shape_zyx, 40, np.int16), GRID)
    path = Path(store.location.path) / stored.path / name
    data = path.read_bytes()
    path.unlink()
    if kept is not None:
        path.write_bytes(data[: int(kept * len(data))])
    with pytest.raises(FormatError):
        store.read_slices(stored, [2])

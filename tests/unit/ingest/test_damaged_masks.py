"""Damaged masks: each is read or refused with a kind, whatever was done to its bytes."""

import gzip
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest

from cvtbatch.errors import InputError
from cvtbatch.ingest import read_mask
from cvtbatch.ingest.writing import SeriesTags, write_series
from tests.support.failing_reads import kinds_of_failing_reads
from tests.support.mask_files import Ball, ball, datasets, roi, slices_of, write_seg, write_structure_set
from tests.support.outside_data import outside

MUTATIONS = 100


@pytest.fixture(scope="module")
def drawn() -> Ball:
    return ball((6.0,) * 8, 10.0)


def seg(folder: Path, drawn: Ball) -> Path:
    write_series(folder / "ct", drawn.hu(), drawn.stack, SeriesTags("s", "test", 0.0))
    return write_seg(folder / "seg.dcm", datasets(folder / "ct"), drawn.mask())


def rle(folder: Path, drawn: Ball) -> Path:
    write_series(folder / "ct", drawn.hu(), drawn.stack, SeriesTags("s", "test", 0.0))
    shares = write_seg(folder / "f.dcm", datasets(folder / "ct"), drawn.mask().astype(float), kind="FRACTIONAL")
    dataset = pydicom.dcmread(shares)
    dataset.compress(pydicom.uid.RLELossless, encoding_plugin="pydicom")
    dataset.save_as(folder / "rle.dcm")
    return folder / "rle.dcm"


def structure_set(folder: Path, drawn: Ball) -> Path:
    contours = [("CLOSED_PLANAR", points[::8]) for points in drawn.circles()]
    return write_structure_set(folder / "rt.dcm", {"clot": contours})


def segmentation(_: Path, __: Ball) -> Path:
    return outside("segmentations/Segmentation.seg.nrrd")


def mutated(data: bytes, rng: np.random.Generator) -> bytes:
    """Truncate, flip bytes, blank or repeat or drop a run, swap two runs of four bytes (lengths, often)."""
    start, end = sorted(rng.integers(0, len(data), 2).tolist())
    end = min(end, start + 200)
    values = bytearray(data)
    # Headers are where damage is interesting, and they are short.
    front = rng.random() < 0.5
    place = int(rng.integers(0, min(len(data), 6000) if front else len(data) - 8))
    match int(rng.integers(0, 6)):
        case 0:
            return data[:place]
        case 1:
            for _ in range(int(rng.integers(1, 6))):
                values[min(place + int(rng.integers(0, 60)), len(data) - 1)] ^= 1 << int(rng.integers(0, 8))
        case 2:
            values[start:end] = bytes(end - start)
        case 3:
            values[place:place] = values[place : place + 40]
        case 4:
            del values[place : place + int(rng.integers(1, 60))]
        case _:
            values[place : place + 4], values[start : start + 4] = values[start : start + 4], values[place : place + 4]
    return bytes(values)


@pytest.mark.parametrize("make", [seg, rle, structure_set, segmentation])
def test_mutations_are_read_or_refused_with_a_kind(
    tmp_path: Path, drawn: Ball, make: Callable[[Path, Ball], Path], capfd: pytest.CaptureFixture[str]
) -> None:
    path, rng = make(tmp_path, drawn), np.random.default_rng(11)
    data, image = path.read_bytes(), slices_of(drawn.stack)
    label = 5 if make is segmentation else None
    assert read_mask(roi(path, label), lambda: image).voxels_zyx.any()
    outcomes: Counter[str] = Counter()
    told = ""
    broken = tmp_path / f"broken{''.join(path.suffixes[-2:])}"
    for _ in range(MUTATIONS):
        broken.write_bytes(mutated(data, rng))
        try:
            mask = read_mask(roi(broken, label), lambda: image)
        except InputError as error:
            outcomes[error.kind] += 1
            told += error.message
        else:
            outcomes["read"] += 1
            assert mask.voxels_zyx.any()
            assert np.isfinite(mask.volume_ml)
    assert outcomes.total() == MUTATIONS
    assert str(tmp_path) not in told
    assert outcomes["read"] >= 3, "too coarse to show what damage within a readable file does"
    with capfd.disabled():
        print(f"\n{make.__name__}: {dict(outcomes)}", end="")


@pytest.mark.parametrize("make", [seg, rle, structure_set, segmentation])
def test_a_truncated_mask_is_refused_or_whole(tmp_path: Path, drawn: Ball, make: Callable[[Path, Ball], Path]) -> None:
    path, image = make(tmp_path, drawn), slices_of(drawn.stack)
    data, label = path.read_bytes(), 5 if make is segmentation else None
    whole = read_mask(roi(path, label), lambda: image).mask_digest()
    cut, kinds = tmp_path / f"cut{''.join(path.suffixes[-2:])}", set()
    for end in [*np.linspace(1, len(data) - 30, 40).astype(int).tolist(), *range(len(data) - 12, len(data))]:
        cut.write_bytes(data[:end])
        try:
            mask = read_mask(roi(cut, label), lambda: image)
        except InputError as error:
            kinds.add(error.kind)
        else:
            assert mask.mask_digest() == whole, f"{end} of {len(data)} bytes give another mask"
    assert kinds <= {"unreadable_file", "unsupported_mask"}


@pytest.mark.parametrize("make", [seg, rle, structure_set])
def test_masks_that_gzip_compressed_are_read_or_refused(
    tmp_path: Path, drawn: Ball, make: Callable[[Path, Ball], Path]
) -> None:
    path, image = make(tmp_path, drawn), slices_of(drawn.stack)
    taken: list[int] = []
    whole = read_mask(roi(path), lambda: image, taken.append)
    good = gzip.compress(path.read_bytes())
    folder = tmp_path / "masks" / "deep"
    folder.mkdir(parents=True)
    for name in ("seg.dcm.gz", "SEG1.GZ"):
        packed = folder / name
        packed.write_bytes(good)
        for named in (packed, folder.parent):
            assert read_mask(roi(named), lambda: image, taken.append).mask_digest() == whole.mask_digest()
        for bad in (good[:-20], good[:-5], good[:-8] + b"\0\0\0\0" + good[-4:]):
            packed.write_bytes(bad)
            for named in (packed, folder.parent):
                with pytest.raises(InputError) as raised:
                    read_mask(roi(named), lambda: image)
                assert raised.value.kind == "unreadable_file"
        packed.unlink()
    assert len(taken) == 5
    assert len(set(taken)) == 1, "what reading takes does not hang on how the file was stored"


@pytest.mark.parametrize("compressed", [False, True])
def test_wherever_reading_fails_the_outline_is_unavailable(
    tmp_path: Path, drawn: Ball, monkeypatch: pytest.MonkeyPatch, compressed: bool
) -> None:
    folder, image = tmp_path / "masks", slices_of(drawn.stack)
    folder.mkdir()
    data = structure_set(tmp_path, drawn).read_bytes()
    (folder / "rt.dcm.gz").write_bytes(gzip.compress(data) if compressed else data)
    kinds = kinds_of_failing_reads(monkeypatch, lambda: read_mask(roi(folder), lambda: image))
    assert len(kinds) > 3
    assert set(kinds) == {"source_unavailable"}


def test_a_link_beside_the_outline_that_leads_nowhere_is_not_passed_over(tmp_path: Path, drawn: Ball) -> None:
    folder, image = tmp_path / "masks", slices_of(drawn.stack)
    folder.mkdir()
    path = seg(tmp_path, drawn).rename(folder / "seg1.dcm")
    (folder / "README").symlink_to("nowhere")
    whole = read_mask(roi(path), lambda: image).mask_digest()
    assert read_mask(roi(folder), lambda: image).mask_digest() == whole
    (folder / "seg2.dcm").symlink_to("nowhere")
    with pytest.raises(InputError) as raised:
        read_mask(roi(folder), lambda: image)
    assert (raised.value.kind, "git annex get" in raised.value.message) == ("missing_members", True)
    assert "seg2.dcm" in raised.value.private
    assert str(tmp_path) not in raised.value.message


def test_files_that_hold_something_else(tmp_path: Path, drawn: Ball) -> None:
    def kind(name: str, data: bytes) -> str:
        (tmp_path / name).write_bytes(data)
        with pytest.raises(InputError) as raised:
            read_mask(roi(tmp_path / name), lambda: slices_of(drawn.stack))
        return raised.value.kind

    assert kind("text", b"a note") == "unknown_format"
    assert kind("empty", b"") == "unknown_format"
    assert kind("empty.dcm", b"") == "unreadable_file"
    assert kind("empty.seg.nrrd", b"") == "unreadable_file"
    assert kind("zip", b"\x1f\x8b\x08 not gzip") == "unknown_format"
    assert kind("start", b"\0" * 128 + b"DICM") in {"unsupported_mask", "unreadable_file"}
    with pytest.raises(InputError) as raised:
        read_mask(roi(tmp_path / "absent.nii"), lambda: slices_of(drawn.stack))
    assert raised.value.kind == "missing_file"

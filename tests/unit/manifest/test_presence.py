"""Files that are not there: those of a row are its own affair, those of a whole folder are a share that is not mounted."""

import errno
import os
import re
import tracemalloc
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cvtbatch.errors import InputError
from cvtbatch.manifest import Manifest, is_absent, presence, read_manifest
from tests.support.archives import write_rows

# Calls that are looked back to whoever asked for memory.
FRAMES = 4


def read(folder: Path, images: Iterable[str], masks: Iterable[str] = ()) -> Manifest:
    images, masks = list(images), list(masks)
    masks += [""] * (len(images) - len(masks))
    rows = [
        {"center": "A", "case_id": str(number), "image": image, "mask": mask}
        for number, (image, mask) in enumerate(zip(images, masks, strict=True))
    ]
    return read_manifest(write_rows(folder / "m.csv", rows))


def told(manifest: Manifest) -> str:
    """Return what is said of folders that are away; it is one line, and names them in its private part alone."""
    with pytest.raises(InputError) as raised:
        manifest.require_folders()
    error = raised.value
    assert error.kind == "sources_away"
    assert "/" not in error.message
    assert "mount the share" in error.message
    assert "\n" not in str(error)
    return error.private


def touch(folder: Path, names: Iterable[str]) -> list[str]:
    names = list(names)
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return names


def test_missing_files_of_some_rows_are_no_problem_of_the_manifest(tmp_path: Path) -> None:
    images = [
        *touch(tmp_path, [f"ct/{number}.nii.gz" for number in range(6)]),
        "ct/absent.nii.gz",
        "patient7/ct.nii.gz",
    ]
    manifest = read(tmp_path, images, ["mask/absent.nii.gz"])
    manifest.require_folders()
    assert [case.image_entry for case in manifest] == images


@pytest.mark.parametrize("mounted", ["absent", "empty"])
def test_one_line_names_a_share_that_is_not_mounted(tmp_path: Path, mounted: str) -> None:
    share = tmp_path / "mnt" / "share"
    (share if mounted == "empty" else tmp_path / "mnt").mkdir(parents=True)
    (tmp_path / "mnt" / "other").touch()
    names = [f"{share}/{number % 3}/{number}/ct.nii.gz" for number in range(12)]
    assert told(read(tmp_path, names)) == f"{share}: 12 cases, first row 1 with {names[0]!r}"


def test_of_two_shares_the_one_that_is_away_is_named(tmp_path: Path) -> None:
    here = touch(tmp_path, [f"a/{number}/ct.nii.gz" for number in range(5)])
    away = [f"b/{number}/ct.nii.gz" for number in range(5)]
    assert told(read(tmp_path, [*here, *away])) == f"{tmp_path}/b: 5 cases, first row 6 with 'b/0/ct.nii.gz'"
    # Half of the cases is a share that is away; less is the failure of each, however many they are.
    read(tmp_path, [*here, *here, *(f"b/{number}/ct.nii.gz" for number in range(9))]).require_folders()
    many = [f"a/{number % 5}/ct.nii.gz" for number in range(300)]
    read(tmp_path, [*many, *(f"b/{number}/ct.nii.gz" for number in range(299))]).require_folders()
    half = told(read(tmp_path, [*many, *(f"b/{number}/ct.nii.gz" for number in range(300))]))
    assert half == f"{tmp_path}/b: 300 cases, first row 301 with 'b/0/ct.nii.gz'"


@pytest.mark.parametrize("together", [True, False])
def test_cases_count_and_not_their_rows(tmp_path: Path, together: bool) -> None:
    """Two readers outlined a case whose folder is gone; the other case runs, in whatever order their rows stand."""
    touch(tmp_path, ["here/ct.nii.gz", "here/a.nii.gz"])
    gone = [
        {"center": "A", "case_id": "1", "image": "gone/ct", "mask": f"gone/{name}", "reader": name} for name in "ab"
    ]
    here = {"center": "A", "case_id": "2", "image": "here/ct.nii.gz", "mask": "here/a.nii.gz"}
    rows = [*gone, here] if together else [gone[0], here, gone[1]]
    manifest = read_manifest(write_rows(tmp_path / "m.csv", rows))
    manifest.require_folders()
    assert len(manifest) == 2
    more = [{**row, "case_id": "3"} for row in gone]
    cases = read_manifest(write_rows(tmp_path / "m.csv", [*rows, *more]))
    assert told(cases) == f"{tmp_path}/gone: 2 cases, first row 1 with 'gone/ct'"


def close(monkeypatch: pytest.MonkeyPatch, folder: Path, number: int, *, itself: bool) -> None:
    """Let nothing below a folder be looked at, nor the folder itself, as behind a stale handle, or its place alone."""
    stat, scandir = os.stat, os.scandir

    def is_closed(path: object) -> bool:
        return str(path).startswith(f"{folder}/") or (itself and str(path) == str(folder))

    def closed_stat(path: object, **options: object) -> os.stat_result:
        if is_closed(path):
            raise OSError(number, os.strerror(number), path)
        return stat(path, **options)

    def closed_scandir(path: object) -> object:
        if is_closed(f"{path}/"):
            raise OSError(number, os.strerror(number), path)
        return scandir(path)

    monkeypatch.setattr(os, "stat", closed_stat)
    monkeypatch.setattr(os, "scandir", closed_scandir)


@pytest.mark.parametrize(("number", "itself"), [(errno.ESTALE, True), (errno.EACCES, False), (errno.EIO, True)])
def test_a_share_that_cannot_be_looked_at_is_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, itself: bool
) -> None:
    here = touch(tmp_path, [f"here/{count}/ct.nii.gz" for count in range(5)])
    away = touch(tmp_path, [f"share/{count % 2}/{count}/ct.nii.gz" for count in range(5)])
    read(tmp_path, [*here, *away]).require_folders()
    close(monkeypatch, tmp_path / "share", number, itself=itself)
    assert told(read(tmp_path, [*here, *away])) == f"{tmp_path}/share: 5 cases, first row 6 with {away[0]!r}"
    assert told(read(tmp_path, away)) == f"{tmp_path}/share: 5 cases, first row 1 with {away[0]!r}"
    # Few of them are failures of their cases.
    read(tmp_path, [*here, *away[1:]]).require_folders()


def test_all_masks_away_are_a_share_and_missing_masks_beside_images_are_not(tmp_path: Path) -> None:
    images = touch(tmp_path, [f"ct/{number}.nii.gz" for number in range(4)])
    away = told(read(tmp_path, images, [f"masks/{number}.nii.gz" for number in range(4)]))
    assert away == f"{tmp_path}/masks: 4 cases, first row 1 with 'masks/0.nii.gz'"
    read(tmp_path, images, [f"ct/mask{number}.nii.gz" for number in range(4)]).require_folders()


def test_where_nothing_is_there_nothing_starts(tmp_path: Path) -> None:
    assert told(read(tmp_path, ["ct.nii.gz"])) == f"{tmp_path}: 1 case, first row 1 with 'ct.nii.gz'"
    beside = told(read(tmp_path, ["a/1.nii.gz", "../b/2.nii.gz", "a/3.nii.gz"]))
    assert beside == f"{tmp_path}/a: 2 cases, first row 1 with 'a/1.nii.gz'" or beside.startswith(
        f"{tmp_path.parent}: 3 cases"
    )
    touch(tmp_path, ["c/here", "d/here"])
    assert told(read(tmp_path, ["c/1.nii.gz", "d/2.nii.gz"])) == f"{tmp_path}: 2 cases, first row 1 with 'c/1.nii.gz'"


def test_what_lies_where_a_share_should_be_is_not_the_share(tmp_path: Path) -> None:
    """An earlier run wrote below the place where the share was not mounted; or all masks have another suffix."""
    here = touch(tmp_path, [f"a/{number}/ct.nii.gz" for number in range(4)])
    touch(tmp_path, ["b/store/cvtbatch-store.json", "masks/0.seg.nrrd"])
    away = [f"b/{number}/ct.nii.gz" for number in range(5)]
    assert told(read(tmp_path, [*here, *away])) == f"{tmp_path}/b: 5 cases, first row 5 with 'b/0/ct.nii.gz'"
    masks = told(read(tmp_path, here, [f"masks/{number}.nii.gz" for number in range(4)]))
    assert masks == f"{tmp_path}/masks: 4 cases, first row 1 with 'masks/0.nii.gz'"
    # One that is there, wherever it is named, is enough.
    touch(tmp_path, ["masks/3.nii.gz"])
    read(tmp_path, here, [f"masks/{number}.nii.gz" for number in range(4)]).require_folders()
    deep = told(read(tmp_path, [*here, *(f"b/x/{number % 2}/{number}.nii.gz" for number in range(5))]))
    assert deep == f"{tmp_path}/b/x: 5 cases, first row 5 with 'b/x/0/0.nii.gz'"


def test_several_shares_are_told_in_one_line(tmp_path: Path) -> None:
    names = [f"{share}/{number}/ct.nii.gz" for share in "ab" for number in range(5)]
    private = told(read(tmp_path, names, touch(tmp_path, ["f/mask.nii.gz"])))
    assert [part.partition(":")[0] for part in private.split("; ")] == [str(tmp_path / share) for share in "ab"]
    away = [presence.Away(share, 2, 1, "ct") for share in "abcde"]
    with pytest.raises(InputError, match="below each of 5 folders") as raised:
        presence.require_folders(away)
    assert raised.value.private.endswith("c: 2 cases, first row 1 with 'ct'; and 2 more")


def test_a_patient_whose_folder_is_gone_stops_nobody(tmp_path: Path) -> None:
    here = touch(tmp_path, [f"p{number}/ct.nii.gz" for number in range(5)])
    gone = ["p9/1/ct.nii.gz", "p9/2/ct.nii.gz", "p9/3/ct.nii.gz"]
    (tmp_path / "p9").mkdir()
    read(tmp_path, [*here, *gone]).require_folders()


def test_a_link_that_leads_nowhere_is_absent_and_what_cannot_be_looked_at_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(tmp_path, ["file"])
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    assert [
        is_absent(str(tmp_path / name)) for name in ("file", "link", "loop", "none", "file/below", "x" * 300, "\0")
    ] == [*(False, True, True, True, True, True, True)]
    for number in (errno.EACCES, errno.EIO, errno.ESTALE, errno.ETIMEDOUT):

        def fail(path: str, number: int = number) -> None:
            raise OSError(number, os.strerror(number), path)

        with monkeypatch.context() as patch:
            patch.setattr(presence.os, "stat", fail)
            absent = is_absent("anything")
        assert not absent, errno.errorcode[number]


def test_memory_does_not_grow_with_the_folders_that_are_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presence, "COUNTED_FOLDERS", 50)
    here = touch(tmp_path, ["here/ct.nii.gz"])
    images = [*here, *(f"p{number}/ct.nii.gz" for number in range(3000))]

    def held() -> int:
        found = presence.Presence(tmp_path)
        with ThreadPoolExecutor(presence.THREADS) as threads:
            tracemalloc.start(FRAMES)
            for start in range(0, len(images), 500):
                part = images[start : start + 500]
                found.look(range(start, start + len(part)), {"image": part, "mask": [None] * len(part)}, threads)
            # What threads of other tests hold meanwhile is theirs.
            ours = [tracemalloc.Filter(True, presence.__file__, all_frames=True)]
            size = sum(trace.size for trace in tracemalloc.take_snapshot().filter_traces(ours).traces)
            tracemalloc.stop()
        assert found.away(len(images), lambda: enumerate(images)) == ()
        return size

    held()
    monkeypatch.setattr(presence, "REMEMBERED", 50)
    assert held() < 70_000


def test_folders_are_looked_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    look = presence._can_be_looked_at
    monkeypatch.setattr(presence, "_can_be_looked_at", lambda path: asked.append(path) or look(path))
    assert told(read(tmp_path, [f"share/{number}.nii.gz" for number in range(40)])).startswith(
        f"{tmp_path}/share: 40 cases"
    )
    assert len([path for path in asked if not re.search(r"\.nii\.gz$", str(path))]) <= 3

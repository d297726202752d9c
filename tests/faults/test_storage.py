"""A store that runs full, that cannot be written, and that two runs write at once."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from cvtbatch.store import FeatureStore
from tests.faults.runs import STARTS_SECONDS, Runs, wait_for
from tests.support.archives import tiny_archive, write_rows
from tests.support.commands import cvtbatch, extract_json
from tests.support.store_contents import contents

CASES = 4


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed")
    rows = tiny_archive(folder / "archive", CASES)
    # Names that do not say what the files are: they are read through temporary links.
    for number in (0, 2):
        (folder / "archive" / str(rows[number]["mask"])).rename(folder / "archive" / f"nameless{number}")
        rows[number]["mask"] = f"nameless{number}"
    write_rows(folder / "archive" / "manifest.csv", rows)
    extract_json(folder / "archive" / "manifest.csv", folder / "store")
    return folder


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 1.2 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1200k", "tmpfs", str(folder)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode != 0:
        if os.environ.get("CI"):
            pytest.fail("CI can mount a file system, and this one could not")
        pytest.skip("needs the right to mount a file system (root)")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_full_disk_stops_the_run_and_loses_nothing(undisturbed: Path, small_disk: Path, workers: int) -> None:
    manifest, store = undisturbed / "archive" / "manifest.csv", small_disk / "store"
    arguments = ("extract", manifest, "--store", store, "--workers", workers, "--set", "run.commit_cases=1")
    result = cvtbatch(*arguments)
    assert result.returncode == 1
    assert "the disk of the store is full: make room and run again" in result.stderr
    assert "Traceback" not in result.stderr
    done = FeatureStore(str(store)).radiomics(columns=["roi_key"]).num_rows
    assert done < CASES
    assert FeatureStore(str(store)).failures().num_rows == 0
    subprocess.run(["mount", "-o", "remount,size=100m", str(small_disk)], check=True)
    document = extract_json(manifest, store)
    assert document["already_done"] == done
    assert contents(store) == contents(undisturbed / "store")


def allow_files(disk: Path, more: int) -> None:
    """Have room for so many files more on a file system."""
    status = os.statvfs(disk)
    options = f"remount,nr_inodes={status.f_files - status.f_ffree + more}"
    subprocess.run(["mount", "-o", options, str(disk)], check=True)


@pytest.mark.timeout(600)
def test_a_worker_whose_disk_is_full_fails_the_cases_that_need_it(
    undisturbed: Path, tmp_path: Path, small_disk: Path, runs: Runs
) -> None:
    manifest, store = undisturbed / "archive" / "manifest.csv", tmp_path / "store"
    extract = ("extract", manifest, "--store", store, "--workers", 1, "--set", "run.commit_cases=1")
    runs.scratch = small_disk
    runs.order("all", "pause")
    driver = runs.cvtbatch(*extract)
    # The first case has chosen the folder; had it been full before, Python would have chosen another.
    assert wait_for(lambda: len(runs.paused()) >= 2, STARTS_SECONDS), driver.stderr
    allow_files(small_disk, 0)
    assert driver.end() == 3, driver.stderr
    assert "Traceback" not in driver.stderr
    [failure] = FeatureStore(str(store)).failures().to_pylist()
    assert (failure["case_id"], failure["stage"], failure["kind"]) == ("002", "mask", "no_scratch")
    allow_files(small_disk, 1000)
    driver = runs.cvtbatch(*extract, "--retry-failed")
    assert driver.end() == 0, driver.stderr
    assert contents(store) == contents(undisturbed / "store")
    assert runs.left() == []


def test_two_runs_on_one_store_lose_and_double_nothing(undisturbed: Path, tmp_path: Path, runs: Runs) -> None:
    manifest, store = undisturbed / "archive" / "manifest.csv", tmp_path / "store"
    extract = ("extract", manifest, "--store", store, "--workers", 0, "--set", "run.commit_cases=1")
    for run in [runs.cvtbatch(*extract) for _ in range(2)]:
        assert run.end() == 0, run.stderr
    assert contents(store) == contents(undisturbed / "store")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--store", "/proc/store"), "nothing can be written there: choose another place for it"),
        (("--store", "{archive}"), "it is no store; choose an empty folder"),
        (("--store", "gopher://x/y"), "gopher:// is not known"),
        (
            ("--store", "{new}", "--set", "radiomics.profil=x"),
            "unknown key radiomics.profil; the nearest valid one is radiomics.profile",
        ),
        (
            ("--store", "{new}", "--set", "radiomics.profile=none.yaml"),
            "there is no such file; it is cvt-1834 or onekey-1834",
        ),
        (("--store", "{new}", "--set", "embedding.weights=absent.pt"), "absent.pt"),
    ],
)
def test_what_cannot_be_run_is_said_and_leaves_nothing(
    undisturbed: Path, tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    places = {"archive": undisturbed / "archive", "new": tmp_path / "new"}
    result = cvtbatch(
        "extract", undisturbed / "archive" / "manifest.csv", *(part.format(**places) for part in arguments)
    )
    assert result.returncode == 1
    assert said in " ".join(result.stderr.split())
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "new").exists()


def test_a_bad_manifest_writes_nothing(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("center,case_id,image\nA,1,absent\nA,1,absent\n,2,absent\n")
    result = cvtbatch("extract", tmp_path / "m.csv", "--store", tmp_path / "store")
    assert result.returncode == 1
    assert result.stderr.count("\n  row ") == 2
    assert not (tmp_path / "store").exists()

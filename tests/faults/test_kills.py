"""SIGKILL at random moments, of driver and workers: a later run gives the tables of an undisturbed one."""

import os
import random
import signal
import time
from pathlib import Path

import pytest

from cvtbatch.store import FeatureStore
from tests.faults.runs import STARTS_SECONDS, Runs, batches_in, cases_done, read_everything, wait_for
from tests.support.archives import skulled_archive, tiny_archive
from tests.support.commands import appended, cvtbatch, extract_json
from tests.support.paths import FEATURE_SET
from tests.support.store_contents import contents

CASES = 14
KILLS = 5
OUTLINED = 6
# Commits of two cases, so that kills fall between and inside them.
COARSE = ("--set", "volume.spacing_mm=[2,2,5]", "--set", "run.commit_cases=2", "--params", FEATURE_SET)
# A case takes as long, so that kills find work under way.
PAUSE_SECONDS = 0.3


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed")
    tiny_archive(folder / "archive", CASES)
    (folder / "archive" / "ct5.nii.gz").write_bytes(b"a case that fails")
    extract_json(folder / "archive" / "manifest.csv", folder / "store", *COARSE, code=3)
    return folder


@pytest.fixture
def slow(runs: Runs) -> Runs:
    runs.pause_s = PAUSE_SECONDS
    runs.order("all", "pause")
    return runs


@pytest.mark.timeout(600)
def test_five_kills_lose_and_double_nothing(undisturbed: Path, tmp_path: Path, slow: Runs) -> None:
    manifest, store, runs = undisturbed / "archive" / "manifest.csv", tmp_path / "store", slow
    extract = ("extract", manifest, "--workers", 2, *COARSE, "--store")
    dice = random.Random(7)
    drivers = workers = partial = 0
    while drivers + workers < KILLS:
        before = batches_in(store)
        driver = runs.cvtbatch(*extract, store)
        if drivers % 3 == 2:
            assert wait_for(lambda: len(runs.workers()) >= 2, STARTS_SECONDS), driver.stderr
            time.sleep(dice.uniform(0.0, 1.0))
        else:
            assert wait_for(lambda store=store, before=before: batches_in(store) > before, STARTS_SECONDS)
            time.sleep(dice.uniform(0.0, 0.4))
        if drivers % 3:
            for victim in runs.workers()[:1]:
                victim.kill()
                workers += 1
            time.sleep(dice.uniform(0.0, 0.3))
        driver.signal(signal.SIGKILL)
        driver.end()
        drivers += 1
        assert wait_for(lambda: not runs.processes(), 30), "a worker outlived its driver"
        partial += 0 < cases_done(store) < CASES - 1  # readable, whenever the kill came
        if cases_done(store) == CASES - 1:
            # Nothing is left to disturb: this one must be right, and the next kills fall on a new store.
            extract_json(manifest, store, *COARSE, code=3)
            assert contents(store) == contents(undisturbed / "store")
            store = tmp_path / f"store{drivers}"
    assert partial >= 2, "the kills fell on nothing"
    # With workers, whose driver removes what killed ones left.
    assert runs.cvtbatch(*extract, store).end() == 3
    assert contents(store) == contents(undisturbed / "store")
    status = cvtbatch("status", "--store", store, "--json", check=True).stdout
    assert f'"done": {CASES - 1}' in status
    assert '"failed": 1' in status
    assert read_everything(store) == 2 * (CASES - 1)


def test_an_interrupt_commits_what_is_done_and_says_how_to_go_on(undisturbed: Path, tmp_path: Path, slow: Runs) -> None:
    manifest, store = undisturbed / "archive" / "manifest.csv", tmp_path / "store"
    driver = slow.cvtbatch("extract", manifest, "--store", store, "--workers", 0, *COARSE)
    assert wait_for(lambda: sum(1 for _ in (store / "masks").glob("*/*")) >= 3, STARTS_SECONDS)
    driver.signal(signal.SIGINT)
    assert driver.end(30) == 128 + signal.SIGINT
    assert "the same command continues" in driver.stderr
    assert "Traceback" not in driver.stderr
    done = cases_done(store)
    assert 0 < done < CASES - 1
    [run] = FeatureStore(str(store)).table("runs").current().to_pylist()
    assert (run["state"], run["reason"]) == ("interrupted", "stopped by the user")
    document = extract_json(manifest, store, *COARSE, code=3)
    assert document["already_done"] == done
    assert contents(store) == contents(undisturbed / "store")


def test_ctrl_c_at_a_terminal_with_workers_is_clean(undisturbed: Path, tmp_path: Path, slow: Runs) -> None:
    """A terminal interrupts driver and workers alike."""
    manifest, store = undisturbed / "archive" / "manifest.csv", tmp_path / "store"
    driver = slow.cvtbatch("extract", manifest, "--store", store, "--workers", 2, *COARSE, session=True)
    assert wait_for(lambda: any((store / "masks").glob("*/*")), STARTS_SECONDS)
    assert len(slow.workers()) == 2
    os.killpg(driver.process.pid, signal.SIGINT)
    assert driver.end(30) == 128 + signal.SIGINT
    assert "the same command continues" in driver.stderr
    assert "Traceback" not in driver.stderr
    assert slow.left(seconds=1) == []
    extract_json(manifest, store, *COARSE, code=3)
    assert contents(store) == contents(undisturbed / "store")


@pytest.mark.parametrize("after", [0.2, 1.5])
def test_an_end_while_workers_start_is_clean(undisturbed: Path, tmp_path: Path, runs: Runs, after: float) -> None:
    manifest = undisturbed / "archive" / "manifest.csv"
    driver = runs.cvtbatch("extract", manifest, "--store", tmp_path / "store", "--workers", 2)
    assert wait_for(runs.workers, STARTS_SECONDS)
    time.sleep(after)
    driver.signal(signal.SIGTERM)
    assert driver.end(30) == 128 + signal.SIGTERM
    assert "Traceback" not in driver.stderr


@pytest.mark.timeout(600)
def test_kills_while_outlines_are_found_lose_and_double_nothing(tmp_path: Path, runs: Runs) -> None:
    skulled_archive(tmp_path / "archive", OUTLINED, bloodless=[2])
    manifest, store = tmp_path / "archive" / "manifest.csv", tmp_path / "store"
    settings = (*COARSE[:2], "--set", "run.commit_cases=1", "--set", "outline.method=threshold")
    settings += ("--set", "regions=[rim,part2]")
    extract_json(manifest, tmp_path / "undisturbed", *settings)
    extract = ("extract", manifest, "--workers", 2, *settings, "--store", store)
    dice = random.Random(11)
    partial = 0
    # The second kill falls on regions of what was found.
    for number, table in enumerate(("outlines", "regions")):
        folder = store / "tables" / table
        before = len(list(folder.glob("*.parquet")))
        driver = runs.cvtbatch(*extract)
        assert wait_for(
            lambda driver=driver, before=before, folder=folder: (
                driver.ended or len(list(folder.glob("*.parquet"))) > before
            ),
            STARTS_SECONDS,
        ), driver.stderr
        time.sleep(dice.uniform(0.0, 0.3))
        for victim in runs.workers()[: number % 2]:
            victim.kill()
        driver.signal(signal.SIGKILL)
        driver.end()
        assert wait_for(lambda: not runs.processes(), 30), "a worker outlived its driver"
        partial += 0 < FeatureStore(str(store)).table("outlines").current(["case_key"]).num_rows < OUTLINED
    assert partial, "the kills fell on nothing"
    assert runs.cvtbatch(*extract).end() == 0
    assert contents(store) == contents(tmp_path / "undisturbed")
    assert read_everything(store) == 2 * OUTLINED - 1 + OUTLINED - 1, "volumes, outlines and rims"
    assert appended(extract_json(manifest, store, *settings)) == {}

"""SIGKILL at random moments, of driver and workers: a later run gives the tables of an undisturbed one."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from cvtbatch.store import FeatureStore
from tests.faults.runs import batches_in, cases_done, read_everything
from tests.support import contents, cvtbatch, extract_json, tiny_archive

CASES = 30
KILLS = 10
NO_EMBEDDINGS = ("--set", "embedding.weights=none")


def start(manifest: Path, store: Path) -> subprocess.Popen[bytes]:
    command = [
        sys.executable,
        "-m",
        "cvtbatch",
        "extract",
        str(manifest),
        "--store",
        str(store),
        "--workers",
        "2",
        *NO_EMBEDDINGS,
    ]
    # Commits of two cases, so that kills fall between and inside them.
    return subprocess.Popen(
        [*command, "--set", "run.commit_cases=2"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def workers_of(driver: subprocess.Popen[bytes]) -> list[psutil.Process]:
    try:
        children = psutil.Process(driver.pid).children(recursive=True)
        return [child for child in children if "spawn_main" in " ".join(child.cmdline())]
    except psutil.Error:
        return []


def wait_for(condition, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.02)
    return False


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed")
    tiny_archive(folder / "archive", CASES)
    (folder / "archive" / "ct5.nii.gz").write_bytes(b"a case that fails")
    extract_json(folder / "archive" / "manifest.csv", folder / "store", code=3)
    return folder


@pytest.mark.timeout(600)
def test_ten_kills_lose_and_double_nothing(undisturbed: Path, tmp_path: Path) -> None:
    manifest, store = undisturbed / "archive" / "manifest.csv", tmp_path / "store"
    dice = random.Random(7)
    drivers = workers = partial = 0
    while drivers + workers < KILLS:
        before = batches_in(store)
        driver = start(manifest, store)
        if drivers % 3 == 2:
            wait_for(lambda driver=driver: len(workers_of(driver)) >= 2, 120)
            time.sleep(dice.uniform(0.0, 1.0))
        else:
            wait_for(lambda store=store, before=before: batches_in(store) > before, 120)
            time.sleep(dice.uniform(0.0, 0.4))
        if (drivers + workers) % 2:
            for victim in workers_of(driver)[:1]:
                victim.kill()
                workers += 1
            time.sleep(dice.uniform(0.0, 0.3))
        alive = workers_of(driver)
        driver.send_signal(signal.SIGKILL)
        driver.wait()
        drivers += 1
        assert wait_for(lambda alive=alive: not any(process.is_running() for process in alive), 30), (
            "a worker outlived its driver"
        )
        if (store / "cvtbatch-store.json").exists():
            partial += 0 < cases_done(store) < CASES - 1  # readable, whenever the kill came
        if cases_done(store) == CASES - 1:
            # Nothing is left to disturb: this one must be right, and the next kills fall on a new store.
            extract_json(manifest, store, code=3)
            assert contents(store) == contents(undisturbed / "store")
            store = tmp_path / f"store{drivers}"
    assert partial >= 2, "the kills fell on nothing"
    final = extract_json(manifest, store, code=3)
    assert final["failed"] == 1
    assert contents(store) == contents(undisturbed / "store")
    status = cvtbatch("status", "--store", store, "--json", check=True).stdout
    assert '"done": 29' in status
    assert '"failed": 1' in status
    assert read_everything(store) == 2 * (CASES - 1)


def test_an_interrupt_commits_what_is_done_and_says_how_to_go_on(undisturbed: Path, tmp_path: Path) -> None:
    manifest, store = undisturbed / "archive" / "manifest.csv", tmp_path / "store"
    command = [
        sys.executable,
        "-m",
        "cvtbatch",
        "extract",
        str(manifest),
        "--store",
        str(store),
        "--workers",
        "0",
        *NO_EMBEDDINGS,
    ]
    driver = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert wait_for(lambda: sum(1 for _ in (store / "masks").glob("*/*")) >= 3, 180)
    os.kill(driver.pid, signal.SIGINT)
    _, stderr = driver.communicate(timeout=30)
    assert driver.returncode == 1
    assert "the same command continues" in stderr
    assert "Traceback" not in stderr
    done = cases_done(store)
    assert 0 < done < CASES - 1
    [run] = FeatureStore(str(store)).table("runs").current().to_pylist()
    assert (run["state"], run["reason"]) == ("interrupted", "stopped by the user")
    document = extract_json(manifest, store, code=3)
    assert document["already_done"] == done
    assert contents(store) == contents(undisturbed / "store")


def test_ctrl_c_at_a_terminal_with_workers_is_clean(undisturbed: Path, tmp_path: Path) -> None:
    """A terminal interrupts driver and workers alike."""
    manifest, store = undisturbed / "archive" / "manifest.csv", tmp_path / "store"
    command = [
        sys.executable,
        "-m",
        "cvtbatch",
        "extract",
        str(manifest),
        "--store",
        str(store),
        "--workers",
        "2",
        *NO_EMBEDDINGS,
    ]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    driver = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True, env=environment
    )
    assert wait_for(lambda: any((store / "masks").glob("*/*")) if store.exists() else False, 180)
    alive = workers_of(driver)
    assert len(alive) == 2
    os.killpg(driver.pid, signal.SIGINT)
    _, stderr = driver.communicate(timeout=30)
    assert driver.returncode == 1
    assert "the same command continues" in stderr
    assert "Traceback" not in stderr
    assert not any(process.is_running() for process in alive)
    assert list(tmp_path.glob("cvtbatch-*")) == [], "scratch is left behind"
    extract_json(manifest, store, code=3)
    assert contents(store) == contents(undisturbed / "store")


@pytest.mark.parametrize("after", [0.2, 1.5])
def test_an_end_while_workers_start_is_clean(undisturbed: Path, tmp_path: Path, after: float) -> None:
    manifest = undisturbed / "archive" / "manifest.csv"
    command = [
        sys.executable,
        "-m",
        "cvtbatch",
        "extract",
        str(manifest),
        "--store",
        str(tmp_path / "store"),
        "--workers",
        "2",
        *NO_EMBEDDINGS,
    ]
    driver = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert wait_for(lambda: len(workers_of(driver)) >= 1, 180)
    time.sleep(after)
    driver.send_signal(signal.SIGTERM)
    _, stderr = driver.communicate(timeout=30)
    assert driver.returncode == 1
    assert "Traceback" not in stderr

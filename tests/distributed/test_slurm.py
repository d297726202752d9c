"""Slurm for real, on one node: CPU and GPU jobs under one scheduler, lost ones replaced, and jobs that never work reported."""

import asyncio
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cvtbatch import engine
from cvtbatch.engine import GPU, Done, SlurmJobs, open_cluster, read_cluster_file, slurm_commands
from cvtbatch.engine.cluster_file import Partition
from cvtbatch.engine.job_script import job_script
from cvtbatch.errors import ResourceError
from tests.support.archives import tiny_archive
from tests.support.commands import cvtbatch, extract_json
from tests.support.slurm import SlurmNode, slurm_node
from tests.support.store_contents import contents

EMBEDDING = ("--set", "embedding.weights=random:0", "--set", "embedding.batch=4")


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SlurmNode]:
    folder = tmp_path_factory.mktemp("slurm")
    with slurm_node(folder) as node, pytest.MonkeyPatch.context() as patch:
        for name, value in node.environment.items():
            patch.setenv(name, value)
        patch.setattr("cvtbatch.engine.slurm.POLL_SLURM_SECONDS", 1.0)
        yield node


def cluster_file(folder: Path, *, partition: str = "cpu", extra: str = "", gpu: bool = True) -> Path:
    file = folder / "slurm.yaml"
    jobs = 'workers: 1, memory_gb: 3, walltime: "00:10:00"'
    lines = [f"kind: slurm\nfolder: shared\ninterface: lo\n{extra}\ncpu: {{partition: {partition}, {jobs}}}"]
    file.write_text("\n".join([*lines, f"gpu: {{partition: gpu, {jobs}}}"] if gpu else lines))
    return file


def wait_for(condition: Callable[[], object], seconds: float = 400) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.1)


def nothing_is_left(node: SlurmNode, folder: Path) -> bool:
    return not node.jobs("running", "pending") and list((folder / "shared").iterdir()) == []


@pytest.mark.timeout(600)
def test_an_extraction_on_slurm_is_what_inline_gives_though_a_job_is_cancelled(
    node: SlurmNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # It reaches the workers in their tasks; Slurm must not get it.
    monkeypatch.setenv("CVTBATCH_UID_KEY", "a key that Slurm never sees")
    tiny_archive(tmp_path / "archive", 6)
    manifest, store = tmp_path / "archive" / "manifest.csv", tmp_path / "store"

    def cancel() -> list[str]:
        wait_for(lambda: any(store.glob("masks/*/*")))
        known = [path.read_bytes() for path in (node.folder / "state").rglob("*") if path.is_file()]
        assert not any(b"Slurm never sees" in content for content in known)
        jobs = [job for job, partition in node.jobs("running").items() if partition == "cpu"]
        node.call("scancel", *jobs)
        return jobs

    with ThreadPoolExecutor(1) as thread:
        cancelled = thread.submit(cancel)
        done = cvtbatch("extract", manifest, "--store", store, "--cluster", cluster_file(tmp_path), *EMBEDDING)
        assert done.returncode == 0, done.stderr
        assert "2 jobs are with Slurm: waiting for the first to run" in done.stderr
        assert len(cancelled.result()) == 1
    extract_json(manifest, tmp_path / "inline")
    spread, inline = contents(store), contents(tmp_path / "inline")
    # Their values are held to those of one process in test_gpu_workers.
    embedded = {row["roi_key"] for row in spread.pop("embeddings")}
    assert embedded == {row["roi_key"] for row in spread["rois"]}
    assert inline.pop("embeddings") == []
    assert spread == inline
    assert nothing_is_left(node, tmp_path)


def name_after_a_while(number: int) -> tuple[int, str]:
    from distributed import get_worker

    time.sleep(0.2)
    return number, str(get_worker().name)


@pytest.mark.timeout(600)
def test_a_lost_job_is_replaced_and_gpu_tasks_go_to_gpu_jobs_alone(node: SlurmNode, tmp_path: Path) -> None:
    config = read_cluster_file(cluster_file(tmp_path))
    assert isinstance(config, SlurmJobs)
    with open_cluster(config) as cluster:
        assert cluster.description == "slurm: 1 workers, 1 with a GPU"
        assert cluster.dashboard is not None
        assert "127.0.0.1" in cluster.dashboard
        wait_for(lambda: cluster.slots() == 2)
        assert cluster.slots(GPU) == 1
        first = node.jobs("running")
        names = [outcome.result[1] for outcome in engine.run(cluster, name_after_a_while, range(4), resource=GPU)]  # type: ignore[union-attr]
        assert all("-gpu-0" in name for name in names)
        results = []
        for outcome in engine.run(cluster, name_after_a_while, range(30)):
            assert isinstance(outcome, Done)
            results.append(outcome.result[0])
            if len(results) == 1:
                node.call("scancel", *(job for job, partition in first.items() if partition == "gpu"))
        assert sorted(results) == list(range(30))
        wait_for(lambda: cluster.slots(GPU) == 1 and cluster.slots() == 2)
        second = node.jobs("running")
        assert sorted(second.values()) == ["cpu", "gpu"]
        assert len(set(first) & set(second)) == 1
    assert nothing_is_left(node, tmp_path)


def test_slurm_reads_a_job_as_it_was_meant(node: SlurmNode, tmp_path: Path) -> None:
    folder = tmp_path / 'a folder # of 100% "odd" names'
    folder.mkdir()
    partition = Partition("cpu", 1, 1, 500_000_000, "1", ("--job-name=theirs", '--comment="two words"'))
    script = job_script(partition, "ours", folder / "%j.log", ["/usr/bin/printf", "%s|", "a b", "$HOME", "it's"])

    async def submitted() -> str:
        job = await slurm_commands.submit(script)
        while (await slurm_commands.states("ours")).get(job) != "COMPLETED":
            await asyncio.sleep(0.1)
        return job

    job = asyncio.run(asyncio.wait_for(submitted(), 60))
    assert (folder / "%j.log").read_text() == "a b|$HOME|it's|"
    assert "Comment=two words" in node.call("scontrol", "show", "job", job)


def test_a_partition_that_slurm_does_not_know_is_said(node: SlurmNode, tmp_path: Path) -> None:
    config = read_cluster_file(cluster_file(tmp_path, partition="nowhere", gpu=False))
    with pytest.raises(ResourceError, match="Slurm takes no cpu job") as raised, open_cluster(config):
        pass
    assert "nvalid partition" in raised.value.private
    assert nothing_is_left(node, tmp_path)


def test_jobs_that_can_never_work_end_the_run_with_what_they_said(node: SlurmNode, tmp_path: Path) -> None:
    config = read_cluster_file(cluster_file(tmp_path, extra="python: /no/such/python", gpu=False))
    with pytest.raises(ResourceError) as raised, open_cluster(config):
        pass
    assert raised.value.kind == "jobs_fail"
    assert "3 cpu jobs in a row" in raised.value.message
    assert "/no/such/python" in raised.value.private
    assert "/no/such/python" not in raised.value.message
    assert nothing_is_left(node, tmp_path)

"""Cluster files: those of deploy/ are valid, and every wrong key is named."""

from pathlib import Path

import pytest

from cvtbatch.engine import ClusterConfig, ExternalScheduler, LocalWorkers, SlurmJobs, read_cluster_file
from cvtbatch.engine.cluster_file import Partition
from cvtbatch.errors import CvtbatchError, ProblemsError
from tests.support.paths import ROOT

DEPLOY = ROOT / "deploy"


def config_of(tmp_path: Path, text: str) -> ClusterConfig:
    file = tmp_path / "cluster.yaml"
    file.write_text(text)
    return read_cluster_file(file)


def test_the_files_of_deploy_say_what_they_mean() -> None:
    gigabyte = 10**9
    assert read_cluster_file(DEPLOY / "local.yaml") == LocalWorkers(8, 4 * gigabyte, gpus=True, dashboard=True)
    certs = ROOT / "certs"
    assert read_cluster_file(DEPLOY / "scheduler.yaml") == ExternalScheduler("tls://head.example:8786", certs, 1, 60)
    assert read_cluster_file(DEPLOY / "kubernetes.yaml") == ExternalScheduler(
        "tls://cvtbatch-scheduler.cvtbatch.svc:8786", Path("/certs"), 1, 1800, "kubernetes"
    )
    cpu = Partition("cpu", 40, 1, 4 * gigabyte, "12:00:00", ())
    gpu = Partition("gpu", 2, 4, 16 * gigabyte, "12:00:00", ("--gres=gpu:1",))
    folder = Path.home() / ".local/state/cvtbatch"
    assert read_cluster_file(DEPLOY / "slurm.yaml") == SlurmJobs(cpu, gpu, None, folder, None, None)


def test_defaults_are_filled_in(tmp_path: Path) -> None:
    assert config_of(tmp_path, "kind: local\nworkers: 0") == LocalWorkers(0, None, gpus=True, dashboard=True)
    assert config_of(tmp_path, "{kind: scheduler, address: 'tcp://127.0.0.1:1', certs: ../c}") == ExternalScheduler(
        "tcp://127.0.0.1:1", tmp_path.parent / "c", 1, 30
    )
    config = config_of(tmp_path, "{kind: slurm, cpu: {partition: p, workers: 2}}")
    assert isinstance(config, SlurmJobs)
    assert (config.gpu, config.cpu) == (None, Partition("p", 2, 1, 4 * 10**9, "12:00:00", ()))
    assert config.description == "slurm: 2 workers"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("kind: cloud", "kind: 'cloud' is not one of"),
        ("workers: 2", "'kind' is a required property"),
        ("- local", "no section of keys"),
        ("{kind: local, workers: -1}", "workers: -1 is out of range: it has to be at least 0"),
        ("{kind: local, worker: 2, workers: 1}", "unknown key worker; the nearest valid one is workers"),
        ("{kind: scheduler, address: a, walltime: x}", "unknown key walltime"),
        ("{kind: kubernetes, name: a, namespace: b}", "'certs' is a required property"),
        ("{kind: kubernetes, name: a/b, namespace: b, certs: c}", "name: 'a/b' does not match"),
        (
            "{kind: slurm, cpu: {partition: p, workers: 2, walltime: 12:00:00}}",
            "cpu.walltime: 43200 is no text",
        ),
        ("{kind: slurm, cpu: {partition: p, workers: 2, directives: [rm]}}", "cpu.directives.0: 'rm' does not match"),
        ("{kind: slurm, gpu: {partition: p, workers: 2}}", "'cpu' is a required property"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(ProblemsError) as raised:
        config_of(tmp_path, text)
    assert problem in str(raised.value)


def test_a_file_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(CvtbatchError) as raised:
        read_cluster_file(tmp_path / "missing.yaml")
    assert (raised.value.kind, str(tmp_path) in raised.value.message) == ("no_cluster_file", False)
    with pytest.raises(CvtbatchError) as raised:
        config_of(tmp_path, "a: [")
    assert raised.value.kind == "bad_cluster_file"

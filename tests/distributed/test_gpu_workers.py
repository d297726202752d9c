"""Embeddings on worker processes: those that own a GPU where there are any, and without them on the CPU, a thread each."""

import os
from pathlib import Path

import numpy as np
import pytest

from cvtbatch import engine
from cvtbatch.engine import GPU, open_cluster
from cvtbatch.manifest import read_manifest
from cvtbatch.pipelines.extraction.extract import extract
from cvtbatch.pipelines.extraction.settings import Options, resolve
from cvtbatch.pipelines.shared.job import read_job
from cvtbatch.store import FeatureStore
from tests.support.archives import tiny_archive
from tests.support.commands import extract_json


def where_it_runs(_: int) -> tuple[str, int]:
    import torch

    return os.environ.get("CUDA_VISIBLE_DEVICES", ""), torch.get_num_threads()


@pytest.mark.timeout(300)
def test_tasks_go_to_the_worker_that_owns_the_gpu_and_else_to_all(tmp_path: Path) -> None:
    tiny_archive(tmp_path / "archive", 1)
    manifest, store = tmp_path / "archive" / "manifest.csv", tmp_path / "store"
    extract_json(manifest, store, "--set", "embedding.weights=random:0", "--set", "embedding.batch=4")
    cases = read_manifest(manifest)
    with open_cluster(2, gpus=("7",)) as cluster:
        assert (cluster.slots(GPU), cluster.slots(), cluster.threads) == (1, 2, 1)
        # No machine has a GPU 7, so that its owner computes on the CPU.
        for device in ("auto", "cpu"):
            overrides = [f"embedding.device={device}", "embedding.batch=4", "embedding.weights=random:0"]
            other = tmp_path / f"store-{device}"
            settings = resolve(read_job("extract", overrides=overrides), str(other))
            report = extract(cases, settings, cluster, Options())
            assert (report.computed, report.failed, [one.rois for one in report.embeddings]) == (1, 0, [1])
            resource = GPU if device == "auto" else None
            outcomes = list(engine.run(cluster, where_it_runs, range(4), resource=resource))
            seen = {outcome.result for outcome in outcomes}  # type: ignore[union-attr]
            assert seen == {("7", 1)} if device == "auto" else seen <= {("7", 1), ("", 1)}
    vectors = [embeddings_of(folder) for folder in (store, tmp_path / "store-auto", tmp_path / "store-cpu")]
    for spread in vectors[1:]:
        assert (np.linalg.norm(spread - vectors[0], axis=1) / np.linalg.norm(vectors[0], axis=1)).max() <= 1e-5


def embeddings_of(store: Path) -> np.ndarray:
    rows = FeatureStore(str(store)).embeddings(columns=["slice_index", "embedding"])
    return np.array(rows.sort_by("slice_index")["embedding"].to_pylist())

"""Scoring at scale: `python -m tests.benchmarks.benchmark_score [--rows 1000000] [--threads 2]`.

Generated rows of 20 radiomics columns and an embedding of 2,048, Parquet to Parquet, by a model of the size that the study has: 512
components fitted, 15 Rad, 3 DL and 16 + 3 DLR columns in use, forests of 200 trees. The same model in scikit-learn (PCA, scaler,
three forests, logistic function) is timed on the same rows in the same run; every value is compared first. Scikit-learn is timed
twice: as its PCA is, with 512 components, and with the components in use alone. The time of reading stands apart.
"""

# ruff: noqa: E402 - threads are set before NumPy is imported
import argparse
import os

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--rows", type=int, default=1_000_000)
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--compute-rows", type=int, default=40_000, help="rows on which the two computations are timed")
parser.add_argument("--folder", default=None, help="where the generated file lies; by default a temporary folder")
OPTIONS = parser.parse_args()
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, str(OPTIONS.threads))

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.special import expit
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier

from cvtbatch.dlrn.arrays import Floats, Floats32
from cvtbatch.dlrn.bundle import write_bundle
from cvtbatch.dlrn.clinical_terms import DEFAULT_TERMS
from cvtbatch.dlrn.components import Components
from cvtbatch.dlrn.forest import flatten
from cvtbatch.dlrn.freezing import build_nomogram, whiten
from cvtbatch.dlrn.kernels import project_one, standardise
from cvtbatch.dlrn.model import NO_SCORE, FrozenModel, score_rows
from cvtbatch.dlrn.settings import Model
from cvtbatch.dlrn.thresholds import THRESHOLDS

LENGTH, COMPONENTS, RADIOMICS, TREES, CASES = 2048, 512, 20, 200, 192
IN_USE = 5
GROUP_ROWS = 8192


@dataclass(frozen=True)
class Plain:
    """The model as scikit-learn has it."""

    pca: PCA
    forests: dict[Model, RandomForestClassifier]
    used: dict[Model, np.ndarray]
    mean: Floats
    scale: Floats
    terms: Floats

    def score(
        self, radiomics: Floats, embedding: Floats32, epilepsy: Floats, threads: int, trimmed: bool
    ) -> list[Floats]:
        """Score; `trimmed` projects on the components in use alone."""
        if trimmed:
            components = (embedding - self.pca.mean_) @ self.pca.components_[:IN_USE].T
        else:
            components = self.pca.transform(embedding)[:, :IN_USE]
        scaled = (np.concatenate([radiomics, components], axis=1) - self.mean) / self.scale
        votes = []
        for model, forest in self.forests.items():
            forest.n_jobs = threads
            votes.append(forest.predict_proba(scaled[:, self.used[model]])[:, 1])
        votes.append(expit(self.terms[0] + self.terms[1] * votes[2] + self.terms[2] * epilepsy))
        return votes


def models() -> tuple[FrozenModel, Plain]:
    """Fit a model of the study's size on generated rows, and freeze it."""
    rng = np.random.default_rng(0)
    slices = rng.standard_normal((1000, 60)) @ rng.standard_normal((60, LENGTH)) + rng.standard_normal((1000, LENGTH))
    pca = PCA(COMPONENTS, svd_solver="full").fit(slices)
    loadings = np.ascontiguousarray(pca.components_[:IN_USE].T)
    components = Components(loadings, project_one(pca.mean_, loadings), 1000)
    outcome = (np.arange(CASES) % 4 == 0).astype(np.int64)
    radiomics = rng.standard_normal((CASES, RADIOMICS)) + 0.7 * outcome[:, None]
    values = np.concatenate([radiomics, components.apply(slices[:CASES].astype(np.float32))], axis=1)
    mean, scale = values.mean(axis=0), values.std(axis=0)
    scaled = standardise(values, mean, scale)
    used = {
        Model.RAD: np.arange(15),
        Model.DL: np.arange(RADIOMICS, RADIOMICS + 3),
        Model.DLR: np.concatenate([np.arange(4, RADIOMICS), np.arange(RADIOMICS + 2, RADIOMICS + IN_USE)]),
    }
    forests = {
        model: RandomForestClassifier(TREES, max_depth=6, min_samples_leaf=2, random_state=1, n_jobs=1).fit(
            scaled[:, columns], outcome
        )
        for model, columns in used.items()
    }
    terms = np.array([-2.0, 4.0, 1.0])
    frozen = FrozenModel(
        radiomics=tuple(f"feature_{number:02d}" for number in range(RADIOMICS)),
        components=tuple(f"dl_{number:03d}" for number in range(1, IN_USE + 1)),
        loadings=components.loadings,
        offset=components.offset,
        mean=mean,
        scale=scale,
        low=values.min(axis=0),
        high=values.max(axis=0),
        used=used,
        forests={model: flatten(forest, [int(column) for column in used[model]]) for model, forest in forests.items()},
        terms=terms,
        nomogram=build_nomogram(terms.tolist(), DEFAULT_TERMS),
        distance_columns=used[Model.DLR],
        whitening=whiten(scaled[:, used[Model.DLR]]),
        training_distances=np.sort(np.linalg.norm(scaled[:, used[Model.DLR]], axis=1)),
        thresholds={model: dict.fromkeys(THRESHOLDS, 0.5) for model in Model},
        missing_feature=NO_SCORE,
    )
    return frozen, Plain(pca, forests, used, mean, scale, terms)


def inputs(rows: int, seed: int) -> tuple[Floats, Floats32, Floats]:
    rng = np.random.default_rng(seed)
    epilepsy = rng.integers(0, 2, rows).astype(np.float64)
    return rng.standard_normal((rows, RADIOMICS)), rng.standard_normal((rows, LENGTH), dtype=np.float32), epilepsy


def as_table(radiomics: Floats, embedding: Floats32, epilepsy: Floats) -> pa.Table:
    offsets = np.arange(0, embedding.size + 1, LENGTH, dtype=np.int32)
    columns: dict[str, object] = {f"feature_{place:02d}": radiomics[:, place] for place in range(RADIOMICS)}
    columns["embedding"] = pa.ListArray.from_arrays(pa.array(offsets), pa.array(embedding.ravel()))
    columns["epilepsy"] = pa.array(epilepsy.astype(np.int64))
    return pa.table(columns)


def write_rows(path: Path, rows: int) -> None:
    """Write the generated file; values repeat every 16 groups, which no encoding of it uses."""
    tables = [as_table(*inputs(GROUP_ROWS, seed)) for seed in range(16)]
    with pq.ParquetWriter(path, tables[0].schema, compression="none", use_dictionary=False) as writer:
        for group in range(-(-rows // GROUP_ROWS)):
            writer.write_table(tables[group % 16].slice(0, rows - group * GROUP_ROWS))


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def ours(model: FrozenModel, threads: int, radiomics: Floats, embedding: Floats32, epilepsy: Floats) -> list[Floats]:
    """Score batches on threads, as `score_parquet` does, without tables."""
    starts = range(0, len(epilepsy), GROUP_ROWS)
    with ThreadPoolExecutor(threads) as pool:
        parts = list(
            pool.map(
                lambda start: (
                    score_rows(
                        model,
                        *(values[start : start + GROUP_ROWS] for values in (radiomics, embedding)),
                        {"epilepsy": epilepsy[start : start + GROUP_ROWS]},
                    ).score
                ),
                starts,
            )
        )
    return [np.concatenate([part[name] for part in parts]) for name in Model]


def compare(model: FrozenModel, plain: Plain, rows: int, threads: int) -> None:
    """Print the times of the computation alone."""
    data = inputs(rows, 99)
    few = tuple(values[:2000] for values in data)
    own, other = ours(model, 1, *few), plain.score(*few, 1, trimmed=False)
    worst = [float(np.abs(one - two).max()) for one, two in zip(own, other, strict=True)]
    print(f"largest difference from scikit-learn, {', '.join(Model)}: {', '.join(f'{value:.2g}' for value in worst)}")
    print("(a component's last bit may cross a threshold there: BLAS sums in another order)")
    times = {
        "cvtbatch": min(seconds(lambda: ours(model, threads, *data)) for _ in range(2)),
        "scikit-learn": min(seconds(lambda: plain.score(*data, threads, trimmed=False)) for _ in range(2)),
        "scikit-learn, components in use": min(
            seconds(lambda: plain.score(*data, threads, trimmed=True)) for _ in range(2)
        ),
    }
    print(f"\ncompute alone, {rows:,} rows, {threads} threads")
    for name, spent in times.items():
        print(f"  {name:<34}{spent:8.2f} s{rows / spent:12,.0f} rows/s{spent / times['cvtbatch']:8.1f} x")


def reading(path: Path, threads: int) -> None:
    """Read what scoring reads, and do nothing with it."""

    def read_group(number: int) -> None:
        with pq.ParquetFile(path, pre_buffer=False) as file:
            for _ in file.iter_batches(GROUP_ROWS, [number], use_threads=False):
                pass

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(read_group, range(pq.ParquetFile(path).num_row_groups)))


SCORE = """
import re, sys, time
from pathlib import Path
from cvtbatch.dlrn import load_bundle
from tests.benchmarks.score_files import score_parquet
bundle = load_bundle(sys.argv[1])
started = time.perf_counter()
rows = score_parquet(bundle, Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]))
# Not ru_maxrss: a process starts with that of the one that started it.
peak = re.search(r'VmHWM:\\s+(\\d+)', Path('/proc/self/status').read_text())[1]
print(rows, time.perf_counter() - started, peak)
"""


def main() -> None:
    model, plain = models()
    compare(model, plain, OPTIONS.compute_rows, OPTIONS.threads)
    with tempfile.TemporaryDirectory(dir=OPTIONS.folder) as name:
        folder = Path(name)
        source = folder / "rows.parquet"
        print(
            f"\nwriting {OPTIONS.rows:,} rows: {seconds(lambda: write_rows(source, OPTIONS.rows)):.1f} s, "
            f"{source.stat().st_size / 1e9:.2f} GB"
        )
        print(f"reading alone: {seconds(lambda: reading(source, OPTIONS.threads)):.1f} s")
        write_model(folder / "bundle", model)
        command = [sys.executable, "-c", SCORE, folder / "bundle", source, folder / "scores.parquet", OPTIONS.threads]
        output = subprocess.run([str(part) for part in command], check=True, capture_output=True, text=True).stdout
        rows, spent, peak = output.split()
        print(f"Parquet to Parquet: {int(rows):,} rows in {float(spent):.1f} s, peak memory {int(peak) / 1e6:.2f} GB")


def write_model(path: Path, model: FrozenModel) -> None:
    """Write the model as a bundle, so that what is timed is what is shipped."""
    from tests.support.cohorts import ORIGIN, golden_of, small_fit

    _, fit = small_fit()
    document = {**ORIGIN, **fit.document}
    write_bundle(path, document, model, golden_of(model, as_table(*inputs(8, 5))), fit.selection, {})


if __name__ == "__main__":
    main()

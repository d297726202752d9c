"""Scoring a store: `python -m tests.benchmarks.benchmark_score_store [--rows 100000] [--workers 2] [--folder DIR]`.

A store of generated outlines, an append for every thousand of them as a run leaves it: 20 of the features have values, and
each outline an embedding of 2,048. `cvtbatch score` is timed over it with a bundle of a model that needs 20 columns, and again,
when there is nothing to do. Memory is the peak of the command's own process.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
from deltalake import CommitProperties, Transaction, write_deltalake

from cvtbatch import contracts
from cvtbatch.dlrn.bundle import write_bundle
from cvtbatch.dlrn.fit import fit_model
from cvtbatch.dlrn.scoring import SpecIds
from cvtbatch.documents import to_document
from cvtbatch.pipelines.shared.job import read_job
from cvtbatch.store import FeatureStore
from cvtbatch.store.table_log import APP_ID
from tests.support.cohorts import ORIGIN, CohortPlan, made_cohort, settings, surroundings
from tests.support.store_rows import EMBEDDING_SPEC, NOW, RADIOMICS_SPEC, VOLUME_SPEC, row

APPENDED = 1000
FEATURES, LENGTH = 20, 2048
COMMAND = """
import re, sys
from pathlib import Path
from cvtbatch.cli import cli
if __name__ == "__main__":
    cli.main(sys.argv[1:], standalone_mode=False)
    peak = re.search(r'VmHWM:\\s+(\\d+)', Path('/proc/self/status').read_text())[1]
    print(peak, file=sys.stderr)
"""


def write_store(url: str, rows: int) -> None:
    """Write cases of one outline each."""
    store = FeatureStore.open_for_writing(url)
    book = {"run_id": "benchmark", "recorded_at": NOW}
    specs = (VOLUME_SPEC, RADIOMICS_SPEC, EMBEDDING_SPEC)
    store.table("specs").append(
        [
            {"spec_id": spec.spec_id, "kind": spec.kind, "parent_id": spec.parent_id, "settings": spec.settings, **book}
            for spec in specs
        ]
    )
    names = contracts.feature_names()[:FEATURES]
    rng = np.random.default_rng(1)
    for start in range(0, rows, APPENDED):
        numbers = range(start, min(start + APPENDED, rows))
        ids = [f"{number:07}" for number in numbers]
        keys = {"case_key": [f"C2/{name}" for name in ids], "center": ["C2"] * len(ids), "case_id": ids}
        of_roi = {
            "roi_key": [f"C2/{name}/hematoma/A/1" for name in ids],
            "roi": ["hematoma"] * len(ids),
            "reader": ["A"] * len(ids),
            "volume_spec_id": [VOLUME_SPEC.spec_id] * len(ids),
        }
        digests = [f"{number:064x}" for number in numbers]
        image, inputs = {"image_digest": digests}, {"input_digest": digests}
        values = dict(zip(names, rng.standard_normal((FEATURES, len(ids))), strict=True))
        vectors = list(rng.standard_normal((len(ids), LENGTH), dtype=np.float32))
        clinical = {"clinical_digest": digests, "epilepsy": rng.integers(0, 2, len(ids))}
        embedding = {"embedding_spec_id": [EMBEDDING_SPEC.spec_id] * len(ids), "is_largest": [True] * len(ids)}
        radiomics = {"radiomics_spec_id": [RADIOMICS_SPEC.spec_id] * len(ids)}
        for table, columns in {
            "cases": {**keys, **clinical},
            "volumes": {**keys, **image, "volume_spec_id": of_roi["volume_spec_id"]},
            "rois": {**keys, **of_roi, **image, **inputs},
            "radiomics": {**keys, **of_roi, **inputs, **radiomics, **values},
            "embeddings": {**keys, **of_roi, **inputs, **embedding, "embedding": vectors},
        }.items():
            append(store, table, columns, len(ids))


def append(store: FeatureStore, name: str, columns: Mapping[str, Sequence[object]], count: int) -> None:
    """Append rows to a table as they are; columns that are not given have what they need."""
    schema, fillers = contracts.table(name).arrow(), row(name)
    delta = store.table(name).log.newest()
    assert delta is not None
    sequence = int(delta.transaction_version(APP_ID) or 0) + 1
    given: dict[str, Sequence[object]] = {**columns, "sequence": [sequence] * count}
    arrays = [pa.array(given.get(field.name, [fillers.get(field.name)] * count), field.type) for field in schema]
    properties = CommitProperties(app_transactions=[Transaction(APP_ID, sequence)])
    write_deltalake(delta, pa.table(arrays, schema=schema), mode="append", commit_properties=properties)


def write_model(path: Path) -> None:
    """Fit a model on a small generated cohort that has these columns, and write it as a bundle."""
    specs = SpecIds(RADIOMICS_SPEC.spec_id, EMBEDDING_SPEC.spec_id)
    drawn = made_cohort(CohortPlan(cases=120, positives=40, radiomics=FEATURES, length=LENGTH, informative=8), 1)
    cohort = replace(drawn, radiomics_names=tuple(contracts.feature_names()[:FEATURES]))
    fit = fit_model(cohort, settings("fit.nested.repeats=0"), specs, surroundings(cohort))
    origin = {**ORIGIN, "specs": {"volume_spec_id": VOLUME_SPEC.spec_id, **asdict(specs)}}
    document = {**origin, **fit.document, "job": to_document(read_job("fit", None, []))}
    write_bundle(path, document, fit.model, fit.golden, fit.selection, fit.out_of_fold)


def score(url: str, bundle: Path, workers: int) -> None:
    """Score in a process of its own, and print what it took."""
    command = [
        sys.executable,
        "-c",
        COMMAND,
        "score",
        "--store",
        url,
        "--bundle",
        bundle,
        "--workers",
        workers,
        "--json",
    ]
    began = time.perf_counter()
    done = subprocess.run([str(word) for word in command], check=True, capture_output=True, text=True)
    took = time.perf_counter() - began
    report = json.loads(done.stdout)
    [peak] = re.findall(r"^(\d+)$", done.stderr, re.MULTILINE)
    counts = f"{report['scored']:,} scored, {report['already_scored']:,} already scored"
    print(
        f"{counts}: {report['seconds']:.1f} s ({took:.1f} s with the process), peak {int(peak) / 1e6:.2f} GB",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="keep the store here, and use the one that is there")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        url, bundle = str(folder / "store"), Path(temporary, "bundle")
        if not (folder / "store").exists():
            write_store(url, options.rows)
        write_model(bundle)
        for _ in range(2):
            score(url, bundle, options.workers)


if __name__ == "__main__":
    main()

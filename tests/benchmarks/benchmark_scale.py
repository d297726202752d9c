"""A run over a large archive, without the images: `python -m tests.benchmarks.benchmark_scale [--rows N] [--full-width N]
[--tasks N]`.

Everything is real but what workers compute: a manifest of N rows (all of them name one image and one mask, so that files are
looked for), its reader, the plan, two Dask workers, the coordinator and a store on the local disk. Workers return the narrow rows
of a case, those of `cases`, `volumes` and `rois`; with `--full-width`, cases beside them that have a row of all features too.
Printed are the rate, and the memory of the driver's process, which is the scheduler's too; then what a second run takes, which
finds everything done; with `--tasks`, how many tasks that do nothing the scheduler takes in a second. `--folder` keeps what is
made.
"""

import argparse
import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa

from cvtbatch import contracts
from cvtbatch.engine import open_cluster
from cvtbatch.manifest import read_manifest
from cvtbatch.pipelines.extraction import case_stage
from cvtbatch.pipelines.extraction.case_plan import CaseTask
from cvtbatch.pipelines.extraction.case_result import CaseResult, Row
from cvtbatch.pipelines.extraction.extract import extract
from cvtbatch.pipelines.extraction.listeners import Listeners
from cvtbatch.pipelines.extraction.report import Progress
from cvtbatch.pipelines.extraction.settings import Options, resolve
from cvtbatch.pipelines.shared.job import read_job
from cvtbatch.store import FEATURES, FeatureStore
from tests.support.store_rows import row

GRID: Row = {
    "size_xyz": [460, 460, 32],
    "spacing_mm": [0.5, 0.5, 5.0],
    "origin_mm": [-115.0, -115.0, -80.0],
    "direction": [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
}
BOX: Row = {"box_start_zyx": [1, 1, 1], "box_size_zyx": [4, 60, 60]}
# What rows of features have of their outline's, and how many are written together where they are empty.
ROI_COLUMNS = ["roi_key", "case_key", "center", "case_id", "volume_spec_id", "input_digest"]
FILE_ROWS = 20_000
# As the command line has it.
ENVIRONMENT = {**os.environ, "ARROW_DEFAULT_MEMORY_POOL": "system"}
FULL_WIDTH = "full"
# Part of a run at whose ends memory is looked at.
SAMPLES = (0.1, 0.5, 1.0)
HEADER = "center,case_id,patient,image,mask,etiology,epilepsy,age,sex,hypertension,headache,location,ivh,quality,x_site"


def write_manifest(folder: Path, rows: int, center: str) -> Path:
    """Write a manifest of cases that share an image and a mask; its clinical columns have the usual values."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("ct.nii.gz", "mask.nii.gz"):
        (folder / name).touch()
    with (folder / f"{center}.csv").open("w") as file:
        print(HEADER, file=file)
        for number in range(rows):
            values = f"{'HP' if number % 3 else 'CVT'},{number % 2},{18 + number % 70},{'FM'[number % 2]},1,0,lobar,0,adequate"
            print(f"{center},{number:07},p{number:07},ct.nii.gz,mask.nii.gz,{values},site{number % 7}", file=file)
    return folder / f"{center}.csv"


def return_rows(task: CaseTask) -> CaseResult:
    """Return what a case's volume and outline come to, without looking at them."""
    case, work = task.case, task.work
    digest = f"{case.manifest_row:064}"
    identity: Row = {"case_key": case.case_key, "center": case.center, "case_id": case.case_id}
    identity["volume_spec_id"] = work.volume_spec_id
    made = {**identity, "image_digest": digest, "path": f"volumes/{digest[32:]}", "checksum": digest}
    rows: dict[str, list[Row]] = {"volumes": [row("volumes", **made, image_fingerprint=task.fingerprint, **GRID)]}
    for roi in task.rois:
        source = roi.source
        names = {"roi_key": source.roi_key, "roi": source.roi, "reader": source.reader, "reading": source.reading}
        mask = {"input_digest": digest, "mask_digest": digest, "mask_fingerprint": roi.fingerprint}
        rows.setdefault("rois", []).append(row("rois", **made, **names, **mask, **BOX))
        if case.center == FULL_WIDTH:
            features = np.random.default_rng(case.manifest_row).normal(size=len(contracts.feature_names()))
            of_input = {**identity, **names, "input_digest": digest, "radiomics_spec_id": work.radiomics_spec_id}
            rows.setdefault("radiomics", []).append(row("radiomics", **of_input, engine="fast", **{FEATURES: features}))
    return CaseResult(rows, (), (), (), decoded=True, computed=True)


def add_features(url: str) -> None:
    """Give every outline of a store a row of empty features, in large files, so that it counts as done."""
    store = FeatureStore(url)
    spec = next(spec for spec in store.at(None).specs().values() if spec.kind == "radiomics")
    schema = contracts.table("radiomics").arrow()
    fillers = {**row("radiomics"), "radiomics_spec_id": spec.spec_id, "engine": "fast"}
    table, rois = store.table("radiomics"), store.table("rois").read(ROI_COLUMNS)
    for start in range(0, rois.num_rows, FILE_ROWS):
        delta = table.log.newest()
        assert delta is not None
        part, sequence = rois.slice(start, FILE_ROWS), table.log.sequence(delta) + 1
        columns = [
            part[name].combine_chunks()
            if name in ROI_COLUMNS
            else pa.array(
                [sequence if name == "sequence" else fillers.get(name)] * part.num_rows, schema.field(name).type
            )
            for name in schema.names
        ]
        table.log.commit(delta, table.write(pa.table(columns, schema=schema)), sequence=sequence)


def resident_mb(what: str = "VmRSS") -> float:
    """Return the memory of this process (MB; Linux): what it holds, or "VmHWM", the most that it has held."""
    return int(Path("/proc/self/status").read_text().partition(f"{what}:")[2].split()[0]) / 1e3


def run_driver(manifest: Path, url: str, workers: int) -> dict[str, object]:
    """Extract in this process, and return what it took: seconds, and memory (MB) at parts of the way."""
    libraries = resident_mb("VmHWM")
    started, cpu = time.perf_counter(), time.process_time()
    cases = read_manifest(manifest)
    read_s, read_cpu_s, read_mb = time.perf_counter() - started, time.process_time() - cpu, resident_mb("VmHWM")
    settings = resolve(read_job("extract", None, ["embedding.weights=none"]), url)
    samples: dict[str, float] = {}

    def on_progress(progress: Progress) -> None:
        part = next(
            (part for part in SAMPLES if progress.done >= part * progress.total and f"{part:.0%}" not in samples), None
        )
        if part is not None:
            samples[f"{part:.0%}"] = round(resident_mb())

    with open_cluster(workers) as cluster:
        began, cpu = time.perf_counter(), time.process_time()
        report = extract(cases, settings, cluster, Options(), Listeners(on_progress))
        seconds, cpu_s = time.perf_counter() - began, time.process_time() - cpu
    return {
        "cases": report.cases,
        "computed": report.computed,
        "already_done": report.already_done,
        "read_s": round(read_s, 1),
        "read_cpu_s": round(read_cpu_s, 1),
        "seconds": round(seconds, 1),
        "cpu_s": round(cpu_s, 1),
        "cases_per_s": round(report.cases / seconds),
        "commits": report.cost.commits,
        "mb": {
            "libraries": round(libraries),
            "manifest": round(read_mb),
            **samples,
            "peak": round(resident_mb("VmHWM")),
        },
    }


def do_nothing(number: int) -> int:
    return number


def measure_tasks(count: int, workers: int) -> None:
    """Print how many tasks a second go through scheduler and workers, each by itself."""
    with open_cluster(workers) as cluster:
        assert cluster.client is not None
        nothing = importlib.import_module("tests.benchmarks.benchmark_scale").do_nothing
        cluster.client.gather(cluster.client.map(nothing, range(100)))
        began = time.perf_counter()
        cluster.client.gather(cluster.client.map(nothing, range(count), key="nothing"))
        print(f"tasks: {count / (time.perf_counter() - began):.0f} a second", flush=True)


def measured(what: str, manifest: Path, url: str, workers: int) -> dict[str, object]:
    """Run the driver in a process of its own, print what it took, and return it."""
    command = [sys.executable, "-m", "tests.benchmarks.benchmark_scale", "--drive", str(manifest), "--store", url]
    output = subprocess.run(
        [*command, "--workers", str(workers)], check=True, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT
    ).stdout
    result: dict[str, object] = json.loads(output)
    print(f"{what}: {output.strip()}", flush=True)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--full-width", type=int, default=0, metavar="N")
    parser.add_argument("--tasks", type=int, default=0, metavar="N")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--drive", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--store", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.drive:
        # By the name under which workers import it.
        case_stage.process_case = importlib.import_module("tests.benchmarks.benchmark_scale").return_rows
        print(json.dumps(run_driver(options.drive, options.store, options.workers)))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        url = str(folder / "store")
        if options.rows:
            manifest = write_manifest(folder, options.rows, "narrow")
            measured("narrow rows", manifest, url, options.workers)
            add_features(url)
            measured("the same again", manifest, url, options.workers)
        if options.full_width:
            manifest = write_manifest(folder, options.full_width, FULL_WIDTH)
            measured("full rows", manifest, url, options.workers)
        if options.tasks:
            measure_tasks(options.tasks, options.workers)


if __name__ == "__main__":
    main()

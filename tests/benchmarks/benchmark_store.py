"""The tables of a large store: `python -m tests.benchmarks.benchmark_store [--rows N] [--batch N] [--store DIR]`.

Rows of generated ROIs are appended in batches, by default of 200 as a run does it. Measured are appends near the beginning and
near the end, of wide rows (1,834 features) and of narrow ones; compaction; and the reading of 20 feature columns of all rows, by
the public API and by plain pyarrow over the same files, each in a process of its own. `--store` keeps what was written, and reads
it again.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import pyarrow.dataset as ds
from deltalake import DeltaTable

from cvtbatch import contracts
from cvtbatch.pipelines.upkeep import TARGET_BYTES
from cvtbatch.store import FeatureStore
from tests.store_rows import RADIOMICS_SPEC, VOLUME_SPEC, add_specs, feature_values, row

NARROW_COMMITS = 1000
COLUMNS = ["roi_key", *contracts.feature_names()[::92][:20]]


def batch_rows(numbers: Iterable[int]) -> dict[str, list[dict[str, object]]]:
    rows: dict[str, list[dict[str, object]]] = {"volumes": [], "rois": [], "radiomics": []}
    for index in numbers:
        case = {"case_key": f"A/{index:06d}", "center": "A", "case_id": f"{index:06d}"}
        roi = {"roi_key": f"{case['case_key']}/hematoma/A/1", "roi": "hematoma", "reader": "A", "reading": 1}
        of_volume = {**case, "volume_spec_id": VOLUME_SPEC.spec_id}
        image, mask = f"{index:064x}", f"{index + 10**9:064x}"
        rows["volumes"].append(row("volumes", **of_volume, image_digest=image, path=f"volumes/{index}", checksum=image))
        rows["rois"].append(
            row("rois", **of_volume, **roi, image_digest=image, input_digest=mask, path=f"masks/{index}", checksum=mask)
        )
        spec = {"radiomics_spec_id": RADIOMICS_SPEC.spec_id, "engine": "fast", "input_digest": mask}
        rows["radiomics"].append(row("radiomics", **of_volume, **roi, **spec, **feature_values(index)))
    return rows


def fill(url: str, count: int, batch: int) -> list[float]:
    """Append rows, and return the seconds of each append to the table of features."""
    store = FeatureStore.open_for_writing(url)
    add_specs(store, VOLUME_SPEC, RADIOMICS_SPEC)
    seconds = []
    for first in range(0, count, batch):
        rows = batch_rows(range(first, first + batch))
        for name in ("volumes", "rois"):
            store.table(name).append(rows[name])
        start = time.perf_counter()
        assert store.table("radiomics").append(rows["radiomics"]) == batch
        seconds.append(time.perf_counter() - start)
    return seconds


def narrow_appends(folder: str) -> tuple[list[float], list[float]]:
    """Return seconds of appends to a table of few commits and to one of many, taken in turn: a machine has moods."""
    tables = [FeatureStore.open_for_writing(f"{folder}/{name}").table("specs") for name in ("young", "old")]

    def append(age: int, number: int) -> float:
        start = time.perf_counter()
        tables[age].append([row("specs", spec_id=f"vol-{number}-{index}", kind="volume") for index in range(10)])
        return time.perf_counter() - start

    for number in range(NARROW_COMMITS):
        append(1, number)
    young = [append(0, number) for number in range(10)]
    old = []
    # Twice as many as a handle lives for.
    for number in range(NARROW_COMMITS, NARROW_COMMITS + 40):
        young.append(append(0, number))
        old.append(append(1, number))
    return young[10:], old


def read_store(url: str) -> int:
    return int(FeatureStore(url).radiomics(columns=COLUMNS).num_rows)


def read_plain(url: str) -> int:
    files = DeltaTable(FeatureStore(url).location.table_uri("radiomics")).file_uris()
    return int(ds.dataset(files, format="parquet").to_table(columns=COLUMNS).num_rows)


def compact(url: str) -> int:
    return FeatureStore(url).table("radiomics").compact(TARGET_BYTES).files_after


TASKS = {"read_store": read_store, "read_plain": read_plain, "compact": compact}


def peak_mb() -> float:
    """Return the largest resident memory that this process has had (MB; Linux)."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1e3


def run_task(name: str, url: str, repeat: int) -> None:
    """Run a task in this process, and print its result, its best time and the memory that it took."""
    before = peak_mb()
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        result = TASKS[name](url)
        times.append(time.perf_counter() - start)
    print(json.dumps({"result": result, "first": times[0], "best": min(times), "mb": peak_mb(), "base": before}))


def measured(name: str, url: str, repeat: int) -> dict[str, float]:
    command = [sys.executable, "-m", "tests.benchmarks.benchmark_store", "--task", name, "--store", url]
    output = subprocess.run([*command, "--repeat", str(repeat)], check=True, capture_output=True, text=True).stdout
    return dict(json.loads(output))


def print_growth(what: str, early: list[float], late: list[float], commits: int) -> None:
    """Print what appends cost at commits 10 to 50, and at the last 40 of `commits`."""
    for name, average in (("median", statistics.median), ("mean", statistics.mean)):
        first, last = average(early), average(late)
        print(
            f"append of {what}, {name}: {first * 1e3:.0f} ms at commits 10 to 50, {last * 1e3:.0f} ms at the 40 about "
            f"{commits}, ratio {last / first:.2f}",
            flush=True,
        )


def print_reading(url: str, repeat: int) -> None:
    for name in ("read_plain", "read_store"):
        read = measured(name, url, repeat)
        print(
            f"  {name:<10} {read['result']} rows x {len(COLUMNS)} columns: first {read['first']:.2f} s, "
            f"best {read['best']:.2f} s, peak {read['mb']:.0f} MB of which {read['base']:.0f} are the libraries",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--batch", type=int, default=200)
    parser.add_argument("--store", type=str)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--task", choices=TASKS)
    options = parser.parse_args()
    if options.task:
        run_task(options.task, options.store, options.repeat)
        return
    with tempfile.TemporaryDirectory() as folder:
        print_growth("10 narrow rows", *narrow_appends(folder), NARROW_COMMITS)
        url = options.store or f"{folder}/store"
        if not Path(url).exists():
            seconds = fill(url, options.rows, options.batch)
            print_growth(f"{options.batch} rows of 1,834 features", seconds[10:50], seconds[-40:], len(seconds))
        print("reading as appended")
        print_reading(url, options.repeat)
        done = measured("compact", url, 1)
        print(f"compaction to {done['result']} files: {done['best']:.1f} s, peak {done['mb']:.0f} MB", flush=True)
        print("reading after compaction")
        print_reading(url, options.repeat)


if __name__ == "__main__":
    main()

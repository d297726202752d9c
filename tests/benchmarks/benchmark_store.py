"""The tables of a large store: `python -m tests.benchmarks.benchmark_store [--rows N] [--file-rows N] [--store DIR]`.

Measured are appends to a table of few commits and to one of a thousand, in turn; an append of 200 rows of all features;
compaction of a store of generated ROIs; and the reading of 20 feature columns of all its rows, by the public API and by plain
pyarrow over the same files, each in a process of its own. `--store` keeps the store, and reads it again.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake

from cvtbatch import contracts
from cvtbatch.pipelines.stores.upkeep import TARGET_BYTES
from cvtbatch.store import FeatureStore
from cvtbatch.store.rewriting import compact
from cvtbatch.store.table_log import APP_ID
from tests.support.store_rows import RADIOMICS_SPEC, VOLUME_SPEC, add_specs, feature_values, row

NARROW_COMMITS = 1000
COLUMNS = ["roi_key", *contracts.feature_names()[::92][:20]]


def generated(table: str, numbers: range) -> pa.Table:
    """Return rows of ROIs, one a case."""
    keys = [f"A/{number:06d}" for number in numbers]
    inputs = [f"{number:064x}" for number in numbers]
    columns: dict[str, Sequence[object] | np.ndarray] = {
        "case_key": keys,
        "case_id": [key[2:] for key in keys],
        "roi_key": [f"{key}/hematoma/A/1" for key in keys],
        "image_digest": inputs,
        "input_digest": inputs,
        "path": inputs,
        "checksum": inputs,
    }
    if table == "radiomics":
        values = np.random.default_rng(numbers.start).normal(size=(len(contracts.feature_names()), len(numbers)))
        columns |= dict(zip(contracts.feature_names(), values, strict=True))
    same = {"volume_spec_id": VOLUME_SPEC.spec_id, "radiomics_spec_id": RADIOMICS_SPEC.spec_id, "center": "A"}
    fillers = {**row(table), **same}
    schema = contracts.table(table).arrow()
    return pa.table(
        [
            pa.array(columns.get(name, [fillers.get(name)] * len(numbers)), schema.field(name).type)
            for name in schema.names
        ],
        schema=schema,
    )


def fill(url: str, count: int, file_rows: int) -> None:
    """Write a store of that many ROIs; as `Table.append` does, but for the look-up of keys and the rows as Python values."""
    store = FeatureStore.open_for_writing(url)
    add_specs(store, VOLUME_SPEC, RADIOMICS_SPEC)
    for name in ("volumes", "rois", "radiomics"):
        delta = DeltaTable(store.location.table_uri(name))
        for sequence, first in enumerate(range(0, count, file_rows), 1):
            rows = generated(name, range(first, first + file_rows))
            rows = rows.set_column(
                rows.schema.get_field_index("sequence"),
                rows.schema.field("sequence"),
                pa.array([sequence] * file_rows, pa.int64()),
            )
            properties = CommitProperties(app_transactions=[Transaction(APP_ID, sequence)])
            write_deltalake(delta, rows, mode="append", commit_properties=properties)


def wide_append(url: str) -> float:
    """Return the seconds of an append of 200 rows of features, the best of three."""
    table = FeatureStore.open_for_writing(url).table("radiomics")
    times = []
    for number in range(3):
        rows = [
            row("radiomics", roi_key=f"{number}/{index}", engine="fast", **feature_values(index))
            for index in range(200)
        ]
        start = time.perf_counter()
        assert table.append(rows) == 200
        times.append(time.perf_counter() - start)
    return min(times)


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


def compacted(url: str) -> int:
    return compact(FeatureStore(url).table("radiomics"), TARGET_BYTES).files_after


TASKS = {"read_store": read_store, "read_plain": read_plain, "compact": compacted}


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


def print_growth(early: list[float], late: list[float]) -> None:
    for name, average in (("median", statistics.median), ("mean", statistics.mean)):
        first, last = average(early) * 1e3, average(late) * 1e3
        print(
            f"append of 10 narrow rows, {name}: {first:.1f} ms at commits 10 to 50, {last:.1f} ms at the 40 after "
            f"{NARROW_COMMITS}, ratio {last / first:.2f}",
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
    parser.add_argument("--file-rows", type=int, default=1000)
    parser.add_argument("--store", type=str)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--task", choices=TASKS)
    options = parser.parse_args()
    if options.task:
        run_task(options.task, options.store, options.repeat)
        return
    with tempfile.TemporaryDirectory() as folder:
        print_growth(*narrow_appends(folder))
        print(f"append of 200 rows of all features: {wide_append(f'{folder}/wide'):.2f} s", flush=True)
        url = options.store or f"{folder}/store"
        if not Path(url).exists():
            fill(url, options.rows, options.file_rows)
        print("reading as appended")
        print_reading(url, options.repeat)
        done = measured("compact", url, 1)
        print(f"compaction to {done['result']} files: {done['best']:.1f} s, peak {done['mb']:.0f} MB", flush=True)
        print("reading after compaction")
        print_reading(url, options.repeat)


if __name__ == "__main__":
    main()

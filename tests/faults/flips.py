"""Single bits flipped in the files of a store's tables: each gives equal values, or an error that calls it damage.

    python -m tests.faults.flips --flips 500 --seed 1

A flip is drawn from seed and number alone: a table, one of its files (data, log or checkpoint), and a bit of it; in half of the
flips of data files one of a column. It is done to a copy of a small store; the store is then read in every way that hands values
over: each table whole and as current rows, `wide`, exports of a snapshot, and `score`.
"""

import argparse
import hashlib
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from cvtbatch import contracts
from cvtbatch.engine import Cluster
from cvtbatch.errors import FormatError
from cvtbatch.pipelines.models.score import score_store
from cvtbatch.pipelines.stores.export import SNAPSHOT_TABLES, export_table
from cvtbatch.store import FeatureStore, Selection, create_snapshot
from cvtbatch.store.rewriting import compact
from tests.support.store_contents import BOOK_KEEPING
from tests.support.store_rows import EMBEDDING_SPEC, RADIOMICS_SPEC, VOLUME_SPEC, add_cases, add_specs, case_rows, row

VECTOR = 2048
SNAPSHOT = "frozen"
# Kinds of errors that call damage by its name.
DAMAGE = {"table_damaged", "table_log_damaged", "commits_lost"}


def fill(url: Path) -> None:
    """Write a small store with all that a table can have: several commits, a checkpoint, a compaction, a snapshot."""
    store = FeatureStore.open_for_writing(str(url))
    add_specs(store, VOLUME_SPEC, RADIOMICS_SPEC, EMBEDDING_SPEC)
    for part in range(3):
        cases = [case_rows(store, number) for number in range(4 * part, 4 * part + 4)]
        rng = np.random.default_rng(part)
        for slice_ in (slice_ for case in cases for slice_ in case["embeddings"]):
            slice_["embedding"] = rng.standard_normal(VECTOR, dtype=np.float32).tolist()
        add_cases(store, *cases)
        store.table("runs").append([row("runs", run_id=f"run-{part}", command="extract", state="ended")])
        store.table("failures").append([row("failures", case_key=f"A/9{part}", kind="empty_mask", scope="extraction")])
        for name in ("cases", "rois") if part == 1 else ():
            delta = store.table(name).log.newest()
            assert delta is not None
            delta.create_checkpoint()
    compact(store.table("volumes"), 2**20)
    create_snapshot(store, SNAPSHOT, Selection(), "flips")


@dataclass(frozen=True, slots=True)
class Flip:
    """A bit of a file, which is given by its path below the store."""

    path: str
    byte: int
    bit: int

    @property
    def table(self) -> str:
        return Path(self.path).parts[1]

    def do(self, store: Path) -> None:
        data = bytearray((store / self.path).read_bytes())
        data[self.byte] ^= 1 << self.bit
        (store / self.path).write_bytes(data)


def draw(store: Path, seed: int, number: int) -> Flip:
    rng = np.random.default_rng([seed, number])
    files: dict[str, list[Path]] = {}
    for path in sorted(store.glob("tables/*/**/*")):
        if path.is_file() and path.stat().st_size:
            files.setdefault(path.relative_to(store).parts[1], []).append(path)
    names = [name for name, of_table in files.items() if any(path.suffix == ".parquet" for path in of_table)]
    of_table = files[names[rng.integers(len(names))]]
    # Names of data files are drawn by chance: they stand in the order in which they were written.
    path = sorted(of_table, key=lambda path: (path.suffix, path.stat().st_mtime_ns))[rng.integers(len(of_table))]
    data = path.read_bytes()
    end = len(data)
    if path.suffix == ".parquet" and rng.random() < 0.5:
        end -= 8 + int.from_bytes(data[-8:-4], "little")
    return Flip(path.relative_to(store).as_posix(), int(rng.integers(end)), int(rng.integers(8)))


def ways(url: Path, table: str, bundle: Path | None) -> Iterator[tuple[str, Callable[[], str]]]:
    """Yield every way to have a table's values of a store, by name; each gives the digest of what is handed over.

    Args:
        bundle: what to score with; None for reading alone.
    """

    def exported() -> str:
        export_table(str(url), table, url / "out.csv", SNAPSHOT if table in SNAPSHOT_TABLES else None)
        return hashlib.sha256((url / "out.csv").read_bytes()).hexdigest()

    def scored() -> str:
        assert bundle is not None
        score_store(str(url), bundle, SNAPSHOT, (), Cluster(None, "inline", None), explain=False)
        scores = _sorted(FeatureStore(str(url)).current("scores"), "scores")
        return _digest(scores.select([name for name in scores.column_names if name not in BOOK_KEEPING]))

    yield f"all {table}", lambda: _digest(_sorted(FeatureStore(str(url)).table(table).read(), table))
    yield f"current {table}", lambda: _digest(_sorted(FeatureStore(str(url)).current(table), table))
    if bundle is not None:
        yield f"exported {table}", exported
        yield "scores", scored
    if table in SNAPSHOT_TABLES:
        columns = None if bundle else ["roi_key", "age", "embedding", *contracts.feature_names()[::100]]
        yield "wide", lambda: _digest(FeatureStore(str(url)).wide(columns=columns).sort_by("roi_key"))


def _sorted(rows: pa.Table, name: str) -> pa.Table:
    return rows.sort_by([(column, "ascending") for column in (*contracts.table(name).key, "sequence")])


def _digest(rows: pa.Table) -> str:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as writer:
        writer.write_table(rows.combine_chunks())
    return hashlib.sha256(sink.getvalue()).hexdigest()


def outcome(store: Path, flip: Flip, expected: Mapping[str, str], bundle: Path | None, folder: Path) -> tuple[str, str]:
    """Do a flip to a store, and say what came of it, and what harm that is; none, where values are equal or damage is said."""
    # Reading alone leaves all as it was.
    store = Path(shutil.copytree(store, folder / "copy")) if bundle else store
    came, harm = "equal", ""
    flip.do(store)
    for name, values in ways(store, flip.table, bundle):
        try:
            if values() != expected[name]:
                came, harm = "other values", f"{harm} {name} has other values;"
        except FormatError as error:
            came = came if harm else error.kind
            if error.kind not in DAMAGE:
                harm = f"{harm} {name}: {error};"
        except Exception as error:  # whatever it is, it does not say what is wrong
            came, harm = type(error).__name__, f"{harm} {name}: {error!r};"
    flip.do(store)
    if bundle:
        shutil.rmtree(store)
    return came, harm


def flip_all(flips: int, seed: int, bundle: Path | None, folder: Path) -> tuple[Counter[tuple[str, str]], list[str]]:
    """Return how often what came of flips, by kind of file, and the harm that was done."""
    fill(folder / "store")
    whole = Path(shutil.copytree(folder / "store", folder / "whole"))
    expected = {name: values() for table in contracts.table_names() for name, values in ways(whole, table, bundle)}
    counts: Counter[tuple[str, str]] = Counter()
    harms = []
    for number in range(flips):
        flip = draw(folder / "store", seed, number)
        came, harm = outcome(folder / "store", flip, expected, bundle, folder)
        counts["log" if "_delta_log" in flip.path else "data", came] += 1
        if harm:
            harms.append(f"{number}: {flip}:{harm}")
    return counts, harms


def main() -> int:
    from tests.benchmarks.benchmark_score_store import write_model

    parser = argparse.ArgumentParser(
        description="Flip bits in the tables of a store, and see that nothing comes of it."
    )
    parser.add_argument("--flips", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--bundle", type=Path, help="score with this one, of write_model, instead of fitting it")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="flips-") as name:
        bundle = options.bundle or Path(name, "model.bundle")
        if not options.bundle:
            write_model(bundle)
        counts, harm = flip_all(options.flips, options.seed, bundle, Path(name))
    for (files, what), count in sorted(counts.items()):
        print(f"{count:5} {files:5} {what}")
    print(*harm, sep="\n")
    return int(bool(harm))


if __name__ == "__main__":
    sys.exit(main())

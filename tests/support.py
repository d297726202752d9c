"""Small heads and archives for tests, and a way to compare what two runs left in their stores."""

import contextlib
import csv
import io
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from unittest import mock

import numpy as np
import pyarrow as pa
import SimpleITK as sitk
from click.testing import CliRunner

from cvtbatch import contracts
from cvtbatch.cli import cli, main
from cvtbatch.store import FeatureStore

DATA = Path(__file__).parent / "data"
ROOT = Path(__file__).parents[1]
# What may differ between two runs that did the same: book-keeping, and the unique paths of immutable objects.
BOOK_KEEPING = {"run_id", "sequence", "recorded_at", "path"}


def free_port() -> int:
    """Return a port of loopback that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def tiny_head(seed: int, radius_mm: float = 9.0) -> tuple[sitk.Image, sitk.Image]:
    """Return (ct, mask) of 64 x 64 x 12 voxels of 1 x 1 x 5 mm: an ellipsoid of tissue with a denser ball in it."""
    rng = np.random.default_rng(seed)
    z, y, x = np.meshgrid((np.arange(12) - 6) * 5.0, np.arange(64) - 32.0, np.arange(64) - 32.0, indexing="ij")
    brain = (x / 28) ** 2 + (y / 30) ** 2 + (z / 32) ** 2 < 1
    cx, cy, cz = rng.uniform(-8, 8, 3)
    ball = (x - cx) ** 2 + (y - cy) ** 2 + (z - cz) ** 2 < radius_mm**2
    hu = np.where(brain, 34.0, -1000.0)
    hu[ball & brain] = 64
    hu += rng.normal(0, 5, hu.shape)
    images = []
    for array in (np.clip(np.rint(hu), -1024, 3071).astype(np.int16), (ball & brain).astype(np.uint8)):
        image = sitk.GetImageFromArray(array)
        image.SetSpacing((1.0, 1.0, 5.0))
        image.SetOrigin((-32.0, -32.0, -30.0))
        images.append(image)
    return images[0], images[1]


def write_rows(path: Path, rows: Sequence[Mapping[str, object]]) -> Path:
    """Write a manifest; the columns are those of all rows."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)
    return path


def tiny_archive(folder: Path, cases: int) -> list[dict[str, object]]:
    """Write heads into a folder and return the rows of their manifest, which is written too (manifest.csv)."""
    folder.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, object]] = []
    for number in range(cases):
        ct, mask = tiny_head(number)
        sitk.WriteImage(ct, str(folder / f"ct{number}.nii.gz"))
        sitk.WriteImage(mask, str(folder / f"mask{number}.nii.gz"))
        row = {"center": "A", "case_id": f"{number:03d}", "image": f"ct{number}.nii.gz", "mask": f"mask{number}.nii.gz"}
        rows.append(
            {**row, "etiology": "CVT" if number % 3 == 0 else "HP", "epilepsy": number % 2, "age": 40 + number % 80}
        )
    write_rows(folder / "manifest.csv", rows)
    return rows


def without_embeddings(arguments: list[str]) -> list[str]:
    """Return the arguments of a command so that `extract` computes no embeddings, unless they name weights."""
    if arguments[:1] != ["extract"] or "--set embedding.weights" in " ".join(arguments):
        return arguments
    return [*arguments, "--set", "embedding.weights=none"]


def cvtbatch(
    *arguments: object, check: bool = False, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the command line to its exit; `extract` without embeddings, unless they are asked for.

    It runs in this process, as `main` runs it, since a process of its own takes seconds to start.

    Args:
        environment: variables to add, for which it is a process of its own.
    """
    texts = without_embeddings([str(argument) for argument in arguments])
    if environment is None:
        result = _run_here(texts)
    else:
        command, variables = [sys.executable, "-m", "cvtbatch", *texts], {**os.environ, **environment}
        result = subprocess.run(command, capture_output=True, text=True, env=variables, timeout=220, check=False)
    if check and result.returncode != 0:
        raise AssertionError(f"exit code {result.returncode}\n{result.stdout}\n{result.stderr}")
    return result


def _run_here(arguments: list[str]) -> subprocess.CompletedProcess[str]:
    # With bytes below, as the real ones have: what is no text is written as bytes.
    stdout, stderr = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    code: object = 0
    try:
        with (
            mock.patch.object(sys, "argv", ["cvtbatch", *arguments]),
            contextlib.redirect_stdout(stdout),
            contextlib.redirect_stderr(stderr),
        ):
            main()
    except SystemExit as ended:
        code = ended.code
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    for stream in (stdout, stderr):
        stream.seek(0)
    return subprocess.CompletedProcess(arguments, int(str(code)), stdout.read(), stderr.read())


def extract_json(manifest: Path, store: Path | str, *arguments: object, code: int = 0) -> dict[str, object]:
    """Run `extract --json` in this process, check its exit code and its document against the contract, and return the document.

    Without embeddings, unless the arguments name weights.
    """
    command = ["extract", manifest, "--store", store, "--workers", 0, "--json", *arguments]
    result = CliRunner().invoke(cli, without_embeddings([str(argument) for argument in command]))
    assert result.exit_code == code, (result.stderr, result.exception)
    document = json.loads(result.stdout)
    assert contracts.problems_of(document, "commands/extract.json") == []
    total = document["computed"] + document["already_done"] + document["failed"] + document["awaiting_mask"]
    assert document["dry_run"] or total == document["cases"]
    return dict(document)


def contents(store: Path | str) -> dict[str, list[dict[str, object]]]:
    """Return what counts in a store's tables, in key order: current rows without book-keeping, failures as what they say."""
    opened = FeatureStore(str(store))
    tables: dict[str, list[dict[str, object]]] = {}
    for name in ("cases", "volumes", "rois", "radiomics", "embeddings"):
        table: pa.Table = opened.table(name).read()
        kept = [column for column in table.column_names if column not in BOOK_KEEPING]
        key = [(column, "ascending") for column in contracts.table(name).key]
        tables[name] = table.select(kept).sort_by(key).to_pylist()
    columns = ["case_key", "roi_key", "spec_id", "stage", "kind", "message"]
    tables["failures"] = (
        opened.failures().select(columns).sort_by([(name, "ascending") for name in columns]).to_pylist()
    )
    return tables


def extract_again(archive: Path, *arguments: object, code: int = 0) -> dict[str, object]:
    """Extract `archive` once more into the `store` beside it, and return the JSON document."""
    return extract_json(archive / "manifest.csv", archive.parent / "store", *arguments, code=code)


def appended(document: dict[str, object]) -> dict[str, int]:
    """Return the rows that a run appended, by table."""
    rows = document["rows"]
    assert isinstance(rows, dict)
    return {name: count for name, count in rows.items() if count}


def reasons(document: dict[str, object]) -> dict[str, int]:
    """Return the cases of a run's plan, by reason."""
    return {row["reason"]: row["cases"] for row in document["plan"]}  # type: ignore[attr-defined]

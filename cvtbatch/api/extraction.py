"""An archive into a store, from a script or a notebook: the pipeline of `cvtbatch extract`."""

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import pyarrow as pa
import pyarrow.compute as pc
import yaml

from cvtbatch.api.progress import ProgressLine, tell
from cvtbatch.engine import LocalWorkers, default_workers, leave_repeated_script, open_cluster
from cvtbatch.errors import InputError
from cvtbatch.manifest import read_manifest, twin_notices
from cvtbatch.pipelines.extraction import extract as pipeline
from cvtbatch.pipelines.extraction.first_steps import first_steps
from cvtbatch.pipelines.extraction.listeners import Listeners
from cvtbatch.pipelines.extraction.report import ExtractReport, Progress
from cvtbatch.pipelines.extraction.set_settings import other_settings
from cvtbatch.pipelines.extraction.settings import Only, Options, own_gpus, resolve
from cvtbatch.pipelines.shared.job import read_job
from cvtbatch.store import FeatureStore


@dataclass(frozen=True, slots=True, repr=False)
class Extraction:
    """A run that has ended.

    Attributes:
        report: what it did; its `to_document()` is the document of `cvtbatch extract --json`.
        store: in which its rows are.
        case_keys: of the cases that it went through.
    """

    report: ExtractReport
    store: FeatureStore
    case_keys: tuple[str, ...]

    def failures(self) -> pa.Table:
        """Return the live failures of the run's cases, among them those of earlier runs that still stand."""
        rows = self.store.failures()
        return rows.filter(pc.is_in(rows["case_key"], value_set=pa.array(self.case_keys, pa.string())))

    def __repr__(self) -> str:
        counts = ", ".join(
            f"{getattr(self.report, name)} {name.replace('_', ' ')}"
            for name in ("computed", "already_done", "failed", "no_hemorrhage", "awaiting_mask")
            if getattr(self.report, name)
        )
        return f"<Extraction {self.report.run_id}: {self.report.cases} cases ({counts}) in {self.report.seconds:.1f} s>"


def extract(
    manifest: str | os.PathLike[str],
    store: str | os.PathLike[str],
    *,
    workers: int | None = None,
    job: str | os.PathLike[str] | None = None,
    settings: Mapping[str, object] | None = None,
    only: Only | None = None,
    retry_failed: bool = False,
    verify_inputs: bool = False,
    log: str | os.PathLike[str] | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> Extraction:
    """Extract volumes, the study's features and embeddings of every hematoma of a manifest into a store.

    A second run computes only what is new or changed. Failures are kept as rows and do not stop the run. What was done when it
    is interrupted is committed.

    Args:
        manifest: a CSV or Parquet file.
        store: a folder, or s3://BUCKET/PREFIX; made where there is none.
        workers: processes; 0 works in this one, by default there is one a core. A script that starts any calls this function
            below `if __name__ == "__main__":`, as with any processes of Python; a notebook needs nothing.
        job: job file; by default the one that comes with cvtbatch.
        settings: values of the job by name, e.g. {"outline.method": "blast-ct", "embedding.weights": "none"}.
        only: "radiomics", "outlines" or "embeddings" leaves the others out; the last two read no source.
        retry_failed: try failed cases again although their sources have not changed.
        verify_inputs: decode every source, even where files look unchanged.
        log: file of your own for the log, which names paths; by default below ~/.local/state/cvtbatch.
        on_progress: called with how the run stands, instead of the line that is shown in a notebook or at a terminal. What is
            begun before there is any progress, and what else the user should know of a run, goes to stderr.

    Raises:
        InputError: the manifest, the job or a setting is not valid, a thing that these name is not there, or workers is no number;
            "no_main_guard": a script starts workers that import it, and so would start workers themselves.
        StorageError: the store cannot be written; what was committed stays.
        ResourceError: workers cannot be started, or what the job needs is not installed here.
    """
    leave_repeated_script()
    _check(workers, only, settings)
    line = ProgressLine()
    line.step("reading the manifest")
    cases = read_manifest(_path(manifest, "manifest"))
    for notice in twin_notices(cases.centers):
        tell(f"warning: {notice}")
    url = store if isinstance(store, str) else str(_path(store, "store"))
    overrides = [f"{key}={_as_yaml(value)}" for key, value in _flat(settings or {})]
    resolved = resolve(read_job("extract", None if job is None else _path(job, "job"), overrides), url, only)
    for notice in other_settings(url, resolved.specs):
        tell(f"warning: {notice}")
    if resolved.extracts:
        cases.require_folders()
    options = Options(retry_failed, verify_inputs, None, None if log is None else _path(log, "log"))
    listeners = Listeners(on_progress or line, on_notice=tell, on_step=line.step)
    wanted = LocalWorkers(default_workers() if workers is None else workers)
    processes, steps = first_steps(wanted, cases, resolved, options)
    for begun in steps:
        line.step(begun)
    with open_cluster(processes, own_gpus(resolved), tell) as cluster:
        report = pipeline.extract(cases, resolved, cluster, options, listeners)
    return Extraction(report, FeatureStore(url), tuple(case.case_key for case in cases))


def _check(workers: object, only: object, settings: object) -> None:
    """Refuse arguments that the types rule out, and that a notebook takes all the same.

    Raises:
        InputError: "bad_argument".
    """
    if workers is not None and (not isinstance(workers, int) or workers < 0):
        raise InputError("bad_argument", f"workers={workers!r}: give a number of processes, or 0 to work in this one")
    if only is not None and only not in get_args(Only):
        raise InputError("bad_argument", f"only={only!r}: give {', '.join(map(repr, get_args(Only)))} or None")
    if settings is not None and not isinstance(settings, Mapping):
        raise InputError(
            "bad_argument",
            f'settings maps names to values, e.g. {{"embedding.weights": "none"}}; it is no {type(settings).__name__}',
        )


def _path(value: str | os.PathLike[str], name: str) -> Path:
    """Return an argument as a path.

    Raises:
        InputError: "bad_argument".
    """
    if not isinstance(value, str | os.PathLike):
        raise InputError("bad_argument", f"{name} is a path, not a {type(value).__name__}")
    return Path(value)


def _flat(settings: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    """Yield settings by their whole names: {"run": {"commit_cases": 5}} says what {"run.commit_cases": 5} says."""
    for key, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _as_yaml(value: object) -> str:
    """Return a value as --set takes it.

    Raises:
        InputError: "bad_argument".
    """
    value = os.fspath(value) if isinstance(value, os.PathLike) else value
    try:
        return str(yaml.safe_dump(list(value) if isinstance(value, tuple) else value, default_flow_style=True))
    except yaml.YAMLError:
        raise InputError(
            "bad_argument", f"a setting is a number, a text, a path, a list or None, not a {type(value).__name__}"
        ) from None

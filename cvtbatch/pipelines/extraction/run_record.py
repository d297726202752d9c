"""What a run writes of itself into the table `runs`, beside its counts."""

import json
import platform
from dataclasses import asdict, replace
from functools import cache
from importlib import metadata

import cvtbatch
from cvtbatch.documents import to_document
from cvtbatch.embedding.weights import is_named
from cvtbatch.pipelines.extraction.report import ExtractReport
from cvtbatch.pipelines.shared.job import Job
from cvtbatch.radiomics import PROFILES
from cvtbatch.spec import canonical_json

LIBRARIES = (
    "numpy",
    "scipy",
    "SimpleITK",
    "pydicom",
    "pyradiomics",
    "PyWavelets",
    "trimesh",
    "zarr",
    "deltalake",
    "pyarrow",
    "dask",
    "distributed",
    "torch",
    "torchvision",
)


def shareable_job(job: Job) -> str:
    """Return the job without file names, as JSON."""
    profile, weights = job.radiomics.profile, job.embedding.weights
    named = profile if profile in PROFILES else "parameter file"
    source = weights if weights == "none" or is_named(weights) else "file"
    radiomics, embedding = replace(job.radiomics, profile=named), replace(job.embedding, weights=source)
    return canonical_json(to_document(replace(job, radiomics=radiomics, embedding=embedding)))


@cache
def library_versions() -> str:
    """Return the versions of the libraries that values depend on, as JSON."""
    versions = {"cvtbatch": cvtbatch.__version__, "python": platform.python_version()}
    for name in LIBRARIES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = "absent"
    return json.dumps(versions)


def cost_columns(report: ExtractReport) -> dict[str, object]:
    """Return what the run cost, and the rows that it appended."""
    columns = asdict(report.cost)
    stages = {entry.pop("stage"): entry for entry in columns["stages"]}
    return {**columns, "stages": canonical_json(stages), "rows": canonical_json(report.rows)}

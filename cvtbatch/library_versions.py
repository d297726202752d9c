"""Versions of the libraries that values depend on, and where those of two processes differ."""

import platform
from collections.abc import Mapping
from functools import cache
from importlib import metadata

import cvtbatch

LIBRARIES = (
    "numpy",
    "scipy",
    "SimpleITK",
    "pydicom",
    "pyradiomics",
    "pyradiomics-bhklab",
    "PyWavelets",
    "trimesh",
    "zarr",
    "deltalake",
    "pyarrow",
    "dask",
    "distributed",
    "torch",
    "torchvision",
    "timm",
)
_ABSENT = "absent"


@cache
def library_versions() -> Mapping[str, str]:
    """Return the versions in this process by name: cvtbatch, python, and LIBRARIES, which may be absent."""
    versions = {"cvtbatch": cvtbatch.__version__, "python": platform.python_version()}
    for name in LIBRARIES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = _ABSENT
    return versions


def differing_versions(ours: Mapping[str, str], theirs: Mapping[str, str]) -> list[str]:
    """Return, in words, each library whose values are those of another version elsewhere: "numpy 2.3.1 (here 2.4.0)".

    A library that is absent on one side computes nothing there, and what follows a "+" says what it was built for: processes with
    a GPU and without differ in both. Versions of Python itself move no values.
    """
    return [
        f"{name} {theirs[name]} (here {version})"
        for name, version in ours.items()
        if name in theirs
        and name != "python"
        and _ABSENT not in (version, theirs[name])
        and version.partition("+")[0] != theirs[name].partition("+")[0]
    ]

"""Where two processes would not compute the same values."""

import importlib

import pytest

from cvtbatch.library_versions import differing_versions, library_versions


@pytest.mark.parametrize("library", ["numpy", "scipy", "pydicom", "pyarrow", "zarr"])
def test_versions_are_those_that_libraries_tell_of_themselves(library: str) -> None:
    assert library_versions()[library] == importlib.import_module(library).__version__


def test_another_version_differs_and_one_that_is_built_otherwise_or_absent_does_not() -> None:
    ours = {"cvtbatch": "0.2.0", "python": "3.11.7", "numpy": "2.4.0", "torch": "2.15.0+cpu", "timm": "absent"}
    same = {"cvtbatch": "0.2.0", "python": "3.11.9", "numpy": "2.4.0", "torch": "2.15.0+cu130", "timm": "1.0"}
    assert differing_versions(ours, same) == []
    assert differing_versions(ours, {**same, "timm": "absent", "torch": "absent"}) == []
    assert differing_versions(ours, {**same, "numpy": "2.3.1"}) == ["numpy 2.3.1 (here 2.4.0)"]
    assert differing_versions(ours, {**same, "torch": "2.14.0+cu130"}) == ["torch 2.14.0+cu130 (here 2.15.0+cpu)"]

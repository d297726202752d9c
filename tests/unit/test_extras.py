"""What an installation without extras says, and that every library comes with something."""

import re
import sys
import tomllib
from pathlib import Path
from typing import get_args

import pytest

from cvtbatch import extras
from cvtbatch.errors import ResourceError
from tests.support.commands import cvtbatch
from tests.support.imports import MODULES, imports_of
from tests.support.paths import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LIBRARIES = get_args(extras.Library)
# Of packages that are imported under another name than they are installed by.
INSTALLED_AS = {
    "PIL": "pillow",
    "gdcm": "python-gdcm",
    "imblearn": "imbalanced-learn",
    "pywt": "pywavelets",
    "radiomics": "pyradiomics-bhklab",
    "ruamel": "ruamel.yaml",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
}
BUNDLE = ROOT / "tests" / "compat" / "bundle-3"
MANIFEST = "center,case_id,image,mask\nC9,1,ct.nii.gz,mask.nii.gz\n"


def _installed(requirements: list[str]) -> set[str]:
    return {re.split(r"[<>=!~;\[ ]", requirement)[0].lower() for requirement in requirements}


def _name(module: str) -> str:
    return INSTALLED_AS.get(module, module.lower().replace("_", "-"))


@pytest.fixture
def core(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Hide every library of an extra, as an installation without extras does; return the folder in which commands run."""
    for library in LIBRARIES:
        monkeypatch.setitem(sys.modules, library, None)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "manifest.csv").write_text(MANIFEST)
    return tmp_path


def test_every_library_that_is_imported_comes_with_the_core_or_with_its_extra() -> None:
    """And by its own name: what another library brings along today may stay away tomorrow."""
    imported = {name.partition(".")[0] for path in MODULES for name in imports_of(path)}
    imported -= {*sys.stdlib_module_names, "cvtbatch"}
    of_extras = {name for name in imported if _name(name) not in _installed(PROJECT["dependencies"])}
    assert of_extras == set(LIBRARIES) - {"bokeh", "skimage", "trimesh"}  # which Dask and PyRadiomics import


@pytest.mark.parametrize("library", LIBRARIES)
def test_the_extra_that_is_named_brings_the_library(library: extras.Library, core: Path) -> None:
    with pytest.raises(ResourceError) as raised:
        extras.require("this needs", library)
    [extra] = re.findall(r"pip install 'cvtbatch\[(\w+)\]'", raised.value.message)
    assert _name(library) in _installed(PROJECT["optional-dependencies"][extra])


def test_a_missing_library_is_told_once_and_one_that_is_here_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    extras.require("this needs", *LIBRARIES)
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.setitem(sys.modules, "torchvision", None)
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(ResourceError) as raised:
        extras.require("this needs", "torch", "torchvision", "matplotlib", "sklearn", instead="leave it")
    assert raised.value.kind == "missing_extra"
    assert str(raised.value) == (
        "this needs torch, torchvision and scikit-learn: pip install 'cvtbatch[embed,fit]', or leave it"
    )


@pytest.mark.parametrize(
    ("arguments", "extra"),
    [
        ("extract manifest.csv --store store --set embedding.weights=imagenet", "embed"),
        ("extract manifest.csv --store store --set embedding.weights=none --set outline.method=blast-ct", "embed"),
        ("extract manifest.csv --store store --set embedding.weights=none --set radiomics.engine=pyradiomics", "stock"),
        ("extract manifest.csv --store store --set embedding.weights=none --audit 0.1", "stock"),
        ("finetune --store store --out weights.safetensors", "embed,fit"),
        ("fit --store store --out bundle", "fit"),
        (f"validate --store store --bundle {BUNDLE} --center C2 --out report", "fit"),
        (f"add-center manifest.csv --store store --bundle {BUNDLE} --out report", "embed,fit"),
        ("recalibrate --store store --bundle bundle --center C2 --method intercept --out bundle-c2", "fit"),
        ("agreement --store store --readers A,B --bundle bundle --out agreement", "fit"),
        (f"predict {BUNDLE} {BUNDLE} --bundle {BUNDLE}", "embed"),
        ("certs certs", "cluster"),
        ("results --store store --manifest manifest.csv --out results", "pacs"),
        ("results --store store --manifest manifest.csv --to dimse://PACS@10.0.0.5:104 --send", "pacs"),
        ("scheduler --certs certs", "cluster"),
    ],
)
def test_a_command_names_the_extra_that_it_lacks_before_it_does_anything(
    arguments: str, extra: str, core: Path
) -> None:
    result = cvtbatch(*arguments.split())
    assert result.returncode == 1
    assert re.fullmatch(
        rf"(?:reading the manifest\n)?Error: [^\n]* needs? [^\n]*: pip install 'cvtbatch\[{extra}\]'[^\n]*\n",
        result.stderr,
    )
    assert [path.name for path in core.iterdir()] == ["manifest.csv"]


def test_embeddings_can_be_left_out(core: Path) -> None:
    result = cvtbatch("extract", "manifest.csv", "--store", "store", "--set", "embedding.weights=imagenet")
    assert result.stderr == (
        "reading the manifest\n"
        "Error: embeddings need torch and torchvision: pip install 'cvtbatch[embed]', or leave them out: "
        "--set embedding.weights=none\n"
    )

"""The documentation site is built without a warning, holds what the code makes, and needs no network."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import cvtbatch
from cvtbatch import contracts
from cvtbatch.cli import cli
from tests.support.paths import ROOT

pytest.importorskip("sphinx", reason="the generator of the site is missing: it is in the group `docs`")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As `make docs` builds it; a broken link, reference or heading is a warning, and a warning is an error."""
    folder = tmp_path_factory.mktemp("site")
    [line] = re.findall(r"^\t\$\(BIN\)/python -m sphinx (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    options = line.removesuffix(" -d build/pages . build/site").split()
    command = [sys.executable, "-m", "sphinx", *options, "-d", str(folder / "pages"), ".", str(folder / "built")]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return folder / "built"


def _page(site: Path, name: str) -> str:
    return (site / "docs" / "reference" / f"{name}.html").read_text(encoding="utf-8")


def test_it_has_every_command_table_and_kind(site: Path) -> None:
    commands, tables, failures = (_page(site, name) for name in ("commands", "tables", "failures"))
    assert [name for name in cli.commands if f'id="cvtbatch-{name}"' not in commands] == []
    assert [name for name in contracts.table_names() if f'id="{name}"' not in tables] == []
    kinds = json.loads((ROOT / "schemas" / "failure_kinds.json").read_text())["fields"]
    assert [kind["name"] for kind in kinds if f">{kind['name']}<" not in failures] == []


def test_it_has_every_column_of_the_manifest_and_key_of_a_job(site: Path) -> None:
    manifest, job = _page(site, "manifest"), _page(site, "job")
    assert [name for name in contracts.manifest_fields() if f">{name}<" not in manifest] == []
    assert ">fit.selection.icc_minimum<" in job
    assert ">embedding.weights<" in job


def test_it_has_every_name_of_the_package(site: Path) -> None:
    python = _page(site, "python")
    rooms = {"dlrn", "errors", "imaging", "radiomics", "store"}
    named = [name for name in cvtbatch.__all__ if name not in {"CvtbatchError", *rooms}]
    assert [name for name in named if f'id="cvtbatch.{name}"' not in python] == []
    assert 'id="cvtbatch.errors.CvtbatchError"' in python


def test_it_has_every_value_of_ibsi(site: Path) -> None:
    page = _page(site, "ibsi")
    assert page.count(", within<") + page.count("<strong>off</strong>") == 2 * 4 * 104
    assert "102 of 104" in page


def test_it_fetches_nothing_from_elsewhere(site: Path) -> None:
    fetched = re.compile(r'<(?:script|img|iframe)[^>]+src="(?:https?:)?//|<link[^>]+href="(?:https?:)?//')
    pages = list(site.rglob("*.html"))
    assert len(pages) > 40
    assert [page.name for page in pages if fetched.search(page.read_text(encoding="utf-8"))] == []
    assert not re.search(r"url\(['\"]?https?:", "".join(path.read_text() for path in site.rglob("*.css")))


def test_its_first_page_leads_to_the_documents(site: Path) -> None:
    target = re.search(r'url=([^"]+)"', (site / "index.html").read_text())
    assert target
    assert (site / target[1]).is_file()

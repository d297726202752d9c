"""README and tutorials do what they say: their commands and their Python are run, in order, in an empty folder."""

import re
import shlex
import tempfile
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from cvtbatch.cli import cli
from tests.support.archives import center_archive
from tests.support.cohorts import SMALLEST_JOB
from tests.support.commands import cvtbatch
from tests.support.pages import Block, blocks, lines_not_printed, run_notebook, run_page
from tests.support.paths import ROOT
from tests.support.stand_ins import BlockMeans, block_means  # noqa: F401

PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), ROOT / "deploy" / "README.md")
)
RUN = [page for page in PAGES if any(block.language == "console" for block in blocks(ROOT / page))]
# Values of voxels that large are computed in a tenth of the time, and a page shows none.
COARSE = ("--set", "volume.spacing_mm=[2,2,5]")


def colleagues_bundle() -> None:
    """Leave the bundle of another centre in the working folder."""
    with tempfile.TemporaryDirectory() as scratch:
        manifest, store = center_archive(Path(scratch) / "archive", "C1", 18), Path(scratch) / "store"
        weights = ("--set", "embedding.weights=random:0")
        cvtbatch("extract", manifest, "--store", store, "--workers", 0, *weights, *COARSE, check=True)
        sets = [
            argument
            for value in (*SMALLEST_JOB, "fit.firth=true", "cohort.training_centers=[C1]")
            for argument in ("--set", value)
        ]
        cvtbatch("fit", "--store", store, *sets, "--out", "bundle", check=True)


# What the reader of a page has when it begins.
BEFORE = {"docs/tutorials/neuroradiologist.md": colleagues_bundle}
# Its Python computes by default what the store holds.
BY_DEFAULT = "docs/tutorials/physicist.md"


@pytest.fixture
def in_an_empty_folder(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    block_means: type[BlockMeans],  # noqa: F811
    blank_figures: None,
) -> None:
    """With a home of its own, one process, a quick network and no drawing: results are equal, and what is shown is not figures."""
    for name in ("STATE", "DATA"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("cvtbatch.embedding.backbone.Backbone", block_means)
    monkeypatch.setattr("cvtbatch.api.extraction.default_workers", lambda: 0)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")


@pytest.mark.usefixtures("in_an_empty_folder")
@pytest.mark.parametrize("page", RUN)
def test_a_page_does_what_it_says(page: str) -> None:
    BEFORE.get(page, lambda: None)()
    run_page(ROOT / page, () if page == BY_DEFAULT else COARSE)


@pytest.mark.usefixtures("in_an_empty_folder")
def test_the_notebook_runs() -> None:
    run_notebook(ROOT / "docs" / "example.ipynb")


def _command_lines(block: Block) -> Iterator[list[str]]:
    """Yield the arguments of every cvtbatch that a block of shell runs."""
    text = block.text.replace("\\\n", " ")
    for line in text.splitlines():
        for part in line.removeprefix("$ ").split("&&"):
            if part.strip().startswith("cvtbatch "):
                yield shlex.split(re.split(r" [|>] ", part)[0], comments=True)[1:]


@pytest.mark.parametrize("page", PAGES)
def test_every_command_line_of_a_page_is_one(page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command is there, and takes its options; it is not run."""
    monkeypatch.setattr(click.Command, "invoke", lambda _command, _context: None)
    for block in blocks(ROOT / page):
        for arguments in _command_lines(block) if block.language in {"", "bash", "console"} else ():
            assert not cli.main(arguments, standalone_mode=False)


@pytest.mark.parametrize("page", PAGES)
def test_every_block_of_python_is_python(page: str) -> None:
    for block in blocks(ROOT / page):
        if block.language == "python":
            compile(block.text, page, "exec")


def test_lines_that_a_page_shows_are_held_by_their_words() -> None:
    output = "Run 2026-a1: 6 cases in 10.5 s\ncomputed     6\n"
    assert lines_not_printed(("Run 2027-ff: 9 cases in 1 s", "...", "computed  4"), output) == []
    assert lines_not_printed(("computed  6 rows", "failed  6"), output) == ["computed  6 rows", "failed  6"]

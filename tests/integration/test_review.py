"""A review from pages to the table: written by the command, judged by key in a browser, exported, and applied."""

import io
import json
import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from cvtbatch import contracts
from cvtbatch.store import FeatureStore
from tests.support.archives import tiny_archive, write_rows
from tests.support.browser import Page, find_chromium, open_browser
from tests.support.commands import cvtbatch, extract_json
from tests.support.found_outlines import READER, add_finding, add_found

CASES = 6
ODD = "<b>&'\" 004"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a store of six cases: 000 to 002 with a found outline beside a person's, 005 awaits one, 003 too and was searched."""
    folder = tmp_path_factory.mktemp("review")
    rows = tiny_archive(folder / "archive", CASES)
    rows[4]["case_id"] = ODD
    rows[3]["mask"] = rows[5]["mask"] = ""
    manifest = write_rows(folder / "archive" / "manifest.csv", rows)
    extract_json(manifest, folder / "store")
    store = FeatureStore.open_for_writing(str(folder / "store"))
    add_found(store, "A/000", agreement=0.95)
    add_found(store, "A/001", grown=3, agreement=0.7, flags=["disagreement"])
    add_found(store, "A/002", agreement=0.8)
    add_finding(store, "A/003", "no_hemorrhage")
    return folder / "store"


def _run(*arguments: object, code: int = 0) -> dict[str, object]:
    """Run `cvtbatch review`, and return its document, which keeps to the contract."""
    done = cvtbatch("review", *arguments, "--json")
    assert done.returncode == code, done.stderr
    document = json.loads(done.stdout)
    assert contracts.problems_of(document, "commands/review.json") == []
    return dict(document)


def _flagged_by_check(manifest: Path) -> int:
    document = json.loads(cvtbatch("check", manifest, "--workers", 0, "--json", check=True).stdout)
    flagged = sum(bool(image["flags"]) for image in document["images"])
    assert flagged > 0
    return flagged


@pytest.fixture(scope="module")
def pages(store: Path) -> Path:
    out = store.parent / "pages"
    document = _run("--store", store, "--out", out, "--workers", 0)
    counts = {"cases": 6, "outlines": 7, "without_outline": 2, "reviewed": 0, "pages": 1, "unreadable": []}
    # A/001 by its outline, A/003 by what a method did not find in it.
    counts |= {"flagged": 2, "flagged_images": _flagged_by_check(store.parent / "archive" / "manifest.csv")}
    assert {name: document[name] for name in counts} == counts
    assert document["page"] == str(out / "index.html")
    return out


def test_workers_write_what_this_process_writes(store: Path, pages: Path, tmp_path: Path) -> None:
    _run("pages", "--store", store, "--out", tmp_path, "--workers", 2)
    drawn = {file.name: file.read_bytes() for file in (tmp_path / "pictures").iterdir()}
    assert drawn == {file.name: file.read_bytes() for file in (pages / "pictures").iterdir()}
    told = [re.sub(r"as of [-\d: ]+UTC", "", (out / "page-0001.html").read_text()) for out in (pages, tmp_path)]
    assert told[0] == told[1]


def test_a_page_names_cases_by_key_and_holds_pictures_beside_itself(pages: Path) -> None:
    text = (pages / "page-0001.html").read_text(encoding="utf-8")
    keys = re.findall(r"<h2>(.*?)</h2>", text)
    # Flagged, nothing found, by agreement, no agreement known, awaited.
    odd = "A/&lt;b&gt;&amp;&#39;&#34; 004"
    assert keys == ["A/001", "A/003", "A/002", "A/000", odd, "A/005"]
    assert "<b>&" not in text
    named = re.findall(r'<img[^>]* src="([^"]+)"', text)
    assert len(named) == len(set(named))
    assert {str(file.relative_to(pages)) for file in (pages / "pictures").iterdir()} == set(named)
    assert {Image.open(io.BytesIO((pages / name).read_bytes())).size for name in named} == {(440, 440)}
    shown = [len(re.findall("<figure>", card)) for card in text.split("<article")[1:]]
    assert all(5 <= count <= 7 for place, count in enumerate(shown) if place not in (1, 5))
    assert f"{READER} found no hemorrhage" in text
    # Nothing of a patient but the key: the manifest's etiology, age, epilepsy, files.
    assert not re.search(r"CVT|HP\b|etiology|epilepsy|ct\d\.nii", re.sub(r"cvtbatch", "", text))


def test_an_earlier_review_is_replaced_and_other_files_stay(store: Path, tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    for name in ("page-0009.html", "pictures/0123456789abcdef-3.jpg", "review.csv", "pictures/own.jpg"):
        (tmp_path / name).write_text("before")
    _run("--store", store, "--out", tmp_path, "--workers", 0, "--reader", READER)
    left = {str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*") if file.is_file()}
    assert {"review.csv", "pictures/own.jpg", "index.html", "page-0001.html"} <= left
    assert not left & {"page-0009.html", "pictures/0123456789abcdef-3.jpg"}
    _run("--store", store, "--out", tmp_path, "--workers", 0, "--reader", READER)
    assert {str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*") if file.is_file()} == left
    (tmp_path / "index.html").write_text("a page of something else")
    refused = cvtbatch("review", "--store", store, "--out", tmp_path, "--workers", 0)
    assert refused.returncode == 1
    assert "holds an index.html" in refused.stderr


def test_usage(store: Path, tmp_path: Path) -> None:
    assert cvtbatch("review").returncode == 2
    assert "apply" in cvtbatch("review", "--help").stdout
    unknown = cvtbatch("review", "--store", store, "--out", tmp_path / "out", "--reader", "nobody")
    assert unknown.returncode == 1
    assert "nobody" in unknown.stderr
    assert not (tmp_path / "out").exists()
    missing = cvtbatch("review", "apply", tmp_path / "none.csv", "--store", store)
    assert missing.returncode == 1


def test_damaged_voxels_are_told_of(store: Path, tmp_path: Path) -> None:
    shutil.copytree(store, tmp_path / "store")
    opened = FeatureStore(str(tmp_path / "store"))
    volume = next(row for row in opened.current("volumes").to_pylist() if row["case_key"] == "A/000")
    (tmp_path / "store" / volume["path"] / "0/c/0/0/0").write_bytes(b"cut")
    document = _run("--store", tmp_path / "store", "--out", tmp_path / "out", "--workers", 0, code=3)
    assert document["unreadable"] == [{"kind": "volume_damaged", "cases": 1}]
    text = (tmp_path / "out" / "page-0001.html").read_text()
    assert "cannot be shown (volume damaged)" in text
    assert "data-roi_key=&#34;A/000" not in text
    assert 'data-case_key="A/000"' not in text


@pytest.fixture(scope="module")
def browser() -> Iterator[Page]:
    program = find_chromium()
    if program is None:
        pytest.skip("Chromium is not installed (Debian: apt-get install chromium)")
    with open_browser(program) as page:
        yield page


def _press(browser: Page, *keys: str) -> None:
    for key in keys:
        text = {"text": key} if len(key) == 1 else {}
        browser.call("Input.dispatchKeyEvent", type="keyDown", key=key, **text)
        browser.call("Input.dispatchKeyEvent", type="keyUp", key=key)


CURRENT = (
    "(item => [item.dataset.case_key, item.getAttribute('aria-label').split(',')[1]?.trim() ?? ''])"
    "(document.querySelector('.item.current'))"
)
PROGRESS = "document.getElementById('progress').textContent"
FORGET = "localStorage.clear()"


def _export(browser: Page, folder: Path, name: str) -> Path:
    """Press the page's button, and return the file that it hands over."""
    browser.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(folder))
    browser.evaluate("document.getElementById('export').click()")
    until = time.monotonic() + 20
    while not (folder / name).is_file() or not (folder / name).stat().st_size:
        assert time.monotonic() < until, "nothing was handed over"
        time.sleep(0.05)
    return folder / name


def _summed_up(browser: Page, index: Path) -> str:
    """Return what the first page says of all pages; a process of the browser sees what another has kept a moment later."""
    until = time.monotonic() + 5
    while True:
        browser.open(index, 1280)
        told: str = browser.evaluate("document.getElementById('all-text').textContent")
        if not told.startswith("0 of") or time.monotonic() > until:
            return told
        time.sleep(0.2)


def test_verdicts_by_key_are_kept_exported_and_applied(browser: Page, store: Path, pages: Path, tmp_path: Path) -> None:
    page, index = pages / "page-0001.html", pages / "index.html"
    browser.open(page, 1280)
    browser.evaluate(FORGET)
    browser.open(page, 1280)
    assert browser.evaluate(CURRENT) == ["A/001", "A"]
    assert browser.evaluate(PROGRESS) == "0 of 9 judged"
    _press(browser, "a")
    # On to the next that has none, and it is seen.
    assert browser.evaluate(CURRENT) == ["A/001", READER]
    assert browser.evaluate("document.activeElement.dataset.case_key") == "A/001"
    _press(browser, "c")
    browser.call("Input.insertText", text='too wide, "left" =1')
    # Letters of a comment are no verdicts.
    assert browser.evaluate(PROGRESS) == "1 of 9 judged"
    _press(browser, "Escape", "r")
    assert browser.evaluate(CURRENT) == ["A/003", ""]
    # A case without an outline has other verdicts; a key that gives none does nothing.
    _press(browser, "a")
    assert browser.evaluate(PROGRESS) == "2 of 9 judged"
    _press(browser, "o", "n", "j", "k", "k")
    assert browser.evaluate(CURRENT) == ["A/002", "A"]
    assert browser.evaluate(PROGRESS) == "4 of 9 judged"
    _press(browser, "u")
    assert browser.evaluate(PROGRESS) == "3 of 9 judged"
    pressed = "[...document.querySelectorAll('[aria-pressed=true][data-verdict]')].map(e => e.dataset.verdict)"
    assert browser.evaluate(pressed) == ["accept", "redo", "outline_needed"]
    _press(browser, "h")
    lines = "[...document.querySelectorAll('.lines')].filter(e => e.checkVisibility({visibilityProperty: true})).length"
    assert browser.evaluate(lines) == 0
    _press(browser, "h")
    assert browser.evaluate(lines) > 0

    # Another day: the browser has kept them, and the first page sums them up.
    browser.open(page, 1280)
    assert browser.evaluate(PROGRESS) == "3 of 9 judged"
    assert browser.evaluate(pressed) == ["accept", "redo", "outline_needed"]
    assert browser.evaluate(CURRENT) == ["A/002", "A"]
    assert _summed_up(browser, index) == "3 of 9 judged"
    assert browser.evaluate("document.querySelector('[data-count=redo]').textContent") == "1"
    file = _export(browser, tmp_path, "review.csv")
    assert browser.complaints() == []

    done = _run("apply", file, "--store", store, "--reviewer", "reader 1")
    assert (done["applied"], done["left_out"]) == (3, [])
    rows = {row["roi_key"]: row for row in FeatureStore(str(store)).current("reviews").to_pylist()}
    found = f"A/001/hematoma/{READER}/1"
    verdicts = {key: row["verdict"] for key, row in rows.items()}
    assert verdicts == {"A/001/hematoma/A/1": "accept", found: "redo", "": "outline_needed"}
    assert (rows[found]["comment"], rows[found]["reader"]) == ('too wide, "left" =1', READER)
    assert _run("apply", file, "--store", store, "--reviewer", "reader 1")["already_applied"] == 3
    assert FeatureStore(str(store)).table("reviews").count() == 3

    # Pages that are made now show what the store has, and count it where no browser has anything.
    _run("--store", store, "--out", tmp_path / "again", "--workers", 0)
    browser.evaluate(FORGET)
    browser.open(tmp_path / "again" / "page-0001.html", 1280)
    assert browser.evaluate(PROGRESS) == "3 of 9 judged"
    given = browser.evaluate("document.querySelectorAll('.given')[1].textContent")
    assert given == "redo, in the store by reader 1"
    assert browser.evaluate("document.querySelectorAll('.comment input')[1].value") == 'too wide, "left" =1'
    browser.open(tmp_path / "again" / "index.html", 1280)
    assert browser.evaluate("document.getElementById('all-text').textContent") == "3 of 9 judged"
    assert _run("--store", store, "--out", tmp_path / "rest", "--workers", 0, "--unreviewed")["cases"] == 4

    # The outline is drawn anew: the verdict is not of it, here and in the file.
    opened = FeatureStore.open_for_writing(str(store))
    old = next(row for row in opened.rois().to_pylist() if row["roi_key"] == found)
    opened.table("rois").append([{**old, "input_digest": "drawn anew", "mask_digest": "drawn anew"}])
    late = _run("apply", file, "--store", store, code=3)
    assert [(row["row"], row["key"], row["reason"]) for row in late["left_out"]] == [(2, found, "changed")]  # type: ignore[index]
    opened.table("rois").append([old])


def test_two_reviews_do_not_mix(browser: Page, store: Path, pages: Path, tmp_path: Path) -> None:
    """The same cases in the same browser, one of them with another outline."""
    shutil.copytree(store, tmp_path / "store")
    other = FeatureStore.open_for_writing(str(tmp_path / "store"))
    add_found(other, "A/001", grown=2, agreement=0.6, flags=["disagreement"])
    _run("--store", tmp_path / "store", "--out", tmp_path / "other", "--workers", 0)
    browser.open(pages / "page-0001.html", 1280)
    browser.evaluate(FORGET)
    browser.open(pages / "page-0001.html", 1280)
    _press(browser, "a", "a")
    browser.open(tmp_path / "other" / "page-0001.html", 1280)
    own = f"document.querySelector('[data-roi_key$=\"{READER}/1\"]')"
    assert browser.evaluate(f"{own}.dataset.case_key") == "A/001"
    assert not browser.evaluate(f"{own}.querySelector('[data-verdict=accept]').ariaPressed === 'true'")
    exported = _export(browser, tmp_path, "review-1.csv").read_text()
    assert [line.split(",")[1] for line in exported.splitlines()[1:]] == ["A/001/hematoma/A/1"]


@pytest.mark.parametrize("width", [1280, 390])
def test_pages_are_whole_on_a_wide_and_a_narrow_screen(browser: Page, pages: Path, width: int, tmp_path: Path) -> None:
    for name in ("page-0001.html", "index.html"):
        browser.open(pages / name, width)
        assert browser.complaints() == []
        assert all(url.startswith((pages.as_uri(), "blob:")) for url in browser.requests())
        assert browser.evaluate("document.documentElement.scrollWidth") == width
        out = f"[...document.querySelectorAll('body *')].filter(e => e.getBoundingClientRect().right > {width} + 1)"
        assert browser.evaluate(f"{out}.map(e => e.outerHTML.slice(0, 80))") == []
        if folder := os.environ.get("CVTBATCH_SCREENSHOTS"):
            browser.screenshot(Path(folder) / f"review-{name.partition('.')[0]}-{width}.png")
    browser.open(pages / "page-0001.html", width)
    loaded = "Promise.all([...document.images].map(e => { e.loading = 'eager'; return e.decode().then(() => e.naturalWidth) }))"
    assert set(browser.evaluate(loaded)) == {440}
    sizes = browser.evaluate("[...document.querySelectorAll('.slice')].map(e => e.getBoundingClientRect().width)")
    assert min(sizes) > 150
    # Every button and field is reached by the keyboard, and says what it is.
    unnamed = "e.tabIndex < 0 || !(e.textContent || e.labels?.length)"
    every = "[...document.querySelectorAll('button, input, a')]"
    assert browser.evaluate(f"{every}.filter(e => {unnamed}).length") == 0


def test_pages_print(browser: Page, pages: Path, tmp_path: Path) -> None:
    browser.open(pages / "page-0001.html", 1280)
    assert browser.print_pdf(tmp_path / "page.pdf").read_bytes().startswith(b"%PDF")
    browser.call("Emulation.setEmulatedMedia", media="print")
    browser.resize(703, 1000)
    assert browser.evaluate("document.documentElement.scrollWidth") <= 703
    for gone in (".bar", ".verdicts", ".help"):
        assert browser.evaluate(f"getComputedStyle(document.querySelector('{gone}')).display") == "none"
    browser.call("Emulation.setEmulatedMedia", media="")

"""A review written into a folder: pages of cases, their pictures beside them, and a first page with the progress of all."""

import datetime
import re
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import cvtbatch
from cvtbatch.engine import Cluster
from cvtbatch.errors import InputError
from cvtbatch.file_errors import why
from cvtbatch.pipelines.reviews.drawing import DrawnCase, DrawTask, draw_case
from cvtbatch.pipelines.reviews.worklist import read_worklist
from cvtbatch.pipelines.shared.ordered_map import map_on
from cvtbatch.reviewing.cases import ReviewCase, in_order, in_pages
from cvtbatch.reviewing.pages import (
    INDEX,
    PREFIX,
    ShownCase,
    ShownSlice,
    page_name,
    render_index,
    render_page,
    summarise,
)
from cvtbatch.spec import digest
from cvtbatch.store import FeatureStore, Location
from cvtbatch.whole_files import written_whole

PICTURES = "pictures"
# What an earlier review wrote.
PAGE = re.compile(r"page-\d{4,}\.html")
PICTURE = re.compile(r"[0-9a-f]{16}-\d+\.(?:jpg|png)")


@dataclass(frozen=True, slots=True)
class Choice:
    """What is looked at: by default all there is now.

    Attributes: as the arguments of `read_worklist`; and the name of a snapshot.
    """

    snapshot: str | None = None
    centers: tuple[str, ...] = ()
    readers: tuple[str, ...] = ()
    unreviewed: bool = False


@dataclass(slots=True)
class ReviewReport:
    """What was written, for people and as the JSON document of `cvtbatch review --json`.

    Attributes:
        page: the first one.
        outlines, without_outline: outlines, and cases without one.
        reviewed: how many of both the store has a verdict of.
        flagged: cases with a flagged outline, or without one where a method found nothing.
        flagged_images: cases whose image is flagged, as `check` and the report of a run count them.
        unreadable: cases by the kind of the error for which they cannot be shown.
    """

    page: Path
    pages: int = 0
    cases: int = 0
    outlines: int = 0
    without_outline: int = 0
    reviewed: int = 0
    flagged: int = 0
    flagged_images: int = 0
    unreadable: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0

    def to_document(self) -> dict[str, object]:
        """Return the JSON document."""
        counts = {name: getattr(self, name) for name in self.__dataclass_fields__}
        unreadable = [{"kind": kind, "cases": cases} for kind, cases in sorted(self.unreadable.items())]
        return {"command": "review", **counts, "page": str(self.page), "unreadable": unreadable}

    def count(self, case: ReviewCase, problem: str) -> None:
        """Add a case."""
        self.cases += 1
        self.outlines += len(case.outlines)
        self.without_outline += not case.outlines
        self.reviewed += sum(item.given is not None for item in case.items)
        self.flagged += case.unsure
        self.flagged_images += bool(case.flags)
        if problem:
            self.unreadable[problem] += 1


def write_review(
    store_url: str,
    out: Path,
    choice: Choice,
    cluster: Cluster,
    on_progress: Callable[[int, int], None] = lambda *_: None,
) -> ReviewReport:
    """Write the pages of a review; those of an earlier one in the same folder are replaced, verdicts in browsers stay.

    Args:
        out: a folder; what else is in it stays.
        on_progress: called with the cases drawn and all of them.

    Raises:
        InputError: there is no such snapshot, centre or reader; the folder cannot be written, or holds another index.html.
        ResourceError: a worker died over a case, or the scheduler went away.
    """
    started = time.monotonic()
    url = Location.of(store_url).url
    worklist = read_worklist(FeatureStore(url).at(choice.snapshot), choice.centers, choice.readers, choice.unreviewed)
    stored = {entry.case.case_key: entry for entry in worklist}
    pages = in_pages(in_order(entry.case for entry in worklist))
    _refuse_other_page(out)
    report = ReviewReport(out / INDEX, len(pages))
    drawn = map_on(cluster, draw_case, [DrawTask(url, stored[case.case_key]) for page in pages for case in page])
    try:
        _clear(out)
        summaries = []
        for number, page in enumerate(pages, 1):
            shown = []
            for case in page:
                shown.append(_write_pictures(out, case, next(drawn)))
                report.count(case, shown[-1].problem)
                on_progress(report.cases, len(stored))
            _write_text(out / page_name(number), render_page(number, len(pages), shown, _origin(choice)))
            summaries.append(summarise(number, shown))
        _write_text(out / INDEX, render_index(summaries, _origin(choice)))
    except OSError as error:
        raise InputError("cannot_write", f"--out {out} cannot be written: {why(error)}") from None
    report.seconds = round(time.monotonic() - started, 3)
    return report


def _refuse_other_page(out: Path) -> None:
    """Refuse a folder whose first page is none of a review.

    Raises:
        InputError: "cannot_write".
    """
    page = out / INDEX
    if page.is_file() and PREFIX.encode() not in page.read_bytes():
        raise InputError("cannot_write", f"--out {out} holds an {INDEX} that is no review's: choose another folder")


def _clear(out: Path) -> None:
    """Take an earlier review out of a folder, its first page first, and make the folder where there is none."""
    (out / PICTURES).mkdir(parents=True, exist_ok=True)
    (out / INDEX).unlink(missing_ok=True)
    for folder, names in ((out, PAGE), (out / PICTURES, PICTURE)):
        for file in folder.iterdir():
            if names.fullmatch(file.name):
                file.unlink()


def _write_pictures(out: Path, case: ReviewCase, drawn: DrawnCase) -> ShownCase:
    """Write the pictures of a case, under names that are other ones where what is in them is."""
    name = digest(case.case_key, case.image_digest, *(item.input_digest for item in case.items))[:16]
    slices = []
    for part in drawn.slices:
        picture, outlines = (f"{PICTURES}/{name}-{part.index}.{suffix}" for suffix in ("jpg", "png"))
        (out / picture).write_bytes(part.jpeg)
        if part.png is not None:
            (out / outlines).write_bytes(part.png)
        slices.append(ShownSlice(part.index, picture, None if part.png is None else outlines))
    return ShownCase(case, tuple(slices), drawn.depth, drawn.histograms, drawn.problem)


def _write_text(path: Path, text: str) -> None:
    with written_whole(path) as aside:
        aside.write_text(text, encoding="utf-8")


def _origin(choice: Choice) -> str:
    """Say what was looked at, when and by which version."""
    rows = f"Snapshot {choice.snapshot}, drawn" if choice.snapshot else "The store's rows as of"
    parts = [f"{rows} {datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M} UTC"]
    if choice.centers:
        parts.append(f"centre{'s' if len(choice.centers) > 1 else ''} {', '.join(choice.centers)}")
    if choice.readers:
        parts.append(f"outlines of {', '.join(choice.readers)}")
    if choice.unreviewed:
        parts.append("without what is reviewed")
    return f"{'; '.join(parts)}; cvtbatch {cvtbatch.__version__}"

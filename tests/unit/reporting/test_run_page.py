"""The page at the end of a run: honest in its first line, small whatever has failed, and harmless."""

import re

from cvtbatch import contracts
from cvtbatch.reporting.failures import FailedItem, FailureGroup, group_failures
from cvtbatch.reporting.run_page import CaseCounts, FlagCount, RunPage, State, Thumbnail, Waiting, render_run_page


def page(
    groups: list[FailureGroup], counts: CaseCounts, state: State = "completed", command: str = "cvtbatch extract m.csv"
) -> RunPage:
    return RunPage(
        state=state,
        reason="store full" if state == "stopped" else "",
        counts=counts,
        facts=(("time", "6.2 s"),),
        groups=groups,
        waiting=(Waiting(4, "A", "004"),),
        flags=(FlagCount("noisy", "image", 3, "noise above 10 HU"),),
        thumbnails=(Thumbnail("A/1/hematoma/A/1", ("tiny",), 0.2, 61.0, "data:image/jpeg;base64,AAAA"),),
        looked=True,
        command=command,
        folder="/work",
        origin="run-1",
    )


def failed(row: int, kind: str, message: str = "what is wrong") -> FailedItem:
    own = {"x_site": "<i>Porto</i>"}
    return FailedItem(row, "A", f"{row}", "hematoma (A, reading 1)", "mask", kind, message, f"/data/{row}", "", own)


COUNTS = CaseCounts(total=20, computed=17, continued=0, already_done=0, no_hemorrhage=0, awaiting_mask=0, failed=3)


def test_the_first_line_counts_every_case_once() -> None:
    assert page([], COUNTS).headline == "20 cases: 17 computed by this run, 3 failed"
    all_kinds = CaseCounts(19, 5, 4, 2, 3, 4, 5)
    assert page([], all_kinds).headline == (
        "19 cases: 5 computed by this run (4 of them begun by earlier ones), 2 computed by earlier runs, "
        "3 without a hemorrhage, 4 waiting for an outline, 5 failed"
    )
    assert page([], CaseCounts(1, 1, 0, 0, 0, 0, 0)).headline == "1 case: 1 computed by this run"


def test_a_run_that_did_not_end_says_so_first() -> None:
    counts = CaseCounts(20, 4, 0, 0, 0, 0, 1)
    assert page([], counts, "interrupted").headline == (
        "Interrupted. 20 cases: 4 computed by this run, 1 failed, 15 not come to"
    )
    assert page([], counts, "stopped").headline.startswith("Stopped by an error (store full). 20 cases:")
    assert "goes on where this run ended" in render_run_page(page([], counts, "interrupted"))


def test_failures_stand_by_who_can_mend_them() -> None:
    groups = group_failures([failed(1, "missing_slices"), failed(2, "empty_mask"), failed(3, "missing_file")])
    made = page(groups, COUNTS)
    assert [(who, count) for who, count, _ in made.helpers()] == [("you", 1), ("PACS team", 1), ("reader", 1)]
    text = render_run_page(made)
    for kind in ("missing_slices", "empty_mask", "missing_file"):
        assert contracts.failure_kinds()[kind].do.replace("'", "&#39;") in text
        assert f'id="{kind}"' in text
    assert "&lt;i&gt;Porto" in text
    assert "<i>" not in text


def test_the_command_that_tries_again_is_there_where_something_failed() -> None:
    groups = group_failures([failed(1, "missing_slices")])
    assert page(groups, COUNTS).retry == "cvtbatch extract m.csv --retry-failed"
    assert page([], COUNTS).retry == ""
    assert page(groups, COUNTS, command="cvtbatch extract m.csv --retry-failed").retry == ""
    long = f"cvtbatch extract m.csv --store {'folder/' * 100}"
    assert f"<pre>{long}</pre>" in render_run_page(page([], COUNTS, command=long))


def test_the_page_loads_nothing_and_says_that_it_is_private() -> None:
    text = render_run_page(page([], COUNTS))
    assert "<b>Private.</b>" in text
    assert not re.search(r"(src|href)=\"(?!data:|#|failures\.csv)", text)
    assert "<script" not in text


def test_the_page_stays_small_whatever_has_failed() -> None:
    """A hundred thousand failures of every kind that there is, with long texts."""
    kinds = [kind.name for kind in contracts.failure_kinds().values() if kind.do]
    items = (failed(row, kinds[row % len(kinds)], "x" * 2000) for row in range(100_000))
    groups = group_failures(items)
    text = render_run_page(page(groups, CaseCounts(100_000, 0, 0, 0, 0, 0, 100_000)))
    assert sum(group.items for group in groups) == 100_000
    assert len(text.encode()) < 1_500_000
    assert "more in failures.csv" in text

"""Cases in the order in which they are looked at, and what names their items."""

import datetime

from cvtbatch.reviewing.cases import Item, Outline, ReviewCase, in_order, in_pages
from cvtbatch.reviewing.verdicts import Given, Verdict


def _case(
    name: str, *outlines: tuple[float | None, tuple[str, ...]], negative: bool = False, flags: tuple[str, ...] = ()
) -> ReviewCase:
    drawn = tuple(
        Outline(Item(name, f"{name}/hematoma/{number}/1", "i", None), "hematoma", str(number), 1, 5.0, own, agreement)
        for number, (agreement, own) in enumerate(outlines)
    )
    return ReviewCase(name, f"image-{name}", flags, drawn, ("blast-ct:1",) if negative else (), None)


def test_flagged_and_unsure_cases_come_first_and_those_that_await_an_outline_last() -> None:
    cases = [
        _case("awaits"),
        _case("drawn", (None, ())),
        _case("surest", (0.99, ("auto", "not_for_inference"))),
        _case("less sure", (0.97, ("auto",)), (0.80, ("auto",))),
        _case("flagged scan", (0.98, ()), flags=("base_cut",)),
        _case("nothing found", negative=True),
        _case("flagged, sure", (0.95, ("auto", "several"))),
        _case("flagged, unsure", (None, ()), (0.60, ("auto", "disagreement"))),
    ]
    assert [case.case_key for case in in_order(cases)] == [
        "flagged, unsure",
        "flagged, sure",
        "nothing found",
        "less sure",
        "flagged scan",
        "surest",
        "drawn",
        "awaits",
    ]


def test_pages_hold_a_hundred_cases() -> None:
    cases = [_case(str(number)) for number in range(201)]
    assert [len(page) for page in in_pages(cases)] == [100, 100, 1]
    assert in_pages([]) == [[]]


def test_ids_tell_items_apart_by_all_that_is_looked_at_and_by_nothing_else() -> None:
    given = Given(Verdict.ACCEPT, "", "", datetime.datetime.now(datetime.UTC))
    item = Item("C/1", "C/1/hematoma/A/1", "digest", None)
    assert len(item.id) == 8
    assert item.id == Item("C/1", "C/1/hematoma/A/1", "digest", given).id
    others = [Item("C/2", item.roi_key, "digest", None), Item("C/1", "", "digest", None)]
    others += [Item("C/1", item.roi_key, "other", None), Item("C/1C/1/hematoma/A/1", "", "digest", None)]
    assert len({one.id for one in (item, *others)}) == 5

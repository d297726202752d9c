"""What a poll means for studies that are new, grown, done, held, failed or forgotten."""

import pytest

from cvtbatch.pacs.archive import Series
from cvtbatch.pipelines.serving.arrivals import Arrival
from cvtbatch.pipelines.serving.memory import Known, State
from cvtbatch.pipelines.serving.round_plan import batches, plan_round


def study(name: str, series: int = 1) -> Arrival:
    return Arrival(name, name, "now", f"hash {name}", tuple(Series(name, f"{name}.{n}") for n in range(series)), 9)


def planned(content: str, state: State, *, stored: bool = True, released: bool = False, retry: bool = False) -> str:
    found = study("a")
    plan = plan_round(
        [found],
        {"a": Known(content, state)},
        {found.volume_hash} if stored else set(),
        {"a"} if released else set(),
        retry_failed=retry,
    )
    [name] = [name for name in ("fresh", "due", "erased") if getattr(plan, name)] or ["nothing"]
    return f"{name}, reopened" if plan.reopened else name


def test_a_study_that_nobody_has_seen_is_fresh() -> None:
    plan = plan_round([study("a")], {}, (), (), retry_failed=True)
    assert (plan.fresh, plan.due, plan.erased) == ((study("a"),), (), ())


@pytest.mark.parametrize(
    ("state", "unchanged", "grown", "grown_and_not_stored"),
    [
        ("seen", "due", "fresh", "fresh"),
        ("incomplete", "due", "fresh", "fresh"),
        ("done", "nothing", "fresh", "erased"),
        ("held", "nothing", "fresh", "erased"),
        ("failed", "nothing", "fresh", "fresh"),
        ("left_out", "nothing", "fresh", "fresh"),
    ],
)
def test_what_is_done_depends_on_what_became_of_it(
    state: State, unchanged: str, grown: str, grown_and_not_stored: str
) -> None:
    assert planned("now", state) == unchanged
    assert planned("before", state) == grown
    assert planned("before", state, stored=False) == grown_and_not_stored
    assert planned("now", state, released=True) == ("due" if state == "held" else unchanged)
    again = "due, reopened" if state in {"failed", "left_out"} else unchanged
    assert planned("now", state, retry=True) == again


def test_batches_have_so_many_series_and_at_least_a_study() -> None:
    due = [study("a", 2), study("b", 1), study("c", 5), study("d", 1), study("e", 2)]
    assert ["".join(one.key for one in batch) for batch in batches(due, 3)] == ["ab", "c", "de"]
    assert list(batches([], 3)) == []

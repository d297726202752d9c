import json

import pytest

from tests.benchmarks.cost_model import LIST_PRICES, Case, Ceilings, case_of, lines_of, price_lines

REQUESTS = {"case": {"PUT": 6.0, "GET": 2.0}, "batch": {"PUT": 10.0}}


def test_the_model_is_the_run_times_the_number_of_cases() -> None:
    run = {
        "run_id": "r",
        "worked_cases": 40,
        "core_hours_per_1000_cases": 0.5,
        "cpu_hours_per_1000_cases": 0.4,
        "read_bytes": 40 * 10_000_000,
        "written_bytes": 40 * 4_000_000,
        "worker_peak_bytes": 600_000_000,
        "commits": 6,
        "rows": json.dumps({"cases": 40, "radiomics": 80, "embeddings": 0}),
    }
    case = case_of(run, table_bytes=80 * 14_672 + 900_000)
    # Half an hour for a thousand cases is 1.8 s each.
    assert case == Case(
        1.8, pytest.approx(1.44), 1e7, 4e6, 2 * 14_672, 300_000, {"cases": 1, "radiomics": 2, "embeddings": 0}, 6e8
    )
    ceilings = Ceilings(rows_per_s=480, tasks_per_s=400, batch_cases=200, batch_s=20, requests=REQUESTS)
    assert ceilings.cores(case) == {
        "scheduler, a task a case": pytest.approx(720),
        "coordinator, full rows": pytest.approx(432),
    }
    lines = dict(lines_of(case, ceilings, [10_000, 1_000_000]))
    assert lines["core-hours"] == ["5", "500"]
    assert lines["cores for 12 hours"] == ["1", "42"]
    assert lines["hours on 16 cores"] == ["0.312", "31.2"]
    assert lines["sources read, GB"] == ["100", "10,000"]
    assert lines["values in the tables, GB"] == ["0.293", "29.3"]
    # 6 appends to 2 tables were 3 batches.
    assert lines["these files beside the values, GB"] == ["0.648", "1.5"]
    assert lines["appends to tables"] == ["4,320", "10,000"]
    # 6 a case and 10 a batch: 2,160 batches, one every 20 s of the night, or 5,000 of 200 cases.
    assert lines["object storage: PUT"] == ["81,600", "6,050,000"]
    assert lines["object storage: requests/s then"] == ["2.35", "186"]


def test_a_run_that_worked_on_nothing_is_no_measure() -> None:
    with pytest.raises(SystemExit, match="worked on no case"):
        case_of({"run_id": "r", "worked_cases": 0}, 0.0)


def test_money_is_core_hours_at_the_price_of_a_core() -> None:
    case = Case(3.6, 3.0, 0, 0, 0, 0, {}, 0)
    # A hundred core-hours; 16 cores cost 0.68 USD an hour.
    [(name, figures)] = price_lines({"features": case})
    assert (name, figures[:3]) == ("features", ["3.6", "100", "4.25"])
    assert [round(price.of(16), 5) for price in LIST_PRICES] == [0.68, 0.77694, 0.677]

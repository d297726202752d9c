"""Who is eligible and whose id looks like a patient's, as a user of the commands sees it."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from cvtbatch import contracts
from cvtbatch.cli import cli
from tests.support.archives import tiny_archive, write_rows
from tests.support.commands import extract_json

COUNTRYWIDE = [
    {"center": "A", "case_id": "1", "traumatic": 0, "ivh": 0},
    {"center": "A", "case_id": "2", "traumatic": 1, "ivh": 1},
    {"center": "A", "case_id": "3", "location": "brainstem"},
    {"center": "B", "case_id": "1", "ivh": 1},
    {"center": "B", "case_id": "2", "quality": "adequate", "onset_to_ct_h": 30},
]


def run(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(cli, [str(argument) for argument in arguments])
    assert result.exit_code == code, (result.output, result.exception)
    return result.stdout


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("flow")
    tiny_archive(folder, 1)
    manifest = write_rows(folder / "flow.csv", [{**row, "image": "ct0.nii.gz"} for row in COUNTRYWIDE])
    assert extract_json(manifest, folder / "store")["awaiting_mask"] == len(COUNTRYWIDE)
    return folder / "store"


def test_the_inclusion_flow_is_counted_and_printed(store: Path) -> None:
    document = json.loads(run("status", "--store", store, "--flow", "--json"))
    assert contracts.problems_of(document, "commands/status.json") == []
    flow = document["flow"]
    assert (flow["screened"], flow["included"]) == (5, 1)
    assert flow["excluded"] == [
        {"reason": "traumatic", "cases": 1},
        {"reason": "ct_after_24_h", "cases": 1},
        {"reason": "intraventricular_hemorrhage", "cases": 1},
        {"reason": "infratentorial", "cases": 1},
    ]
    unknown = ["onset_to_ct_h", "confirmed_by", "sah", "location", "quality"]
    assert flow["unknown"] == [{"column": column, "cases": 1} for column in unknown]
    assert [(center["center"], center["screened"], center["included"]) for center in flow["centers"]] == [
        ("A", 3, 1),
        ("B", 2, 0),
    ]
    text = run("status", "--store", store, "--flow")
    assert "excluded: infratentorial" in text
    assert "of them sah unknown" in text
    assert "flow" not in json.loads(run("status", "--store", store, "--json"))


def test_check_warns_of_ids_that_look_like_a_patients_and_does_not_repeat_them(tmp_path: Path) -> None:
    tiny_archive(tmp_path, 1)
    ids = [("001", ""), ("7654321", ""), ("003", "DOE^JOHN"), ("19520314", "p4"), ("20010101", "p5")]
    rows = [{"center": "A", "case_id": case, "patient": patient, "image": "ct0.nii.gz"} for case, patient in ids]
    arguments = ["check", str(write_rows(tmp_path / "m.csv", rows)), "--json", "--workers", "0"]
    result = CliRunner().invoke(cli, arguments)
    document = json.loads(result.stdout)
    assert result.exit_code == 0
    assert contracts.problems_of(document, "commands/check.json") == []
    found = [tuple(entry[name] for name in ("column", "kind", "first_row", "cases")) for entry in document["warnings"]]
    assert found.pop() == ("image", "shared_image", 1, 5)
    assert found == [("case_id", "long_number", 2, 1), ("patient", "person_name", 3, 1), ("case_id", "date", 4, 2)]
    assert result.stderr.count("warning: ") == 4
    assert not any(value in json.dumps(document["warnings"]) for value in ("7654321", "DOE", "19520314"))

"""An empty manifest: its header is the contract's, and a row below it is read."""

import csv
import json
from pathlib import Path

from cvtbatch import contracts
from cvtbatch.manifest import read_manifest
from tests.support.commands import cvtbatch


def test_what_stdout_gets_is_a_manifests_header(tmp_path: Path) -> None:
    done = cvtbatch("manifest", "template", check=True)
    [header] = csv.reader(done.stdout.splitlines())
    assert header == list(contracts.manifest_fields())
    row = {"center": "A", "case_id": "1", "image": "ct.nii.gz"}
    path = tmp_path / "manifest.csv"
    path.write_text(done.stdout + ",".join(row.get(name, "") for name in header) + "\n")
    [case] = read_manifest(path)
    assert (case.center, case.case_id, case.image_entry) == ("A", "1", "ct.nii.gz")


def test_stderr_tells_every_column_in_eighty_columns() -> None:
    done = cvtbatch("manifest", "template", check=True)
    lines = done.stderr.splitlines()
    assert max(map(len, lines)) <= 80
    told = " ".join(done.stderr.split())
    for field in contracts.manifest_fields().values():
        assert any(line.startswith(field.name) for line in lines)
        assert field.description in told
    assert "required; centre that the case comes from" in told
    assert "CVT, HP, CAA, AVM, OTHER" in told
    assert "a number from 0 to 120" in told
    assert "empty: hematoma" in told
    assert "begin with x_" in told


def test_a_file_is_written_once(tmp_path: Path) -> None:
    path = tmp_path / "manifest.csv"
    assert cvtbatch("manifest", "template", "--out", path, check=True).stdout == ""
    text = path.read_text()
    assert text == cvtbatch("manifest", "template", check=True).stdout
    again = cvtbatch("manifest", "template", "--out", path)
    assert (again.returncode, path.read_text()) == (1, text)
    assert "give --out another" in again.stderr
    assert (
        "there is no such file or folder" in cvtbatch("manifest", "template", "--out", tmp_path / "no" / "m.csv").stderr
    )


def test_its_document_keeps_to_its_contract() -> None:
    document = json.loads(cvtbatch("manifest", "template", "--json", check=True).stdout)
    assert contracts.problems_of(document, "commands/manifest.json") == []
    columns = {column["name"]: column for column in document["columns"]}
    assert list(columns) == list(contracts.manifest_fields())
    assert columns["cvt"] == {
        "name": "cvt",
        "meaning": contracts.manifest_fields()["cvt"].description,
        "required": False,
        "holds": "0 or 1",
        "default": None,
    }

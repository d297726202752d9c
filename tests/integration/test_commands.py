"""Commands as a user meets them: help, usage, synthetic archives."""

import csv
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cvtbatch.cli import cli
from tests.support.commands import cvtbatch


def test_help_names_every_command_and_shows_a_walk() -> None:
    text = cvtbatch("--help", check=True).stdout
    assert all(f"  {name} " in text for name in cli.commands)
    assert "cvtbatch extract archive/manifest.csv --store store" in text
    assert "not a medical device" in text


@pytest.mark.parametrize(
    "arguments",
    [
        ("extract",),
        ("extract", "m.csv"),
        ("nothing",),
        ("extract", "m.csv", "--store", "s", "--workers", "x"),
        ("extract", "m.csv", "--store", "s", "--workers", "1", "--scheduler", "tcp://127.0.0.1:1"),
        ("score", "--store", "s", "--bundle", "b", "--scheduler", "tcp://127.0.0.1:1", "--cluster", "c.yaml"),
    ],
)
def test_usage_errors_exit_with_2(arguments: tuple[str, ...]) -> None:
    result = cvtbatch(*arguments)
    assert (result.returncode, "Usage: " in result.stderr) == (2, True)


def test_commands_on_no_store_say_so(tmp_path: Path) -> None:
    for arguments in (
        ("status",),
        ("export", "cases", "--out", tmp_path / "x.csv"),
        ("picture", "A/1", "--out", tmp_path / "x.png"),
    ):
        result = cvtbatch(*arguments, "--store", tmp_path / "absent")
        assert (result.returncode, result.stderr) == (
            1,
            f"Error: there is no store at {tmp_path / 'absent'}; cvtbatch extract MANIFEST --store STORE makes one\n",
        )


def tree(folder: Path) -> dict[str, str]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_synth_is_deterministic_and_can_be_checked(tmp_path: Path) -> None:
    for name in ("a", "b"):
        cvtbatch("synth", tmp_path / name, "--cases", 5, "--centers", 2, "--seed", 3, check=True)
    assert tree(tmp_path / "a") == tree(tmp_path / "b")
    with (tmp_path / "a" / "manifest.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["center"] for row in rows] == ["C1", "C1", "C1", "C2", "C2"]
    assert {"etiology", "cvt", "epilepsy", "age", "sex"} <= set(rows[0])
    assert {Path(row["image"]).suffix for row in rows} <= {"", ".gz"}
    document = json.loads(cvtbatch("check", tmp_path / "a" / "manifest.csv", "--json", check=True).stdout)
    assert (document["readable"], document["problems"]) == (5, [])
    result = cvtbatch("synth", tmp_path / "a", "--cases", 1)
    assert (result.returncode, "is not empty; name a new folder" in result.stderr) == (1, True)


def test_plain_lines_stand_in_for_the_bar_without_a_terminal(tmp_path: Path) -> None:
    result = cvtbatch("synth", tmp_path / "a", "--cases", 2, check=True)
    assert "2/2 cases, 0 failed" in result.stderr
    assert result.stdout.strip().endswith("manifest.csv")


def test_a_defect_is_told_without_a_traceback(tmp_path: Path) -> None:
    code = (
        "import cvtbatch.pipelines.stores.status as s, cvtbatch.cli as c, sys\n"
        "def broken(url, **_): raise ZeroDivisionError('x' * 3)\n"
        "s.read_status = broken\n"
        "sys.argv = ['cvtbatch', 'status', '--store', 'x']\n"
        "c.main()\n"
    )
    environment = {**os.environ, "XDG_STATE_HOME": str(tmp_path)}
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    assert (result.returncode, "Traceback" in result.stderr) == (1, False)
    assert "ZeroDivisionError: a defect of cvtbatch" in result.stderr
    entry = json.loads((tmp_path / "cvtbatch" / "defects.jsonl").read_text())
    assert "ZeroDivisionError: xxx" in entry["private"]

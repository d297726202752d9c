"""Two minutes of torture, of a seed that stays: what it finds can be found again."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT

MINUTES, SEED = 2, 20


@pytest.mark.timeout(900)
def test_two_minutes_of_torture(tmp_path: Path) -> None:
    report = tmp_path / "report.md"
    command = [sys.executable, "-m", "tests.faults.torture", "--seed", str(SEED), "--report", str(report)]
    done = subprocess.run(
        [*command, "--minutes", str(MINUTES)], cwd=ROOT, capture_output=True, text=True, timeout=800, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "- 0 trials" not in report.read_text()
    assert "nothing lost, nothing double, nothing left behind" in report.read_text()

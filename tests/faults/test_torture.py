"""A sample of the torture, of a seed that stays: what it finds can be found again."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT

# A seed of seven faults of seven kinds, none of which is waited for long.
TRIALS, CASES, SEED = 2, 40, 229


@pytest.mark.timeout(900)
def test_a_trial_on_worker_processes_and_one_on_hosts(tmp_path: Path) -> None:
    report = tmp_path / "report.md"
    command = [sys.executable, "-m", "tests.faults.torture", "--seed", str(SEED), "--report", str(report)]
    done = subprocess.run(
        [*command, "--trials", str(TRIALS), "--cases", str(CASES)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=800,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    said = report.read_text()
    assert "- 2 trials of 40 cases: 1 on local worker processes, 1 on a scheduler" in said
    assert "nothing lost, nothing double, nothing left behind" in said
    assert int(re.findall(r"(\d+) faults", said)[0]) >= 7

"""The wheel stands alone: contracts, default jobs and stubs travel in it. `try_wheel.py` beside this file installs it."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

from cvtbatch import contracts
from tests.support.paths import ROOT


def test_wheel_carries_contracts_and_jobs_and_runs_outside_the_checkout(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    [wheel] = tmp_path.glob("*.whl")
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    inside = {path.relative_to(ROOT).as_posix() for name in ("schemas", "jobs") for path in (ROOT / name).rglob("*.*")}
    carried = {path.relative_to(site).as_posix() for path in site.rglob("*")}
    assert {f"cvtbatch/{name}" for name in inside} <= carried
    report = ROOT / "cvtbatch" / "validation" / "report"
    stubs = {path.relative_to(ROOT).as_posix() for path in (ROOT / "cvtbatch").rglob("*.pyi")}
    assert len(stubs) >= 3
    assert stubs <= carried
    pages = {path.relative_to(ROOT).as_posix() for path in (*report.glob("*.json"), *(report / "templates").iterdir())}
    assert len(pages) >= 7
    assert pages <= carried

    def run(*command: str) -> str:
        environment = {**os.environ, "PYTHONPATH": str(site)}
        result = subprocess.run(
            [sys.executable, "-P", *command], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
        )
        return result.stdout

    assert run("-c", "import cvtbatch; print(cvtbatch.__file__)").strip() == str(site / "cvtbatch" / "__init__.py")
    counted = run("-c", "from cvtbatch import contracts; print(len(contracts.feature_names()))")
    assert int(counted) == len(contracts.feature_names())


def test_the_lock_names_no_index() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    assert "://" not in lock
    assert "index-url" not in lock
    assert lock.count("--hash=sha256:") > 50

"""What local workers need on this machine."""

from pathlib import Path

import pytest

from cvtbatch.engine.processes import SCRATCH_LOCK, open_scratch


def test_scratch_of_a_killed_driver_is_removed_and_that_of_a_living_one_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    killed, foreign = tmp_path / "cvtbatch-killed", tmp_path / "cvtbatch-notes"
    for folder in (killed, foreign):
        (folder / "spilt").mkdir(parents=True)
    (killed / SCRATCH_LOCK).touch()
    with open_scratch() as first:
        assert sorted(tmp_path.iterdir()) == sorted([first, foreign])
        (first / "spilt").touch()
        with open_scratch() as second:
            assert (first / "spilt").exists()
            assert sorted(tmp_path.iterdir()) == sorted([first, second, foreign])
    assert list(tmp_path.iterdir()) == [foreign]

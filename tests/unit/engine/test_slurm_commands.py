"""Slurm's commands, played by scripts: what is read from what they print, and what they are not told."""

import asyncio
from pathlib import Path

import pytest

from cvtbatch.engine import slurm_commands
from cvtbatch.errors import ResourceError
from cvtbatch.pacs import credentials


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder where the commands are looked for first."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return folder


def play(folder: Path, name: str, lines: str) -> None:
    program = folder / name
    program.write_text(f"#!/bin/sh\n{lines}\n")
    program.chmod(0o755)


@pytest.mark.parametrize("printed", ["4711", "4711;cluster", "welcome to the site\\n4711"])
def test_a_job_is_submitted_without_secrets_and_its_id_read(
    programs: Path, monkeypatch: pytest.MonkeyPatch, printed: str
) -> None:
    for name in ("CVTBATCH_UID_KEY", credentials.TOKEN, credentials.USER, credentials.PASSWORD):
        monkeypatch.setenv(name, "a secret")
    monkeypatch.setenv(credentials.TOKEN_COMMAND, "pass show pacs")
    play(programs, "sbatch", f'cd "${{0%/*}}"; echo "$@" > arguments; cat > script; env > told; printf "{printed}\\n"')
    assert asyncio.run(slurm_commands.submit("#!/bin/sh\ntrue\n")) == "4711"
    assert (programs / "arguments").read_text() == "--parsable\n"
    assert (programs / "script").read_text() == "#!/bin/sh\ntrue\n"
    told = (programs / "told").read_text()
    assert "a secret" not in told
    assert f"{credentials.TOKEN_COMMAND}=pass show pacs" in told


def test_a_refusal_is_told_in_slurms_words(programs: Path) -> None:
    play(programs, "sbatch", "echo 'error: invalid partition' >&2; exit 1")
    with pytest.raises(ResourceError, match="sbatch failed") as raised:
        asyncio.run(slurm_commands.submit("script"))
    assert raised.value.private == "code 1: error: invalid partition"
    play(programs, "sbatch", "echo 'a wrapper that says nothing'")
    with pytest.raises(ResourceError, match="no id of a job"):
        asyncio.run(slurm_commands.submit("script"))


def test_states_are_read_by_id(programs: Path) -> None:
    play(programs, "squeue", "printf '12 RUNNING\\n13 OUT_OF_MEMORY\\n'")
    assert asyncio.run(slurm_commands.states("name")) == {"12": "RUNNING", "13": "OUT_OF_MEMORY"}


def test_a_machine_without_slurm_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ResourceError, match="scancel failed"):
        asyncio.run(slurm_commands.cancel("name"))

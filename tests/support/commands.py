"""Commands run as a user runs them, and what their documents say."""

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from unittest import mock

from click.testing import CliRunner

from cvtbatch import contracts
from cvtbatch.cli import cli, main


def without_embeddings(arguments: list[str]) -> list[str]:
    """Return the arguments of a command so that `extract` computes no embeddings, unless they name weights."""
    line = " ".join(arguments)
    if arguments[:1] != ["extract"] or "--set embedding.weights" in line or "--set embedding=" in line:
        return arguments
    return [*arguments, "--set", "embedding.weights=none"]


def inline(arguments: list[str]) -> list[str]:
    """Return the arguments of a command so that `check` starts no workers, unless they say how many."""
    if arguments[:1] != ["check"] or "--workers" in arguments:
        return arguments
    return [*arguments, "--workers", "0"]


def cvtbatch(
    *arguments: object, check: bool = False, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the command line to its exit; `extract` without embeddings and `check` without workers, unless they are asked for.

    It runs in this process, as `main` runs it, since a process of its own takes seconds to start.

    Args:
        environment: variables to add, for which it is a process of its own.
    """
    texts = inline(without_embeddings([str(argument) for argument in arguments]))
    if environment is None:
        result = _run_here(texts)
    else:
        command, variables = [sys.executable, "-m", "cvtbatch", *texts], {**os.environ, **environment}
        result = subprocess.run(command, capture_output=True, text=True, env=variables, timeout=220, check=False)
    if check and result.returncode != 0:
        raise AssertionError(f"exit code {result.returncode}\n{result.stdout}\n{result.stderr}")
    return result


def told(line: str, code: int) -> str:
    """Type a command line; return what is answered, in one line, once it is sure that it is no traceback."""
    found = cvtbatch(*line.split())
    text = found.stdout + found.stderr
    assert found.returncode == code, text
    assert "Traceback" not in text
    assert "defect of cvtbatch" not in text
    return " ".join(text.split())


def _run_here(arguments: list[str]) -> subprocess.CompletedProcess[str]:
    # With bytes below, as the real ones have: what is no text is written as bytes.
    stdout, stderr = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    code: object = 0
    try:
        with (
            mock.patch.object(sys, "argv", ["cvtbatch", *arguments]),
            contextlib.redirect_stdout(stdout),
            contextlib.redirect_stderr(stderr),
        ):
            main()
    except SystemExit as ended:
        code = ended.code
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    for stream in (stdout, stderr):
        stream.seek(0)
    return subprocess.CompletedProcess(arguments, int(str(code)), stdout.read(), stderr.read())


def extract_json(manifest: Path, store: Path | str, *arguments: object, code: int = 0) -> dict[str, object]:
    """Run `extract --json` in this process, check its exit code and its document against the contract, and return the document.

    Without embeddings, unless the arguments name weights.
    """
    command = ["extract", manifest, "--store", store, "--workers", 0, "--json", *arguments]
    result = CliRunner().invoke(cli, without_embeddings([str(argument) for argument in command]))
    assert result.exit_code == code, (result.stderr, result.exception)
    document = json.loads(result.stdout)
    assert contracts.problems_of(document, "commands/extract.json") == []
    total = document["computed"] + document["already_done"] + document["failed"]
    total += document["no_hemorrhage"] + document["awaiting_mask"]
    assert document["dry_run"] or total == document["cases"]
    return dict(document)


def extract_again(archive: Path, *arguments: object, code: int = 0) -> dict[str, object]:
    """Extract `archive` once more into the `store` beside it, and return the JSON document."""
    return extract_json(archive / "manifest.csv", archive.parent / "store", *arguments, code=code)


def appended(document: dict[str, object]) -> dict[str, int]:
    """Return the rows that a run appended, by table."""
    rows = document["rows"]
    assert isinstance(rows, dict)
    return {name: count for name, count in rows.items() if count}


def reasons(document: dict[str, object]) -> dict[str, int]:
    """Return the cases of a run's plan, by reason."""
    return {row["reason"]: row["cases"] for row in document["plan"]}  # type: ignore[attr-defined]

"""What a command does whose output nobody reads, by pipes that are closed."""

import os
import subprocess
import sys
from pathlib import Path

from cvtbatch import FeatureStore
from cvtbatch.cli.streams import UNREAD
from tests.support.archives import tiny_archive
from tests.support.paths import ROOT


def without_readers(arguments: list[str], *streams: str) -> subprocess.CompletedProcess[str]:
    """Run a command, some of whose streams nobody reads; the others are kept."""
    reader, writer = os.pipe()
    os.close(reader)
    kept = {name: writer if name in streams else subprocess.PIPE for name in ("stdout", "stderr")}
    command = [sys.executable, "-m", "cvtbatch", *arguments]
    try:
        return subprocess.run(command, **kept, text=True, cwd=ROOT, timeout=220, check=False)
    finally:
        os.close(writer)


def test_a_listing_that_nobody_reads_ends_without_a_word() -> None:
    ended = without_readers(["manifest", "template"], "stdout")
    assert (ended.returncode, ended.stderr) == (UNREAD, "")
    read = without_readers(["manifest", "template"], "stderr")
    assert (read.returncode, read.stdout.splitlines()[0].split(",")[0]) == (0, "center")


def test_a_terminal_that_is_gone_is_a_reader_that_is_gone() -> None:
    ours, theirs = os.openpty()
    os.close(ours)
    command = [sys.executable, "-m", "cvtbatch", "manifest", "template"]
    unread = subprocess.run(command, stdout=theirs, stderr=subprocess.PIPE, cwd=ROOT, timeout=60, check=False)
    assert (unread.returncode, unread.stderr) == (UNREAD, b"")
    told = [*command[:-2], "status", "--store", "absent"]
    silent = subprocess.run(told, stdout=subprocess.PIPE, stderr=theirs, cwd=ROOT, timeout=60, check=False)
    os.close(theirs)
    assert (silent.returncode, silent.stdout) == (1, b"")


def test_a_file_that_takes_no_more_is_said_and_is_no_success() -> None:
    command = [sys.executable, "-m", "cvtbatch", "manifest", "template"]
    with Path("/dev/full").open("wb") as full:
        ended = subprocess.run(
            command, stdout=full, stderr=subprocess.PIPE, text=True, cwd=ROOT, timeout=60, check=False
        )
    assert (ended.returncode, ended.stderr.count("\n")) == (1, 1)
    assert "what is printed cannot be written: the disk is full: make room" in ended.stderr


def test_a_folder_that_is_gone_is_said(tmp_path: Path) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    script = 'rmdir "$PWD" && exec "$0" -P -m cvtbatch manifest template'
    ended = subprocess.run(
        ["sh", "-c", script, sys.executable], capture_output=True, text=True, cwd=folder, check=False
    )
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (1, "", 1)
    assert "change to one that is there (cd)" in ended.stderr


def test_a_run_whose_terminal_is_gone_goes_on_to_its_end(tmp_path: Path) -> None:
    tiny_archive(tmp_path / "archive", 1)
    store = tmp_path / "store"
    extract = ["extract", str(tmp_path / "archive" / "manifest.csv"), "--store", str(store), "--workers", "0"]
    ended = without_readers([*extract, "--set", "embedding.weights=none"], "stdout", "stderr")
    assert ended.returncode == UNREAD
    assert FeatureStore(str(store)).runs()["state"].to_pylist() == ["completed"]
    assert FeatureStore(str(store)).failures().num_rows == 0


def test_a_scheduler_whose_terminal_is_gone_serves(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    command = [sys.executable, "-m", "cvtbatch", "scheduler", "--port", "0", "--dashboard", "127.0.0.1:0"]
    with subprocess.Popen(command, stdout=writer, stderr=subprocess.PIPE, text=True, cwd=tmp_path) as process:
        os.close(writer)
        os.close(reader)
        try:
            process.wait(4)
        except subprocess.TimeoutExpired:
            process.terminate()
        assert process.stderr is not None
        assert (process.stderr.read(), process.wait(30)) == ("", 0)

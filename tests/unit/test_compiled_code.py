"""Compiled code is kept for a user, a version and a processor, never out of date, and two processes at once take no other's."""

import ast
import errno
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn
from unittest import mock

import pytest

from cvtbatch import compiled_code
from tests.support.imports import MODULES, PACKAGE, parse
from tests.support.kernels import loops_of_a_case
from tests.support.paths import ROOT

KERNEL = """
import sys
from cvtbatch.compiled_code import compiled

@compiled
def inner(values):
    total = values[0] - values[0]
    for value in values:
        total += value
    return total

@compiled
def doubled(values):
    return inner(values) * 2
"""
CALL = """
import sys
sys.path.insert(0, sys.argv[1])
import numpy as np
from loop import doubled, inner
print("ready", flush=True)
sys.stdin.readline()
for name in sys.argv[2:]:
    print(doubled(np.full(3, 1.5).astype(name)), sum(inner.stats.cache_misses.values()))
"""


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "kept"))
    compiled_code.cache_folder.cache_clear()
    yield
    compiled_code.cache_folder.cache_clear()


def folder() -> Path:
    compiled_code.cache_folder.cache_clear()
    found = compiled_code.cache_folder()
    assert found is not None
    return found


def test_sources_are_the_modules_with_compiled_loops() -> None:
    decorated = [path for path in MODULES if re.search(r"^@compiled", path.read_text(encoding="utf-8"), re.MULTILINE)]
    assert sorted(path.relative_to(PACKAGE).as_posix() for path in decorated) == list(compiled_code.SOURCES)
    for path in set(MODULES) - {PACKAGE / "compiled_code.py"}:
        assert "njit" not in path.read_text(encoding="utf-8"), path


@pytest.mark.parametrize("source", compiled_code.SOURCES)
def test_loops_make_their_arrays_by_what_is_not_compiled_anew_for_each_type(source: str) -> None:
    dear = {f"np.{name}" for name in ("arange", "empty", "empty_like", "full", "ones", "zeros", "zeros_like")}
    functions = [node for node in ast.walk(parse(PACKAGE / source)) if isinstance(node, ast.FunctionDef)]
    for loop in (node for node in functions if any("compiled" in ast.unparse(by) for by in node.decorator_list)):
        called = {ast.unparse(node.func) for node in ast.walk(loop) if isinstance(node, ast.Call)}
        assert not called & dear, f"{loop.name}: see cvtbatch/compiled_arrays.py"


def test_the_folder_follows_version_sources_and_processor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = {folder().name}
    assert folder().parent == tmp_path / "kept"
    with monkeypatch.context() as changed:
        changed.setattr("cvtbatch.__version__", "99.1")
        assert folder().name.startswith("99.1-numba")
        names.add(folder().name)
    with monkeypatch.context() as changed:
        changed.setattr(compiled_code, "_processor", lambda: "another one")
        names.add(folder().name)
    with monkeypatch.context() as changed:
        changed.setenv("NUMBA_CPU_NAME", "haswell")
        names.add(folder().name)
    for source in (*compiled_code.SOURCES, *compiled_code._WRITTEN_INTO_LOOPS):
        (tmp_path / source).parent.mkdir(exist_ok=True)
        (tmp_path / source).write_bytes((PACKAGE / source).read_bytes())
    with monkeypatch.context() as changed:
        changed.setattr(compiled_code, "PACKAGE", tmp_path)
        assert folder().name in names
        (tmp_path / "radiomics" / "glcm.py").write_text("edited")
        names.add(folder().name)
    assert len(names) == 5


def test_nobody_else_may_put_code_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept").chmod(0o777)
    assert folder().is_relative_to(tmp_path / "cache" / "cvtbatch" / "compiled")
    assert folder().stat().st_mode & 0o777 == 0o700


def test_a_user_without_a_home_has_a_folder_in_the_temporary_one_or_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", "/proc/nowhere")
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/nowhere")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert folder().is_relative_to(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", "/proc/nowhere")
    compiled_code.cache_folder.cache_clear()
    assert compiled_code.cache_folder() is None
    assert compiled_code.is_cold()
    assert compiled_code.compiled(lambda value: value + 1)(1) == 2


def test_what_the_installation_carries_is_copied_where_the_user_has_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiled_code, "CARRIED", tmp_path / "carried")
    carried = tmp_path / "carried" / compiled_code._key() / "radiomics_1"
    carried.mkdir(parents=True)
    (carried / "loop.nbi").write_bytes(b"index")
    # Of whoever compiled: others may not even read them.
    (carried.parent / "locks" / "a loop").mkdir(parents=True)
    assert (folder() / "radiomics_1" / "loop.nbi").read_bytes() == b"index"
    assert not compiled_code.is_cold()
    assert not (folder() / "locks" / "a loop").exists()
    (folder() / "radiomics_1" / "loop.nbi").write_bytes(b"the user's own")
    assert (folder() / "radiomics_1" / "loop.nbi").read_bytes() == b"the user's own"
    assert [path.name for path in folder().parent.iterdir()] == [folder().name]


def test_processes_at_once_compile_a_loop_once_and_take_no_other_types_code(tmp_path: Path) -> None:
    (tmp_path / "loop.py").write_text(KERNEL)

    def call(*types: tuple[str, ...]) -> list[list[str]]:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "cwd": ROOT}
        runs = [subprocess.Popen([sys.executable, "-c", CALL, str(tmp_path), *names], **pipes) for names in types]
        for run in runs:
            assert run.stdout.readline() == "ready\n"
        for run in runs:
            run.stdin.write("go\n")
            run.stdin.flush()
        return [run.communicate()[0].splitlines() for run in runs]

    first, second = call(("float64", "int64"), ("float64", "int64"))
    assert [line.split()[0] for line in (*first, *second)] == ["9.0", "6", "9.0", "6"]
    # Each type is compiled by one of them.
    assert sum(int(lines[-1].split()[1]) for lines in (first, second)) == 2
    assert call(("float64", "int64")) == [["9.0 0", "6 0"]]


def one_more(value: float) -> float:
    return value + 1


def two_more(value: float) -> float:
    return value + 2


def test_a_listener_is_told_of_what_is_compiled_and_not_of_what_is_loaded(tmp_path: Path) -> None:
    told: list[int] = []
    folder()
    compiled_code.tell_compiled(lambda: told.append(compiled_code.kept_loops()))
    try:
        first, second = compiled_code.compiled(one_more), compiled_code.compiled(one_more)
        (folder() / "imaging_1").mkdir()
        (folder() / "imaging_1" / "loop.1.nbc").touch()
        assert (first(1.5), second(1.5), told) == (2.5, 2.5, [1])
        first(1)
        assert told == [1, 1]
    finally:
        compiled_code.tell_compiled(None)


def test_where_carried_code_cannot_be_copied_it_is_compiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled_code, "CARRIED", tmp_path / "carried")
    (tmp_path / "carried" / compiled_code._key() / "a folder").mkdir(parents=True)
    monkeypatch.setattr("shutil.copytree", mock.Mock(side_effect=PermissionError(errno.EACCES, "Permission denied")))
    assert folder().is_dir()
    assert compiled_code.is_cold()


def test_nothing_is_claimed_on_a_file_system_without_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fcntl.flock", mock.Mock(side_effect=OSError(errno.ENOSYS, "Function not implemented")))
    assert compiled_code.claim("part") is None
    assert compiled_code.compiled(one_more)(1.5) == 2.5


def test_a_process_that_was_forked_meanwhile_holds_up_nobody() -> None:
    loop = folder() / "locks" / "loop"
    with compiled_code._alone(loop):
        child = subprocess.Popen(["sleep", "60"], pass_fds=[int(path.name) for path in open_files(loop)])
    try:
        again = compiled_code.claim("loop")
        assert again is not None
        os.close(again)
    finally:
        child.kill()
        child.wait()


def open_files(path: Path) -> list[Path]:
    """Return the open files of this process that are one."""
    links = [(entry, entry.readlink()) for entry in Path("/proc/self/fd").iterdir() if entry.is_symlink()]
    found = [entry for entry, target in links if target == path]
    assert found
    return found


def test_damaged_code_is_compiled_anew(tmp_path: Path) -> None:
    assert compiled_code.compiled(one_more)(1.5) == 2.5
    for suffix in ("nbi", "nbc"):
        [kept] = folder().rglob(f"*.{suffix}")
        whole = kept.read_bytes()
        for remains in (b"", whole[: len(whole) // 2], b"of something else"):
            kept.write_bytes(remains)
            again: Any = compiled_code.compiled(one_more)
            assert (again(1.5), sum(again.stats.cache_misses.values())) == (2.5, 1)
        found: Any = compiled_code.compiled(one_more)
        assert (found(1.5), sum(found.stats.cache_misses.values())) == (2.5, 0)


def test_code_that_cannot_be_kept_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str | None] = []
    monkeypatch.setattr(compiled_code, "_not_kept", None)
    loop: Any = compiled_code.compiled(one_more)

    def full(path: str) -> NoReturn:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)

    monkeypatch.setattr(loop._cache._cache_file, "_open_for_write", full)
    compiled_code.tell_compiled(lambda: told.append(compiled_code.why_not_kept()))
    try:
        assert loop(1.5) == 2.5
    finally:
        compiled_code.tell_compiled(None)
    [why] = told
    assert why is not None
    assert why.startswith(str(folder()))
    assert why.endswith(": No space left on device")


def test_a_case_takes_as_many_loops_as_users_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The folder of a run of the whole suite.
    monkeypatch.undo()
    assert loops_of_a_case(tmp_path) == compiled_code.CASE_LOOPS


def test_a_loop_is_waited_for_by_who_calls_it_and_by_nobody_else(tmp_path: Path) -> None:
    told: list[int] = []
    first, second, other = (compiled_code.compiled(loop) for loop in (one_more, one_more, two_more))
    assert first(1.5) == 2.5
    others = compiled_code.claim(f"{__name__}.one_more")
    assert others is not None
    assert compiled_code.claim(f"{__name__}.one_more") is None
    results: list[float] = []
    waiting = threading.Thread(target=lambda: results.append(second(1.5)))
    compiled_code.tell_compiled(lambda: told.append(len(results)))
    try:
        waiting.start()
        run = [
            sys.executable,
            "-c",
            f"from {__name__} import two_more; from cvtbatch.compiled_code import compiled; compiled(two_more)(1.5)",
        ]
        subprocess.run(run, check=True, cwd=ROOT)
        assert (waiting.is_alive(), results, told) == (True, [], [])
    finally:
        os.close(others)
        waiting.join()
        compiled_code.tell_compiled(None)
    # What was waited for, is told; what is found, is not.
    assert (results, told) == ([2.5], [0])
    assert other(1.5) == 3.5

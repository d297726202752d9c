"""Blood by a program: a real child process, both forms of its line, and what programs do wrong."""

import os
import resource
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import nibabel
import numpy as np
import psutil
import pytest
from scipy.spatial.transform import Rotation

from cvtbatch.errors import InputError, ResourceError
from cvtbatch.geometry import Grid
from cvtbatch.ingest.nifti import read_nifti
from cvtbatch.outlining.child import TAIL_BYTES, run_child
from cvtbatch.outlining.command import CommandMethod, Volume, run_command
from tests.support.paths import ROOT
from tests.support.segmenter import ABOVE_HU

PROGRAM = ROOT / "tests" / "support" / "segmenter.py"
PARENT = ROOT / "tests" / "support" / "segmenter_parent.py"
UPRIGHT = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
# A head that lies askew, and slices from above.
OBLIQUE = tuple((Rotation.from_euler("xyz", [8, -5, 11], degrees=True).as_matrix() @ np.diag([1, -1, -1])).ravel())


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The machine's temporary folder, empty after each test, and no process left."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    assert list(folder.iterdir()) == []
    assert processes(folder) == []


def processes(folder: Path) -> list[psutil.Process]:
    """Return the processes that work in a folder, or did before it was removed."""

    def works_there(process: psutil.Process) -> bool:
        try:
            return process.status() != psutil.STATUS_ZOMBIE and process.cwd().startswith(str(folder))
        except psutil.Error:
            return False

    return [process for process in psutil.process_iter() if works_there(process)]


def volume(seed: int = 0, direction: tuple[float, ...] = OBLIQUE) -> Volume:
    hu = np.random.default_rng(seed).integers(-1024, 200, (9, 12, 10)).astype(np.int16)
    return hu, Grid((10, 12, 9), (0.5, 0.6, 5.0), (-101.25, -220.5, 33.0), direction)


def method(fault: str, form: str = "{image} {out}", labels: tuple[int, ...] = (), limit_s: float = 60) -> CommandMethod:
    return CommandMethod(f"{shlex.quote(sys.executable)} {PROGRAM} {fault} {form}", labels, "1", limit_s)


def failure(fault: str, **settings: float) -> InputError | ResourceError:
    [outcome] = run_command(method(fault, **settings), [volume()], read_nifti)
    assert isinstance(outcome, InputError | ResourceError)
    return outcome


FOLDERS = "{images} {outs}"


@pytest.mark.parametrize("direction", [UPRIGHT, OBLIQUE])
@pytest.mark.parametrize("fault", ["good", "float", "turned"])
def test_blood_is_where_the_program_says(fault: str, direction: tuple[float, ...]) -> None:
    given = volume(direction=direction)
    [found] = run_command(method(fault), [given], read_nifti)
    assert isinstance(found, np.ndarray)
    assert found.dtype == np.bool_
    np.testing.assert_array_equal(found, given[0] > ABOVE_HU)


def test_only_labels_that_are_asked_for_are_blood() -> None:
    hu, grid = volume()
    odd = (np.arange(10) % 2 == 1)[None, None, :]
    for labels, expected in {
        (): np.ones_like(odd),
        (3,): (hu > ABOVE_HU) & odd,
        (7, 3): hu > ABOVE_HU,
        (5,): np.zeros_like(odd),
    }.items():
        [found] = run_command(method("labels", labels=labels), [(hu, grid)], read_nifti)
        np.testing.assert_array_equal(found, np.broadcast_to(expected, hu.shape))


def test_no_blood_is_an_empty_mask() -> None:
    [found] = run_command(method("nothing"), [volume()], read_nifti)
    assert isinstance(found, np.ndarray)
    assert found.shape == (9, 12, 10)
    assert not found.any()


@pytest.mark.parametrize("fault", ["good", "monai"])
def test_a_line_of_folders_runs_once_for_all(fault: str, tmp_path: Path) -> None:
    counted = tmp_path / "runs"
    line = f'sh -c \'echo run >> {counted}; exec "$0" "$@"\' {sys.executable} {PROGRAM} {fault} {FOLDERS}'
    given = [volume(seed) for seed in range(3)]
    found = run_command(CommandMethod(line, (), "1", 60), given, read_nifti)
    for mask, (hu, _) in zip(found, given, strict=True):
        np.testing.assert_array_equal(mask, hu > ABOVE_HU)
    assert counted.read_text().split() == ["run"]


@pytest.mark.parametrize(
    ("fault", "kind"),
    [("silent", "no_label_map"), ("cut", "bad_label_map"), ("shifted", "label_map_off_grid"), ("crash", None)],
)
def test_a_bad_image_loses_no_other(fault: str, kind: str | None) -> None:
    given = [volume(seed) for seed in range(3)]
    found = run_command(method(fault, FOLDERS), given, read_nifti)
    # After a crash each runs alone, and is the first of its own batch.
    bad = {1} if kind else set()
    for number, (outcome, (hu, _)) in enumerate(zip(found, given, strict=True)):
        if number in bad:
            assert isinstance(outcome, InputError)
            assert outcome.kind == kind
        else:
            np.testing.assert_array_equal(outcome, hu > ABOVE_HU)


def test_a_line_of_folders_that_always_fails_fails_for_each() -> None:
    found = run_command(method("exit", FOLDERS), [volume(), volume(1)], read_nifti)
    assert [outcome.kind for outcome in found if isinstance(outcome, InputError)] == ["command_failed"] * 2


@pytest.mark.parametrize(
    ("fault", "kind", "told"),
    [
        ("exit", "command_failed", "exit code 3"),
        ("killed", "command_failed", "signal 9"),
        ("silent", "no_label_map", "left 0 label maps"),
        ("twice", "no_label_map", "left 2 label maps"),
        ("cut", "bad_label_map", "truncated or damaged"),
        ("probabilities", "bad_label_map", "value 0.7,"),
        ("negative", "bad_label_map", "value -1,"),
        ("nan", "bad_label_map", "value nan,"),
        ("shifted", "label_map_off_grid", "(10, 12, 9) voxels"),
        ("coarse", "label_map_off_grid", "(5, 6, 9) voxels"),
        ("huge", "label_map_off_grid", "far more"),
    ],
)
def test_what_a_program_does_wrong_has_its_kind(fault: str, kind: str, told: str) -> None:
    outcome = failure(fault)
    assert outcome.kind == kind
    assert told in outcome.message
    assert str(PROGRAM.parent) not in outcome.message


def test_its_last_words_are_private() -> None:
    outcome = failure("exit")
    assert "no licence" in outcome.private
    assert "no licence" not in outcome.message


@pytest.mark.parametrize("program", ["no-such-program", "/etc/passwd"])
def test_a_program_that_is_not_there(program: str) -> None:
    [outcome] = run_command(CommandMethod(f"{program} {{image}} {{out}}", (), "1", 60), [volume()], read_nifti)
    assert isinstance(outcome, ResourceError)
    assert outcome.kind == "no_command"
    assert program in outcome.private


@pytest.mark.parametrize("fault", ["sleep", "endless", "orphans-sleep"])
def test_a_program_is_ended_when_its_time_is_up(fault: str) -> None:
    begin = time.monotonic()
    assert failure(fault, limit_s=2).kind == "command_time_limit"
    assert time.monotonic() - begin < 20


def test_of_endless_words_the_end_is_kept(tmp_path: Path) -> None:
    ended = run_child([sys.executable, str(PROGRAM), "flood", str(tmp_path), str(tmp_path)], tmp_path, 60)
    assert ended.exit_code == 0
    assert len(ended.tail) == TAIL_BYTES
    assert ended.tail.endswith("xthe last word")


def test_what_it_leaves_behind_is_ended() -> None:
    hu, grid = volume()
    begin = time.monotonic()
    [found] = run_command(method("orphans"), [(hu, grid)], read_nifti)
    np.testing.assert_array_equal(found, hu > ABOVE_HU)
    assert time.monotonic() - begin < 20


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL, signal.SIGTERM])
def test_the_interrupt_or_death_of_the_worker_leaves_nothing(number: signal.Signals, scratch: Path) -> None:
    command = [sys.executable, "-m", "tests.support.segmenter_parent", str(PROGRAM), "orphans-sleep"]
    with subprocess.Popen(command, cwd=ROOT, env={**os.environ, "TMPDIR": str(scratch)}) as parent:
        # The guard, the program, and the two that it leaves.
        wait_for(lambda: len(processes(scratch)) >= 4)
        parent.send_signal(number)
    assert parent.returncode == -number
    wait_for(lambda: not processes(scratch) and not list(scratch.iterdir()))


def test_the_image_is_exact_and_tells_nothing(tmp_path: Path) -> None:
    hu, grid = volume()
    copy = tmp_path / "copy"
    line = f'sh -c \'cp -r "$1" {copy}; ls "$TMPDIR" > {tmp_path}/there; stat -c %a . >> {tmp_path}/there\' {FOLDERS}'
    run_command(CommandMethod(line.replace("' {images}", "' sh {images}"), (), "1", 60), [(hu, grid)], read_nifti)
    assert (tmp_path / "there").read_text().split() == ["images", "outs", "700"]
    [path] = copy.iterdir()
    assert path.name == "case_0001_0000.nii.gz"
    image = nibabel.load(path)
    np.testing.assert_array_equal(np.asarray(image.dataobj), hu.transpose(2, 1, 0))
    points = nibabel.affines.apply_affine(image.affine, [[0, 0, 0], [9, 11, 8]]) * [-1, -1, 1]
    np.testing.assert_allclose(points, grid.to_point(np.array([[0, 0, 0], [9, 11, 8]])), atol=1e-4)
    texts = ("descrip", "aux_file", "intent_name", "db_name", "data_type")
    assert {image.header[text].item() for text in texts} == {b""}
    assert len(image.header.extensions) == 0
    assert str(tmp_path).encode() not in path.read_bytes()


def test_a_sheared_volume_is_refused() -> None:
    hu, grid = volume()
    slanted = Grid(grid.size_xyz, grid.spacing_mm, grid.origin_mm, (1, 0, 0, 0, 0.96, 0.28, 0, 0, 1))
    [outcome] = run_command(method("good"), [(hu, slanted)], read_nifti)
    assert isinstance(outcome, InputError)
    assert outcome.kind == "bad_grid"


def test_a_full_disk_has_its_kind(scratch: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (600, hard))
    try:
        assert failure("good").kind == "no_scratch"
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    scratch.chmod(0o500)
    scratch.rmdir()
    assert failure("good").kind == "no_scratch"
    scratch.mkdir()


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("seg {image}", "lacks {out}"),
        ("seg -o={out}", "lacks {image}"),
        ("seg -i {images} -o x", "lacks {outs}"),
        ("seg {outs}", "lacks {images}"),
        ("seg {imgae} out", "has none of them"),
        ("", "has none of them"),
        ("seg {image} {out} {outs}", "has {image}, {out}, {outs}"),
        ("seg {image} {outs}", "has {image}, {outs}"),
        ("seg 'half {image} {out}", "No closing quotation"),
        ("{image} {out}", "begins with {image}"),
    ],
)
def test_a_line_without_its_places_is_refused(line: str, told: str) -> None:
    with pytest.raises(InputError, match=r"outline\.command\.line") as caught:
        CommandMethod(line, (), "1", 60)
    assert caught.value.kind == "bad_command"
    assert told in caught.value.message


@pytest.mark.parametrize(
    ("labels", "version", "limit_s", "told"),
    [
        ((0,), "1", 60, "labels"),
        ((), " ", 60, "version"),
        ((), "1", 0, "time_limit_s"),
        ((), "1", np.inf, "time_limit_s"),
    ],
)
def test_other_settings_are_checked(labels: tuple[int, ...], version: str, limit_s: float, told: str) -> None:
    with pytest.raises(InputError, match=rf"outline\.command\.{told}"):
        CommandMethod("seg {image} {out}", labels, version, limit_s)


def test_words_keep_quotes_and_braces_of_their_own() -> None:
    line = """seg --config '{"a b": 1}' --in={image} "$HOME;" {out}"""
    words = CommandMethod(line, (), "1", 60).words_for(Path("/x y/i.nii.gz"), Path("/o"))
    assert words == ["seg", "--config", '{"a b": 1}', "--in=/x y/i.nii.gz", "$HOME;", "/o"]

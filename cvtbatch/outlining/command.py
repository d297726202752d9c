"""Blood by any program that segments: a command line with NIfTI in and label maps out.

Each volume is written as `case_0001_0000.nii.gz`, with its geometry and nothing of the patient; `_0000` is nnU-Net's first channel.
A line with `{image}` and `{out}`, two files, runs once for each volume. A line with `{images}` and `{outs}`, two folders, runs
once for all volumes of a task, so that a program that takes long to load its weights loads them once; the label map of a volume is
the one NIfTI file at or below `{outs}` whose name begins with `case_0001`. If such a run fails as a whole, the program runs again
for each volume alone: a bad one loses no other.

All of it lies in a private folder, which is also the program's working and temporary folder, and is removed in the end.
"""

import math
import shlex
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from cvtbatch.errors import CvtbatchError, InputError, ResourceError
from cvtbatch.geometry import Grid
from cvtbatch.imaging.resampling import to_image
from cvtbatch.outlining import guard
from cvtbatch.outlining.child import run_child
from cvtbatch.outlining.label_maps import Mask, ReadNifti, read_blood

Volume = tuple[npt.NDArray[np.int16], Grid]  # HU (z, y, x)
Outcome = Mask | InputError | ResourceError

IMAGE, OUT, IMAGES, OUTS = "{image}", "{out}", "{images}", "{outs}"
# Fast: programs take seconds for an image.
_COMPRESSION_LEVEL = 1


@dataclass(frozen=True, slots=True)
class CommandMethod:
    """A program that segments.

    Attributes:
        line: program and arguments, in words as a shell's, though none runs it: no pipes, no variables. With `{image}` and `{out}`,
            or `{images}` and `{outs}`.
        labels: values of its label maps that are blood; none means every value above 0.
        version: of the program and its weights; another one makes other outlines.
        time_limit_s: for each volume.

    Raises:
        InputError: "bad_command".
    """

    line: str
    labels: tuple[int, ...]
    version: str
    time_limit_s: float

    def __post_init__(self) -> None:
        words = self._words()
        used = [name for name in (IMAGE, OUT, IMAGES, OUTS) if any(name in word for word in words)]
        if used not in ([IMAGE, OUT], [IMAGES, OUTS]):
            partner = {IMAGE: OUT, OUT: IMAGE, IMAGES: OUTS, OUTS: IMAGES}
            found = ", ".join(used) or "none of them"
            told = f"lacks {partner[found]}" if found in partner else f"has {found}"
            raise InputError(
                "bad_command",
                f"outline.command.line {told}: it takes {IMAGE} and {OUT}, or {IMAGES} and {OUTS} for all images of a task at once",
            )
        if any(name in words[0] for name in used):
            raise InputError("bad_command", f"outline.command.line begins with {words[0]}, and not with a program")
        if min(self.labels, default=1) < 1:
            raise InputError("bad_command", f"outline.command.labels are {list(self.labels)}; labels are above 0")
        if not self.version.strip():
            raise InputError(
                "bad_command", "outline.command.version is empty: write the versions of program and weights"
            )
        if not (math.isfinite(self.time_limit_s) and self.time_limit_s > 0):
            raise InputError("bad_command", f"outline.command.time_limit_s is {self.time_limit_s:g}; it is above 0")

    @property
    def takes_folders(self) -> bool:
        """Whether it runs once for several volumes."""
        return IMAGES in self.line

    def words_for(self, image: Path, out: Path) -> list[str]:
        """Return program and arguments for an image and its label map, or for the folders of both."""
        names = (IMAGES, OUTS) if self.takes_folders else (IMAGE, OUT)
        return [word.replace(names[0], str(image)).replace(names[1], str(out)) for word in self._words()]

    def _words(self) -> list[str]:
        try:
            return shlex.split(self.line)
        except ValueError as error:
            raise InputError("bad_command", f"outline.command.line cannot be taken apart into words: {error}") from None


def run_command(method: CommandMethod, volumes: Sequence[Volume], read: ReadNifti) -> list[Outcome]:
    """Have a program segment volumes, and return the blood of each, in order, or why it is not known.

    No blood is a mask without a voxel. However it ends, the program's processes and files are gone afterwards.

    Args:
        volumes: HU (z, y, x), each on a grid with right angles.
        read: reads NIfTI files (`cvtbatch.ingest.nifti.read_nifti`).

    Returns:
        Masks of their volumes' shapes; or errors, not raised: `bad_grid`, `no_scratch`, `no_command`, `command_failed`,
        `command_time_limit`, `no_label_map`, `bad_label_map`, `label_map_off_grid`. What the program wrote last is in their private
        text.
    """
    if method.takes_folders and len(volumes) > 1:
        with suppress(InputError, ResourceError):
            return _run_once(method, volumes, read)
    return [_run_alone(method, volume, read) for volume in volumes]


def _run_alone(method: CommandMethod, volume: Volume, read: ReadNifti) -> Outcome:
    try:
        return _run_once(method, [volume], read)[0]
    except (InputError, ResourceError) as error:
        return error


def _run_once(method: CommandMethod, volumes: Sequence[Volume], read: ReadNifti) -> list[Outcome]:
    with _private_folder() as folder:
        images, outs = folder / "images", folder / "outs"
        names = [f"case_{number:04d}" for number in range(1, len(volumes) + 1)]
        for name, (hu_zyx, grid) in zip(names, volumes, strict=True):
            _write_image(hu_zyx, grid, images / f"{name}_0000.nii.gz", read)
        if method.takes_folders:
            words = method.words_for(images, outs)
        else:
            words = method.words_for(images / f"{names[0]}_0000.nii.gz", outs / f"{names[0]}.nii.gz")
        tail = _run(words, folder, method.time_limit_s, len(volumes))
        return [
            _outcome(outs, name, grid, method.labels, read, tail)
            for name, (_, grid) in zip(names, volumes, strict=True)
        ]


@contextmanager
def _private_folder() -> Iterator[Path]:
    """Hold a folder of mode 0700 with the folders `images` and `outs`."""
    try:
        made = tempfile.TemporaryDirectory(prefix="cvtbatch-outline-", ignore_cleanup_errors=True)
        for name in ("images", "outs"):
            Path(made.name, name).mkdir()
    except OSError as error:
        raise _no_scratch(str(error)) from None
    with made:
        yield Path(made.name)


def _write_image(hu_zyx: npt.NDArray[np.int16], grid: Grid, path: Path, read: ReadNifti) -> None:
    """Write a volume, and see that it was: a full disk cuts files short, and programs read what they lack as 0."""
    if grid.is_sheared:
        raise InputError(
            "bad_grid", "the axes of a volume to outline are not at right angles, as segmenting programs need them"
        )
    try:
        sitk.WriteImage(to_image(hu_zyx, grid), str(path), useCompression=True, compressionLevel=_COMPRESSION_LEVEL)
        written, _ = read(path, lambda _: None)
    except (RuntimeError, CvtbatchError) as error:
        raise _no_scratch(str(error)) from None
    if not np.array_equal(sitk.GetArrayViewFromImage(written), hu_zyx):
        raise _no_scratch(str(path))


def _no_scratch(private: str) -> ResourceError:
    return ResourceError(
        "no_scratch",
        "the worker's folder for temporary files (TMPDIR) cannot be written: make room, and run again with --retry-failed",
        private,
    )


def _run(words: Sequence[str], folder: Path, limit_s: float, count: int) -> str:
    """Run a program on some images to its good end; return what it wrote last."""
    try:
        ended = run_child(words, folder, limit_s * count)
    except OSError as error:
        raise ResourceError(
            "no_command", "the worker cannot start another process: free memory or processes there", str(error)
        ) from None
    if ended.exit_code is None:
        raise ResourceError(
            "command_time_limit",
            f"the outlining command was ended after {limit_s:g} s an image: raise outline.command.time_limit_s",
            ended.tail,
        )
    if ended.exit_code in (guard.NOT_FOUND, guard.NOT_RUNNABLE):
        raise ResourceError(
            "no_command",
            "the outlining command's program is not on this worker, or cannot be run there: install it on every worker, and write "
            "its whole path in outline.command.line if PATH does not lead to it",
            ended.tail,
        )
    if ended.exit_code != 0:
        raise InputError(
            "command_failed",
            f"the outlining command {_how(ended.exit_code)}: what it wrote last is in the run's log; try its line by hand",
            ended.tail,
        )
    return ended.tail


def _how(exit_code: int) -> str:
    if exit_code > guard.KILLED_BY:
        return f"was killed by signal {exit_code - guard.KILLED_BY} (9 often for want of memory)"
    return f"ended with exit code {exit_code}"


def _outcome(outs: Path, name: str, grid: Grid, labels: Sequence[int], read: ReadNifti, tail: str) -> Outcome:
    """Return the blood in the one label map of an image, or what is wrong with it."""
    found = [path for path in outs.rglob(f"{name}*") if path.name.endswith((".nii", ".nii.gz")) and path.is_file()]
    if len(found) != 1:
        return InputError(
            "no_label_map",
            f"the outlining command ended well and left {len(found)} label maps of the image, and not one: its line must have it "
            f"written to {OUT}, or at or below {OUTS} under a name that begins with the image's",
            tail,
        )
    try:
        return read_blood(found[0], grid, labels, read)
    except InputError as error:
        return InputError(error.kind, error.message, "\n".join(text for text in (error.private, tail) if text))

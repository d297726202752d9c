"""Studies of image files (NIfTI, NRRD, MetaImage), of which a study has one, or several that tie."""

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from cvtbatch.errors import InputError
from cvtbatch.manifest.ties import TIE
from cvtbatch.pipelines.indexing.image_files import FoundFile, find_image_files
from cvtbatch.pipelines.indexing.path_pattern import PathPattern
from cvtbatch.pipelines.indexing.study_choice import CHOSEN, ChosenSeries, StudyChoice
from cvtbatch.pipelines.indexing.study_key import StudyKey


def choose_images(
    root: Path, files: Iterable[Path], pattern: PathPattern | None, center: str | None
) -> Iterator[StudyChoice]:
    """Yield the studies of image files.

    Args:
        files: that lie where no study of DICOM files does; beside one they are its exports or outlines.

    Raises:
        InputError: "no_center", nothing says which centre a file is of.
    """
    found: dict[StudyKey, list[FoundFile]] = {}
    for file in find_image_files(files, root, pattern):
        own = file.center or center
        if own is None:
            raise InputError(
                "no_center",
                "nothing says which centre the image files are of: give --center NAME, or a --pattern with {center} that fits them",
                str(file.path),
            )
        found.setdefault(StudyKey(own, file.patient_id, file.study_id), []).append(file)
    for key in sorted(found):
        yield _choice(root, key, found[key])


def _choice(root: Path, key: StudyKey, files: Sequence[FoundFile]) -> StudyChoice:
    usable = [file for file in files if not file.problem]
    # What dcm2niix has resampled it has also written as it was.
    usable = [file for file in usable if not file.variant] or usable
    listed = "; ".join(f"{number}) {file.facts}" for number, file in enumerate(files, start=1))
    place = os.path.relpath(files[0].path.parent, root)
    if not usable:
        return StudyChoice(key, "unreadable_file", files[0].problem, listed, (), place, "", _digest(files))
    why = (
        f"one of {len(usable)} images of its study"
        if len(usable) > 1
        else f"chosen of {len(files)} images of its study"
        if len(files) > 1
        else "the only image of its study"
    )
    series = tuple(ChosenSeries(os.path.relpath(file.path, root), "", "", f"{file.facts}; {why}") for file in usable)
    found = StudyChoice(key, TIE, "", listed, series, place, "", _digest(files))
    return found if len(series) > 1 else replace(found, state=CHOSEN)


def _digest(files: Sequence[FoundFile]) -> str:
    looks = [(file.path.name, file.path.stat()) for file in files]
    text = repr([(name, look.st_size, look.st_mtime_ns) for name, look in looks])
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:16]

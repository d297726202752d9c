"""Trees of NIfTI, NRRD and MetaImage files: which are images, and of whose study.

BIDS says both by name. Elsewhere a pattern of folders does; what it leaves open, the file itself is: an image is a study of its
own, but for what dcm2niix writes of it a second time. Masks are told by their names or their folders', and where those leave it
open, by the header.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath

from cvtbatch.errors import InputError, UnavailableError
from cvtbatch.ingest.image_files import image_format
from cvtbatch.ingest.image_headers import ImageHeader, read_image_header
from cvtbatch.pipelines.indexing.file_names import (
    bids_name,
    is_below_derivatives,
    is_mask_path,
    is_no_ct,
    says_image,
    variant_of,
    without_variant,
)
from cvtbatch.pipelines.indexing.path_pattern import PathIds, PathPattern


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file that may be the image of a study.

    Attributes:
        center: None where neither name nor pattern says it.
        patient_id: empty where nothing says whose it is.
        facts: sizes and spacings, to choose by.
        variant: "Tilt" or "Eq" where dcm2niix has resampled it, else empty.
        problem: why it can be no image of a study, as far as its header tells; else empty.
    """

    path: Path
    center: str | None
    patient_id: str
    study_id: str
    facts: str
    variant: str = ""
    problem: str = ""


def find_image_files(files: Iterable[Path], root: Path, pattern: PathPattern | None) -> Iterator[FoundFile]:
    """Yield the files that may be images; masks, other modalities and what was derived from images are passed over.

    Args:
        files: below `root`, in any order.
        pattern: what folders and names mean; a file that does not fit it is passed over. None: BIDS names, else nothing is known
            but the file.
    """
    for path in files:
        relative = path.relative_to(root)
        if image_format(path) is None or is_no_ct(path.name):
            continue
        if is_below_derivatives(relative) or is_mask_path(relative):
            continue
        ids = _ids(relative, pattern)
        if ids is None:
            continue
        facts, problem = "", ""
        try:
            header = read_image_header(path)
        except (InputError, UnavailableError) as error:
            facts = problem = error.message
        else:
            if header.is_label_map and not says_image(path.name):
                continue
            facts, problem = str(header), _problem(header)
        yield FoundFile(path, ids.center, ids.patient or "", ids.study or "", facts, variant_of(path.name), problem)


def _ids(relative: PurePath, pattern: PathPattern | None) -> PathIds | None:
    """Return whose a file is; the study never None."""
    own = (relative.parent / without_variant(relative.name)).as_posix()
    if pattern is not None:
        found = pattern.match(relative)
        if found is None:
            return None
        # A place may take in the end of the file's name.
        patient, study = (None if text is None else without_variant(text) for text in (found.patient, found.study))
        return PathIds(found.center, patient, study or own)
    bids = bids_name(relative.name)
    if bids is not None:
        return PathIds(None, bids.subject, bids.session or bids.subject)
    return PathIds(None, None, own)


def _problem(header: ImageHeader) -> str:
    if len(header.sizes) < 3 or min(header.sizes) < 1 or any(size > 1 for size in header.sizes[3:]):
        return f"is no volume: {' x '.join(map(str, header.sizes))} voxels"
    return ""

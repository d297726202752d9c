"""The check of a manifest's files: every image and mask is read and placed, nothing is extracted or stored."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from cvtbatch import engine
from cvtbatch.engine import Cluster, Done, NeedsMemory, require_memory
from cvtbatch.errors import CvtbatchError
from cvtbatch.geometry import stored_grid
from cvtbatch.imaging import place_mask, require_in_head, resample_stack
from cvtbatch.imaging.quality import measure_series
from cvtbatch.ingest import ImageSlices, read_mask, read_volume
from cvtbatch.manifest import Case
from cvtbatch.pipelines.shared.archive_images import case_at_hand
from cvtbatch.pipelines.shared.unfinished import why_undone
from cvtbatch.pipelines.shared.volume_flags import volume_flags

Document = dict[str, object]


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a file of a case; `private` may hold its path."""

    manifest_row: int
    case_key: str
    roi_key: str
    stage: str
    kind: str
    message: str
    private: str

    def to_document(self) -> Document:
        """Return what may be shared."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "private"}


@dataclass(frozen=True, slots=True)
class Image:
    """What was read of a case: which series, and why.

    Attributes:
        flags: what a reader should look at, as the table `volumes` has them.
    """

    manifest_row: int
    case_key: str
    choice: str
    flags: list[str]

    def to_document(self) -> Document:
        """Return what may be shared."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


@dataclass(frozen=True, slots=True)
class Findings:
    """What a check found: the images that can be read, and every problem, both in the manifest's order."""

    images: tuple[Image, ...]
    problems: tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class CaseCheck:
    """A case to read, and the spacing at which its masks must survive."""

    case: Case
    spacing_mm: tuple[float, float, float]


def check_files(
    cases: Iterable[Case],
    spacing_mm: tuple[float, float, float],
    cluster: Cluster,
    on_case: Callable[[int, int], None] = lambda *_: None,
) -> Findings:
    """Read every file of some cases and return what it is, and what is wrong.

    Args:
        on_case: called with the cases that are read, and how many of them have a problem.
    """
    done = failed = 0
    tasks = (CaseCheck(case, spacing_mm) for case in cases)
    images: list[Image] = []
    problems: list[Problem] = []
    for outcome in engine.run(cluster, check_case, tasks):
        case = outcome.item.case
        known = len(problems)
        if isinstance(outcome, Done):
            images.extend(outcome.result.images)
            problems.extend(outcome.result.problems)
        else:
            problems.append(_problem(why_undone(outcome, "this case"), case, "", case.manifest_row, "worker"))
        done, failed = done + 1, failed + (len(problems) > known)
        on_case(done, failed)
    return Findings(
        tuple(sorted(images, key=lambda image: image.manifest_row)),
        tuple(sorted(problems, key=lambda problem: (problem.manifest_row, problem.roi_key))),
    )


def check_case(task: CaseCheck) -> Findings:
    """Read a case's image and masks; return what they are, and what is wrong with them."""
    case = task.case
    rois = case.masked_rois()
    try:
        with case_at_hand(case) as here:
            source = read_volume(here, require_memory)
        flags = volume_flags(source, measure_series(source.hu_zyx, source.stack))
        image = Image(case.manifest_row, case.case_key, source.choice, flags)
        if not rois:
            stored_grid(source.stack, task.spacing_mm)
            return Findings((image,), ())
        hu_zyx, grid = resample_stack(source.hu_zyx, source.stack, task.spacing_mm)
    except NeedsMemory:
        raise
    except Exception as error:
        return Findings((), (_problem(error, case, "", case.manifest_row, "read"),))
    problems = []
    for roi in rois:
        try:
            mask = read_mask(roi, lambda: ImageSlices.of(source), require_memory)
            require_in_head(place_mask(mask.voxels_zyx, mask.place, grid), hu_zyx, grid)
        except NeedsMemory:
            raise
        except Exception as error:
            problems.append(_problem(error, case, roi.roi_key, roi.manifest_row, "mask"))
    return Findings((image,), tuple(problems))


def _problem(error: Exception, case: Case, roi_key: str, row: int, stage: str) -> Problem:
    if isinstance(error, CvtbatchError):
        return Problem(row, case.case_key, roi_key, stage, error.kind, error.message, error.private)
    return Problem(row, case.case_key, roi_key, stage, "internal_error", type(error).__name__, str(error))

"""The head CT of a study: by the rule of `ingest.series`, then held against what `extract` will take at the path in the manifest.

Pure. The rule is asked twice: of all CT images of the study, which are the candidates; and of the folder that is written down, as
`extract` asks it, whether it gives the very same slices.
"""

import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from cvtbatch.errors import InputError
from cvtbatch.geometry import Grid
from cvtbatch.ingest.header_grids import is_same_grid, stack_grid
from cvtbatch.ingest.listing import ListedFile, assemble
from cvtbatch.ingest.scanned_files import ScannedFile, unpack
from cvtbatch.ingest.series import Candidates, choose_stack, find_candidates
from cvtbatch.ingest.skipped_files import PassedOver, name_class
from cvtbatch.ingest.stack import Stack
from cvtbatch.manifest.ties import TIE
from cvtbatch.pipelines.indexing.folder_tree import FolderFacts, PackedFiles
from cvtbatch.pipelines.indexing.study_key import StudyKey

Prefer = Literal["thin", "thick"]
Kernel = Literal["soft", "sharp"]
CHOSEN = "chosen"
_LISTED_CANDIDATES = 12


@dataclass(frozen=True, slots=True)
class ChoiceOptions:
    """What decides where the rule does not."""

    prefer: Prefer | None = None
    kernel: Kernel | None = None

    @property
    def decides(self) -> bool:
        """Whether ties are to be decided."""
        return self.prefer is not None or self.kernel is not None


@dataclass(frozen=True, slots=True)
class StudyTask:
    """A study whose head CT is to be chosen.

    Attributes:
        own: its readable DICOM files.
        areas: folders in which they lie, each as far up as no other study lies below it.
        folders: all of these, with those below them.
    """

    root: str
    key: StudyKey
    own: tuple[PackedFiles, ...]
    areas: tuple[str, ...]
    folders: tuple[FolderFacts, ...]
    options: ChoiceOptions


@dataclass(frozen=True, slots=True)
class ChosenSeries:
    """A series as the manifest names it.

    Attributes:
        image: path below the root.
        series_uid: as the column has it; empty where the folder holds one series.
        own_uid: the series' UID in any case; private.
        reason: what it is and why it was chosen.
        grid: of its slices; None where they have none, or another series of the study has the same, so that it tells nothing.
    """

    image: str
    series_uid: str
    own_uid: str
    reason: str
    grid: Grid | None = None


@dataclass(frozen=True, slots=True)
class StudyChoice:
    """What became of a study.

    Attributes:
        state: `chosen`, `tie`, or the kind of failure that `extract` would give it.
        reason: where no series was chosen, why.
        candidates: every CT series of it, in words that may be shared.
        series: one where it is chosen, several where they tie.
        place: where it lies, below the root.
        time: of the study, as digits; empty where unknown.
        digest: hash of its files' names, sizes and times.
    """

    key: StudyKey
    state: str
    reason: str
    candidates: str
    series: tuple[ChosenSeries, ...]
    place: str
    time: str
    digest: str


class _NotTaken(Exception):
    """`extract` would not take the series at the path that can be written down.

    Args:
        state, reason: of the study.
    """

    def __init__(self, state: str, reason: str) -> None:
        super().__init__(state, reason)
        self.state, self.reason = state, reason


def choose_study(task: StudyTask) -> StudyChoice:
    """Choose the head CT of a study."""
    own = [(part.folder, file) for part in task.own for file in unpack(part.packed, part.prefix)]
    headers = [header for _, file in own for header in file.listed.headers]
    folders = sorted({folder for folder, file in own if file.listed.headers} or {folder for folder, _ in own})
    passed_over = PassedOver(
        Counter(name_class(file.listed.class_uid) for _, file in own if not file.listed.headers)
    ).told()
    found = StudyChoice(
        task.key, "", "", "", (), common_folder(folders), min(_times(own), default=""), _digest(task.root, own)
    )
    try:
        candidates = find_candidates(headers, None, passed_over)
        found = replace(found, candidates=_listed(candidates))
        candidates = decide(candidates, task.options)
        if len(candidates.left) == 1:
            reasons = [candidates.choice().reason]
        else:
            equal = f"one of {len(candidates.left)} equally good series"
            reasons = [f"{stack.facts()}; {equal}" for stack in candidates.left]
        series = tuple(
            replace(_taken(task, own, stack, why), grid=_own_grid(stack, candidates.everything))
            for stack, why in zip(candidates.left, reasons, strict=True)
        )
    except InputError as error:
        return replace(found, state=error.kind, reason=error.message)
    except _NotTaken as error:
        return replace(found, state=error.state, reason=error.reason)
    return replace(found, state=CHOSEN if len(series) == 1 else TIE, series=series)


def _own_grid(stack: Stack, everything: Sequence[Stack]) -> Grid | None:
    """Return the grid of a stack if no other one of the study has it."""
    grid = stack_grid(stack)
    others = (stack_grid(other) for other in everything if other is not stack)
    if grid is None or any(other is not None and is_same_grid(other, grid) for other in others):
        return None
    return grid


def _times(own: Iterable[tuple[str, ScannedFile]]) -> Iterator[str]:
    return (file.identity.study_time for _, file in own if file.listed.headers and file.identity.study_time)


def _digest(root: str, own: Iterable[tuple[str, ScannedFile]]) -> str:
    looks = sorted((os.fsencode(file.listed.name.removeprefix(root)), file.size, file.mtime_ns) for _, file in own)
    hasher = hashlib.sha256()
    for name, size, time in looks:
        hasher.update(b"%d %d %s\0" % (size, time, name))
    return hasher.hexdigest()[:16]


def _listed(candidates: Candidates) -> str:
    """Return what every stack is, in words that may be shared."""
    facts = [f"{number}) {stack.facts()}" for number, stack in enumerate(candidates.everything, start=1)]
    more = len(facts) - _LISTED_CANDIDATES
    return "; ".join([*facts[:_LISTED_CANDIDATES], *([f"{more} more"] if more > 0 else [])])


def decide(candidates: Candidates, options: ChoiceOptions) -> Candidates:
    """Return what is left when the user's preference was asked, of a tie alone: the kernel first, then the slices' distance."""
    left, reasons = list(candidates.left), list(candidates.reasons)
    if len(left) > 1 and options.kernel is not None:
        better = [stack for stack in left if stack.kernel_class == options.kernel]
        if 0 < len(better) < len(left):
            left, reasons = better, [*reasons, f"{options.kernel} kernel preferred"]
    if len(left) > 1 and options.prefer is not None:
        gaps = [_gap_mm(stack) for stack in left]
        best = min(gaps) if options.prefer == "thin" else max(gaps)
        better = [stack for stack, gap in zip(left, gaps, strict=True) if gap == best]
        if len(better) < len(left):
            left, reasons = better, [*reasons, f"{options.prefer} slices preferred"]
    return replace(candidates, left=tuple(left), reasons=tuple(reasons))


def _gap_mm(stack: Stack) -> float:
    """Return the typical distance of slices, rounded as people tell it."""
    gaps = np.diff(stack.depths_mm)
    return round(float(np.median(gaps)), 1) if len(gaps) else 0.0


def _taken(task: StudyTask, own: Sequence[tuple[str, ScannedFile]], stack: Stack, reason: str) -> ChosenSeries:
    """Return how the manifest names a stack.

    Raises:
        _NotTaken, InputError: `extract` would take another there, or none.
    """
    uid = stack.series_uid
    holding = [
        (folder, file.listed.name)
        for folder, file in own
        if any(header.series_uid == uid for header in file.listed.headers)
    ]
    image = _image(task, holding)
    there = [facts for facts in task.folders if _lies_in(facts.path, image.folder) and facts.is_archive == image.packed]
    alone = image.file is not None
    files = [
        file.listed
        for folder, file in own
        if _lies_in(folder, image.folder) and (not alone or file.listed.name == image.file)
    ]
    if not alone:
        files += _rest(there)
    series = Counter({uid: len(stack.slices)}) if alone else sum((Counter(facts.series) for facts in there), Counter())
    _require_own(series[uid], sum(header.series_uid == uid for file in files for header in file.headers))
    if not alone and any(facts.unavailable for facts in there):
        raise _NotTaken("source_unavailable", "files beside it cannot be read now: mend the disk, share or permission")
    named = uid if len(series) > 1 else ""
    listing = assemble(files, [] if alone else [note for facts in there for note in facts.notes])
    choice = choose_stack(listing.headers, named or None, listing.passed_over.told())
    listing.beside(choice.stack.series_uid)
    if {(header.file, header.frame) for header in choice.stack.slices} != {
        (header.file, header.frame) for header in stack.slices
    }:
        raise _NotTaken(
            "other_series", "its folder holds what would be taken in its place: give the series a folder of its own"
        )
    return ChosenSeries(image.path, named, uid, reason)


@dataclass(frozen=True, slots=True)
class _Image:
    """What the manifest names: a folder or a packed archive, or one file of it.

    Attributes:
        file: its whole path, where it is one.
    """

    path: str
    folder: str
    packed: bool = False
    file: str | None = None


def _image(task: StudyTask, holding: Sequence[tuple[str, str]]) -> _Image:
    folders = sorted({folder for folder, _ in holding})
    packed = {facts.path for facts in task.folders if facts.is_archive}
    if len(folders) == 1:
        [folder] = folders
        if folder in packed:
            return _Image(folder, folder, packed=True)
        if len(holding) == 1:
            [(_, file)] = holding
            return _Image(os.path.relpath(file, task.root), folder, file=file)
        return _Image(folder or ".", folder)
    common = common_folder(folders)
    if not packed.isdisjoint(folders) or not any(_lies_in(common, area) for area in task.areas):
        raise _NotTaken(
            "scattered_series",
            f"its slices lie in {len(folders)} folders between which other studies lie: move them into one",
        )
    return _Image(common or ".", common)


def _require_own(there: int, own: int) -> None:
    if there != own:
        raise _NotTaken(
            "shared_series",
            f"its SeriesInstanceUID is that of {there - own} slices of another study or patient in the same folder, too: which "
            "belong together cannot be told",
        )


def _rest(folders: Iterable[FolderFacts]) -> list[ListedFile]:
    return [file.listed for facts in folders for part in facts.rest for file in unpack(part.packed, part.prefix)]


def common_folder(folders: Sequence[str]) -> str:
    """Return the path below the root of the folder in which folders lie; empty for the root."""
    return os.path.commonpath(folders) if folders and all(folders) else ""


def _lies_in(path: str, folder: str) -> bool:
    return path == folder or not folder or path.startswith(f"{folder}/")

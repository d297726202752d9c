"""Which series of a source is the head CT: the rule, written down once.

Every CT image of the source belongs to a stack (`stack`). Left out are scout images, color images, derived ones that do not say
where they lie, and maps of other units than HU (`units`). Of the stacks the rule keeps, step by step, those that hold, as long as
some do and some do not:

1. `series_uid`, where the manifest names one;
2. axial: the normal of the slices lies within 35 degrees of the patient's long axis (gantries tilt by up to 30);
3. enough slices: at least 8, over at least 80 mm;
4. no hint at a contrast agent;
5. no hint that it was computed of several energies (`multi_energy`);
6. original before derived (ImageType);
7. a soft kernel before a sharp one, where the kernels of all that are left are known.

One stack left is the answer. Several are a tie, which is an error: slice thickness, for one, is the user's choice.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from cvtbatch.counts import counted
from cvtbatch.errors import InputError
from cvtbatch.geometry import SAME_POSITION_MM, WIDE_GAP, Vector
from cvtbatch.ingest.acquisition_passes import typical_gap
from cvtbatch.ingest.compression import describe_encoding
from cvtbatch.ingest.slice_header import SliceHeader
from cvtbatch.ingest.stack import Stack, split_series
from cvtbatch.ingest.tags import bare_uid
from cvtbatch.ingest.units import computed_names, known_unit, map_names

_PARALLEL = 0.999
_LISTED = 12
# A slice farther from others than this share of a gap is not between them, but beyond or in a hole.
_APART = 0.75


def _those(holds: Callable[[Stack], bool]) -> Callable[[list[Stack]], list[Stack]]:
    return lambda stacks: [stack for stack in stacks if holds(stack)]


def _with_soft_kernel(stacks: list[Stack]) -> list[Stack]:
    """Return the stacks with a soft kernel; none where a kernel is not known, which is no evidence."""
    classes = [stack.kernel_class for stack in stacks]
    return [] if None in classes else [stack for stack, name in zip(stacks, classes, strict=True) if name == "soft"]


_STEPS: tuple[tuple[str, Callable[[list[Stack]], list[Stack]]], ...] = (
    ("axial", _those(Stack.is_axial)),
    ("enough slices", _those(Stack.has_enough)),
    ("no hint at contrast", _those(lambda stack: not stack.contrast)),
    ("conventional", _those(lambda stack: not stack.multi_energy)),
    ("original", _those(lambda stack: not stack.slices[0].is_derived)),
    ("soft kernel", _with_soft_kernel),
)


@dataclass(frozen=True, slots=True)
class Choice:
    """The stack to read.

    Attributes:
        stacks: how many there were to choose from.
        reason: what it is and why it was chosen, in words that may be shared.
    """

    stack: Stack
    stacks: int
    reason: str


@dataclass(frozen=True, slots=True)
class Candidates:
    """What the rule leaves: one stack, or several that it does not tell apart.

    Attributes:
        left: one at least.
        everything: the stacks that there were to choose from.
        parts: of everything that the source holds, maps of other units too.
        reasons: the steps that told `left` from the others.
    """

    left: tuple[Stack, ...]
    everything: tuple[Stack, ...]
    parts: tuple[Stack, ...]
    reasons: tuple[str, ...]

    def choice(self) -> Choice:
        """Return the one stack that is left.

        Raises:
            InputError: there are several, another part of its series continues it, or a file of its series lacks its pixels.
        """
        named = {stack.series_uid for stack in self.left}
        derived = any(stack.slices[0].is_derived for stack in self.left)
        # A derived object beside original slices, which has no pixels, is none of them.
        own = [part for part in self.parts if part.series_uid in named and (derived or not part.slices[0].is_derived)]
        _require_pixels([header for part in own for header in part.slices])
        if len(self.left) > 1:
            raise _tie(self.left)
        [stack] = self.left
        _require_whole(stack, self.parts)
        by = f"chosen of {len(self.everything)} CT series by: {', '.join(self.reasons)}"
        return Choice(stack, len(self.everything), f"{stack.facts()}; {by if self.reasons else 'the only CT series'}")


def choose_stack(headers: Sequence[SliceHeader], series_uid: str | None, passed_over: str = "") -> Choice:
    """Choose the head CT among the CT images of a source.

    Args:
        passed_over: what else the source holds, as the rest of a sentence, in words that may be shared.

    Raises:
        InputError: there is none, none of the series that is named, or several that the rule does not tell apart.
    """
    return find_candidates(headers, series_uid, passed_over).choice()


def find_candidates(headers: Sequence[SliceHeader], series_uid: str | None, passed_over: str = "") -> Candidates:
    """Return what the rule leaves of the CT images of a source; takes and raises what `choose_stack` does, but for ties."""
    by_series: dict[str, list[SliceHeader]] = {}
    for header in headers:
        by_series.setdefault(header.series_uid, []).append(header)
    named = None if series_uid is None else bare_uid(series_uid)
    if named is not None and by_series and named not in by_series:
        raise InputError(
            "no_such_series",
            f"none of the {len(by_series)} CT series has the series_uid of the manifest",
            ", ".join(by_series),
        )
    parts = [stack for slices in by_series.values() for stack in split_series(slices)]
    stacks = [stack for stack in parts if stack.slices[0].is_hounsfield]
    left = _placed([stack for stack in stacks if named in {None, stack.series_uid}])
    if not left:
        maps = [stack for stack in parts if named in {None, stack.series_uid}]
        raise _no_series(maps, passed_over, scouts=bool(headers))
    everything = left if named is None else stacks
    reasons = ["named by series_uid"] if len(left) < len(everything) else []
    for name, keep in _STEPS:
        better = keep(left)
        if 0 < len(better) < len(left):
            left, reasons = better, [*reasons, name]
    return Candidates(tuple(left), tuple(everything), tuple(parts), tuple(reasons))


def _no_series(maps: Sequence[Stack], passed_over: str, *, scouts: bool) -> InputError:
    """Return why there is nothing to choose from."""
    slices = [header for stack in maps for header in stack.slices]
    if not slices:
        told = f"the source holds no CT image{' but scout images' if scouts else ''}{passed_over}"
        if re.search(r"not DICOM \(\.(gz|nii|nrrd|mha|mhd)\)", passed_over):
            told += "; an image in NIfTI, NRRD or MetaImage is named by its file, not by its folder"
        if re.search(r"not DICOM \(\.(zip|tar|tgz|bz2|xz)\)", passed_over):
            told += "; an archive is named by its file, not by its folder, and one in an archive has to be unpacked"
        return InputError("no_ct_series", told)
    return _not_hounsfield(
        slices,
        "maps of perfusion or material, and projections, are no CT; give the series that they were computed from",
    )


def _not_hounsfield(slices: Sequence[SliceHeader], consequence: str) -> InputError:
    names = {name for header in slices for name in [*map_names(header.image_type), *computed_names(header.image_type)]}
    units = {unit for header in slices if (unit := known_unit(header.rescale_type)) is not None}
    what = [f"ImageType {'/'.join(sorted(names))}"] * bool(names) + [f"unit {', '.join(sorted(units))}"] * bool(units)
    return InputError(
        "not_hounsfield",
        f"{len(slices)} CT images say that they hold other values than HU "
        f"({'; '.join(what) or 'by RescaleType or ImageType'}): {consequence}",
        ", ".join(sorted({f"RescaleType {header.rescale_type}, ImageType {header.image_type}" for header in slices})),
    )


def _placed(stacks: list[Stack]) -> list[Stack]:
    """Return the stacks that say where they lie, or all where none does.

    Raises:
        InputError: an original image does not, which the standard demands, and no other of its series does: it may be a damaged
            slice of another one.
    """
    placed = [stack for stack in stacks if len(stack.depths_mm)]
    known = {stack.series_uid for stack in placed}
    lost = [stack for stack in stacks if stack.is_lost() and stack.series_uid not in known]
    if placed and lost:
        raise _without_place(lost, "which series they belong to cannot be told")
    return placed or stacks


def _without_place(lost: Sequence[Stack], consequence: str) -> InputError:
    return InputError(
        "missing_geometry",
        f"{counted(sum(len(stack.slices) for stack in lost), 'CT image has', 'CT images have')} no usable ImagePositionPatient and "
        f"ImageOrientationPatient: {consequence}",
        ", ".join(header.file for stack in lost for header in stack.slices),
    )


def _tie(stacks: Sequence[Stack]) -> InputError:
    sizes = ", ".join(str(len(stack.slices)) for stack in stacks)
    shared = len({stack.series_uid for stack in stacks}) < len(stacks)
    facts = [stack.facts() + (stack.acquisitions() if shared else "") for stack in stacks[:_LISTED]]
    listed = "; ".join(f"{number}) {text}" for number, text in enumerate(facts, start=1))
    if not shared:
        way_out = "name one in the column series_uid"
    elif len({header.file for stack in stacks for header in stack.slices}) == 1:
        way_out = "they are frames of one file: have each stored as a series of its own"
    else:
        way_out = "some share one SeriesInstanceUID: give each a folder of its own"
    return InputError(
        "several_series",
        f"{len(stacks)} CT series ({sizes} images) are equally good by the rule: {listed}; {way_out}",
        ", ".join(f"{number}) {stack.series_uid}" for number, stack in enumerate(stacks, start=1)),
    )


def _require_whole(chosen: Stack, stacks: Iterable[Stack]) -> None:
    """Refuse a stack that another part of its series continues: slices of one volume that differ in a tag are no two volumes."""
    others = [other for other in stacks if other is not chosen and other.series_uid == chosen.series_uid]
    lost = [other for other in others if other.is_lost()]
    if lost:
        raise _without_place(lost, "where in the series they belong cannot be told")
    if chosen.normal is None or not len(chosen.depths_mm):
        return
    for other in others:
        if other.normal is None or not len(other.depths_mm):
            continue
        if float(np.dot(chosen.normal, other.normal)) <= _PARALLEL or not _is_part(other, chosen):
            continue
        completes = other.has_enough() or _completes(other.depths_mm, chosen.depths_mm)
        if completes and not other.slices[0].is_hounsfield:
            raise _not_hounsfield(
                other.slices, f"the other {len(chosen.slices)} of the series are not whole without them"
            )
        raise InputError(
            "mixed_series",
            f"{counted(len(other.slices), 'slice')} of the series, to continue or complete the other {len(chosen.slices):,}, "
            f"{_difference(chosen, other)}: which make the volume cannot be told. What is of another volume (a reformat, a second "
            "scan) has to be taken out of the source, or into a folder of its own; if nothing is, have the series sent anew",
            f"{chosen.series_uid}: {', '.join(sorted({header.file for header in other.slices})[:_LISTED])}",
        )


def _difference(chosen: Stack, part: Stack) -> str:
    """Return in what two stacks of one series differ, in words that may be shared."""
    one, other = chosen.slices[0], part.slices[0]
    values = {
        "StudyInstanceUID": (one.study_uid, other.study_uid),
        "FrameOfReferenceUID": (one.frame_of_reference_uid, other.frame_of_reference_uid),
        "StackID": (one.stack_id, other.stack_id),
        "ImageType, original or derived": (one.is_derived, other.is_derived),
        "unit (RescaleType, ImageType)": (one.is_hounsfield, other.is_hounsfield),
    }
    names = [name for name, (own, its) in values.items() if own != its]
    return f"with another {' and another '.join(names)}" if names else "overlapping them"


def _require_pixels(slices: Sequence[SliceHeader]) -> None:
    """Refuse a series of which a file ends before its pixels: what is left of its header may say another stack, or no place."""
    lacking = {header.file: header.pixels for header in slices if not header.pixels.present}
    if not lacking:
        return
    message = f"{counted(len(lacking), 'file')} of the series without pixel data: truncated or damaged"
    for pixels in lacking.values():
        if pixels.private_compression is not None:
            message = describe_encoding(pixels.transfer_syntax, pixels.private_compression)
    raise InputError("unreadable_pixels", message, ", ".join(lacking))


def _is_part(other: Stack, chosen: Stack) -> bool:
    """Say whether parallel slices may be what another stack of their series lacks.

    Enough for a head, they may be another volume, which has slices where the other has them: a part has few.
    """
    if not other.has_enough():
        return _completes(other.depths_mm, chosen.depths_mm) or _continues(other.depths_mm, chosen.depths_mm)
    gap = typical_gap(chosen.depths_mm)
    away_mm = _nearest_mm(other.depths_mm, chosen.depths_mm)
    return bool(np.median(away_mm) > _APART * gap and away_mm.min() <= WIDE_GAP * gap)


def _continues(depths_mm: Vector, chosen_mm: Vector) -> bool:
    """Say whether slices go on beyond others; those that repeat them may, by half a gap."""
    first, last = chosen_mm[[0, -1]]
    repeats = float(np.mean((depths_mm >= first) & (depths_mm <= last))) > 0.5
    slack = max(_mean_gap_mm(chosen_mm) / 2 if repeats else 0.0, SAME_POSITION_MM)
    return bool(depths_mm[0] < first - slack or depths_mm[-1] > last + slack)


def _completes(depths_mm: Vector, chosen_mm: Vector) -> bool:
    """Say whether slices lie where others have a hole or end: farther than neighbours lie from what is between them."""
    return bool(_nearest_mm(depths_mm, chosen_mm).max() > _APART * _mean_gap_mm(chosen_mm))


def _nearest_mm(depths_mm: Vector, chosen_mm: Vector) -> Vector:
    """Return how far each slice lies from the nearest of others."""
    nearest: Vector = np.abs(depths_mm[:, None] - chosen_mm).min(axis=1)
    return nearest


def _mean_gap_mm(depths_mm: Vector) -> float:
    return float(depths_mm[-1] - depths_mm[0]) / max(len(depths_mm) - 1, 1)

"""Which series of a source is the head CT: the rule, written down once.

Every CT image of the source belongs to a stack: its SeriesInstanceUID, and within that its FrameOfReferenceUID, its StackID in a
multi-frame object, whether it is derived, and whether its values may be HU. Of these a stack is what one pass over the patient made
(`passes`): acquisitions under one UID that interleave (contrast phases, a patient who moved and was scanned again, two kernels) are
stacks of their own; the rotations of a step-and-shoot scan, which lie beside one another, are one. Left out are scout images, color
images, derived ones that do not say where they lie, and maps of other units than HU (`units`).

What a stack says is what its slices agree on, whatever their order: an agent in any of them is a hint at contrast, and where
kernels or thicknesses differ none is named.

Of the stacks the rule keeps, step by step, those that hold, as long as some do and some do not:

1. `series_uid`, where the manifest names one;
2. axial: the normal of the slices lies within 35 degrees of the patient's long axis (gantries tilt by up to 30);
3. enough slices: at least 8, over at least 80 mm;
4. no hint at a contrast agent;
5. original before derived (ImageType);
6. a soft kernel before a sharp one, where the kernels of all that are left are known.

One stack left is the answer. Several are a tie, which is an error: slice thickness, for one, is the user's choice.
"""

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np

from cvtbatch.errors import InputError
from cvtbatch.geometry import SAME_POSITION_MM, Vector
from cvtbatch.ingest.headers import SliceHeader
from cvtbatch.ingest.kernels import KernelClass, kernel_class, known_kernel
from cvtbatch.ingest.passes import split_passes
from cvtbatch.ingest.tags import bare_uid
from cvtbatch.ingest.units import known_unit, map_names

_Value = TypeVar("_Value", bound=Hashable)
AXIAL_LIMIT_DEG = 35.0
SAME_THICKNESS_MM = 0.1
ENOUGH_SLICES, ENOUGH_DEPTH_MM = 8, 80.0
_PARALLEL = 0.999
_LISTED_TIES = 12


@dataclass(frozen=True)
class Stack:
    """Slices of one series that may build one volume.

    Attributes:
        left_out: slices that are not among them since they overlap those of another pass.
        interleaved: whether they are of evenly spaced passes that lie in the middle of one another's gaps.
    """

    slices: tuple[SliceHeader, ...]
    left_out: int = 0
    interleaved: bool = False

    @property
    def series_uid(self) -> str:
        """The series, which may have other stacks too."""
        return self.slices[0].series_uid

    @cached_property
    def normal(self) -> Vector | None:
        """Unit normal of the first slice that has an orientation."""
        return _normal(self.slices)

    @cached_property
    def depths_mm(self) -> Vector:
        """Sorted places along the normal; empty where geometry is absent."""
        if self.normal is None:
            return np.empty(0)
        return np.sort(
            [np.dot(header.position_mm, self.normal) for header in self.slices if header.position_mm is not None]
        )

    @property
    def extent_mm(self) -> float:
        """Distance of the first slice from the last."""
        return float(np.ptp(self.depths_mm)) if len(self.depths_mm) else 0.0

    @property
    def kernel(self) -> str | None:
        """The kernel of all slices, if it is known by the table."""
        return known_kernel(self.agreed(lambda header: header.kernel) or "")

    @property
    def kernel_class(self) -> KernelClass | None:
        """What the kernels of all slices are for; None where one is not known, or they differ in it."""
        classes = {kernel_class(name) for name in self._values(lambda header: header.kernel)}
        return classes.pop() if len(classes) == 1 else None

    @property
    def thickness_mm(self) -> float | None:
        """The thickness of all slices, which may differ by what is rounded."""
        values = self._values(lambda header: header.slice_thickness_mm)
        return float(np.median(list(values))) if values and max(values) - min(values) <= SAME_THICKNESS_MM else None

    @property
    def contrast(self) -> bool | None:
        """Whether any slice hints at a contrast agent; None where none says anything."""
        said = self._values(lambda header: header.contrast)
        return any(said) if said else None

    def agreed(self, value: Callable[[SliceHeader], _Value | None]) -> _Value | None:
        """Return the value of the slices that have one; None where they differ."""
        values = self._values(value)
        return values.pop() if len(values) == 1 else None

    def _values(self, value: Callable[[SliceHeader], _Value | None]) -> set[_Value]:
        return {found for header in self.slices if (found := value(header)) is not None}

    def is_axial(self) -> bool:
        """Say whether the normal is near the patient's long axis."""
        return self.normal is not None and float(abs(self.normal[2])) >= np.cos(np.radians(AXIAL_LIMIT_DEG))

    def has_enough(self) -> bool:
        """Say whether the slices are enough for a head."""
        return len(self.slices) >= ENOUGH_SLICES and self.extent_mm >= ENOUGH_DEPTH_MM

    def is_lost(self) -> bool:
        """Say whether original images lack the place that the standard demands."""
        return not len(self.depths_mm) and not self.slices[0].is_derived

    def facts(self) -> str:
        """Return what tells the stack from others, in words that may be shared."""
        gaps = np.diff(self.depths_mm)
        gap = f"{np.median(gaps):.4g} mm apart" if len(gaps) else "of unknown places"
        thicknesses = self._values(lambda header: header.slice_thickness_mm)
        kernels, tubes = self._values(lambda header: header.kernel), self._values(lambda header: header.kvp)
        parts = [f"{len(self.slices)} slices {gap}"]
        if self.thickness_mm is not None:
            parts += [f"{self.thickness_mm:.4g} mm thick"]
        elif thicknesses:
            parts += [f"{min(thicknesses):.4g} to {max(thicknesses):.4g} mm thick"]
        parts += [
            f"kernel {self.kernel}" if self.kernel else "kernels differ" if len(kernels) > 1 else "kernel unknown"
        ]
        parts += [f"{min(tubes):.4g} to {max(tubes):.4g} kV"] if len(tubes) > 1 else []
        parts += ["derived"] if self.slices[0].is_derived else []
        parts += ["contrast"] if self.contrast else []
        parts += ["passes interleaved"] if self.interleaved else []
        parts += [f"{self.left_out} left out where passes overlap"] if self.left_out else []
        return ", ".join(parts)

    def acquisitions(self) -> str:
        """Return the AcquisitionNumbers of the slices, by which files can be told apart; nothing where there are none."""
        numbers = [header.acquisition_number for header in self.slices if header.acquisition_number is not None]
        if not numbers:
            return ""
        low, high = min(numbers), max(numbers)
        return f", AcquisitionNumber {low}" if low == high else f", AcquisitionNumber {low} to {high}"


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


def choose_stack(headers: Sequence[SliceHeader], series_uid: str | None, passed_over: str = "") -> Choice:
    """Choose the head CT among the CT images of a source.

    Args:
        passed_over: what else the source holds, as the rest of a sentence, in words that may be shared.

    Raises:
        InputError: there is none, none of the series that is named, or several that the rule does not tell apart.
    """
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
    parts = [stack for slices in by_series.values() for stack in _stacks(slices)]
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
    if len(left) > 1:
        raise _tie(left)
    _require_whole(left[0], parts)
    why = f"chosen of {len(everything)} CT series by: {', '.join(reasons)}" if reasons else "the only CT series"
    return Choice(left[0], len(everything), f"{left[0].facts()}; {why}")


def _no_series(maps: Sequence[Stack], passed_over: str, *, scouts: bool) -> InputError:
    """Return why there is nothing to choose from."""
    slices = [header for stack in maps for header in stack.slices]
    if not slices:
        return InputError(
            "no_ct_series", f"the source holds no CT image{' but scout images' if scouts else ''}{passed_over}"
        )
    return _not_hounsfield(
        slices, "maps of perfusion or material are no CT; give the series that they were computed from"
    )


def _not_hounsfield(slices: Sequence[SliceHeader], consequence: str) -> InputError:
    names = {name for header in slices for name in map_names(header.image_type)}
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
        f"{sum(len(stack.slices) for stack in lost)} CT images have no usable ImagePositionPatient and "
        f"ImageOrientationPatient: {consequence}",
        ", ".join(header.file for stack in lost for header in stack.slices),
    )


def _stacks(series: Sequence[SliceHeader]) -> list[Stack]:
    """Split the slices of one SeriesInstanceUID into stacks; scout images, and colour ones among gray ones, are left out."""
    slices = [header for header in series if not header.is_localizer]
    slices = [header for header in slices if header.pixels.samples == 1] or slices
    # A slice that lacks its frame of reference stays with the others, unless they have several.
    several = len({header.frame_of_reference_uid for header in slices} - {None}) > 1
    parts = _grouped(
        slices,
        lambda header: (
            several and header.frame_of_reference_uid,
            header.stack_id,
            header.is_derived,
            header.is_hounsfield,
        ),
    )
    return [
        Stack(found.slices, found.left_out, found.interleaved)
        for part in parts
        for found in split_passes(part, _normal(part))
    ]


def _normal(slices: Sequence[SliceHeader]) -> Vector | None:
    cosines = next((header.orientation for header in slices if header.orientation is not None), None)
    normal = None if cosines is None else np.cross(cosines[:3], cosines[3:])
    length = 0.0 if normal is None else float(np.linalg.norm(normal))
    return None if normal is None or length < 0.5 else normal / length


def _grouped(slices: Sequence[SliceHeader], key: Callable[[SliceHeader], Hashable]) -> list[list[SliceHeader]]:
    groups: dict[Hashable, list[SliceHeader]] = {}
    for header in slices:
        groups.setdefault(key(header), []).append(header)
    return list(groups.values())


def _tie(stacks: Sequence[Stack]) -> InputError:
    sizes = ", ".join(str(len(stack.slices)) for stack in stacks)
    shared = len({stack.series_uid for stack in stacks}) < len(stacks)
    facts = [stack.facts() + (stack.acquisitions() if shared else "") for stack in stacks[:_LISTED_TIES]]
    listed = "; ".join(f"{number}) {text}" for number, text in enumerate(facts, start=1))
    way_out = (
        "some share one SeriesInstanceUID: give each a folder of its own"
        if shared
        else "name one in the column series_uid"
    )
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
        if other.has_enough() or not len(other.depths_mm):
            continue
        if other.normal is None or float(np.dot(chosen.normal, other.normal)) <= _PARALLEL:
            continue
        if not other.slices[0].is_hounsfield and _completes(other.depths_mm, chosen.depths_mm):
            raise _not_hounsfield(
                other.slices, f"the other {len(chosen.slices)} of the series are not whole without them"
            )
        if _continues(other.depths_mm, chosen.depths_mm):
            raise InputError(
                "mixed_series",
                f"{len(other.slices)} slices of the series continue the other {len(chosen.slices)}, but differ from them in "
                "FrameOfReferenceUID, StackID, ImageType or unit, or overlap them: which make the volume cannot be told",
                chosen.series_uid,
            )


def _continues(depths_mm: Vector, chosen_mm: Vector) -> bool:
    """Say whether slices go on beyond others; those that repeat them may, by half a gap."""
    first, last = chosen_mm[[0, -1]]
    repeats = float(np.mean((depths_mm >= first) & (depths_mm <= last))) > 0.5
    slack = max((last - first) / max(len(chosen_mm) - 1, 1) / 2 if repeats else 0.0, SAME_POSITION_MM)
    return bool(depths_mm[0] < first - slack or depths_mm[-1] > last + slack)


def _completes(depths_mm: Vector, chosen_mm: Vector) -> bool:
    """Say whether slices lie where others have a hole or end: farther than neighbours lie from what is between them."""
    gap = (chosen_mm[-1] - chosen_mm[0]) / max(len(chosen_mm) - 1, 1)
    return bool(np.abs(depths_mm[:, None] - chosen_mm).min(axis=1).max() > 0.75 * gap)

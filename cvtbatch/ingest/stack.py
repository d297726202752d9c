"""Stacks of CT slices: what of a series may build one volume.

A slice belongs to a stack by its SeriesInstanceUID, and within that by its StudyInstanceUID, which is another where an export gave
several patients one series, its FrameOfReferenceUID, its StackID in a multi-frame object, whether it is derived, and whether its
values may be HU. Of these a stack is what one pass over the patient made
(`acquisition_passes`): acquisitions under one UID that interleave (contrast phases, a patient who moved and was scanned again, two
kernels) are stacks of their own; the rotations of a step-and-shoot scan, which lie beside one another, are one.

What a stack says is what its slices agree on, whatever their order: an agent in any of them is a hint at contrast, and where
kernels or thicknesses differ none is named.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np

from cvtbatch.counts import counted
from cvtbatch.geometry import Vector
from cvtbatch.ingest.acquisition_passes import split_passes
from cvtbatch.ingest.kernels import KernelClass, kernel_class, known_kernel
from cvtbatch.ingest.slice_header import SliceHeader

_Value = TypeVar("_Value", bound=Hashable)
AXIAL_LIMIT_DEG = 35.0
SAME_THICKNESS_MM = 0.1
ENOUGH_SLICES, ENOUGH_DEPTH_MM = 8, 80.0


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

    @property
    def multi_energy(self) -> bool:
        """Whether any slice hints that it was computed of several energies."""
        return any(header.multi_energy for header in self.slices)

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
        parts = [f"{counted(len(self.slices), 'slice')} {gap}"]
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
        parts += ["multi-energy"] if self.multi_energy else []
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


def split_series(series: Sequence[SliceHeader]) -> list[Stack]:
    """Split the slices of one SeriesInstanceUID into stacks; scout images, and colour ones among gray ones, are left out."""
    slices = [header for header in series if not header.is_localizer]
    slices = [header for header in slices if header.pixels.samples == 1] or slices
    # A slice that lacks its study or its frame of reference stays with the others, unless they have several.
    # Where each slice has a study of its own, as by careless pseudonymisation, studies tell nothing; nor where they are copies.
    several_studies = 1 < len({header.study_uid for header in slices} - {None}) < len(slices) and not _are_copies(
        slices
    )
    several = len({header.frame_of_reference_uid for header in slices} - {None}) > 1
    parts = _grouped(
        slices,
        lambda header: (
            several_studies and header.study_uid,
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


def _are_copies(slices: Sequence[SliceHeader]) -> bool:
    """Say whether studies have instances in common, each at one place: one was merged into another, and both were kept."""
    instances = {header.instance_uid for header in slices}
    places = {(header.instance_uid, header.position_mm) for header in slices}
    studies = {(header.instance_uid, header.study_uid) for header in slices}
    return len(instances) == len(places) < len(studies)


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

"""Acquisitions that share one SeriesInstanceUID: which slices one pass over the patient made.

A tag that differs does not make two volumes: step-and-shoot scanners number and time each rotation, whose slices lie beside those
of the next. Geometry decides. Slices are taken in the order of the tag, and a pass goes on for as long as the table moves on.
Passes that lie beside one another are one volume. Passes of which one has slices where the other has some already are several: the
table went back, for another contrast phase or because the patient moved, and what lies between the slices of one is not between
the other's. The same holds for what has no order, as kernels: groups that lie beside one another are one volume.

Three things look like it and are none. Where a pass has a hole that another fills, they make one volume. So do odd and even slices
that were scanned in turn: evenly spaced passes of thin slices, of which one lies in the middle of the other's gaps; but a second
scan that was begun half a step away looks the same, so this is told, and kernels or contrast never make it. Where two passes go on
from one another and overlap by one slice, that slice is left out, and they are one volume. And where what each group holds is not
evenly spaced, the tag says nothing of passes.

Copies of one object, as of a folder that holds a series twice, go together whatever tags one of them lost.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from cvtbatch.geometry import SAME_POSITION_MM, Vector
from cvtbatch.ingest.slice_header import SliceHeader

Indices = npt.NDArray[np.intp]

# A gap wider than this many slices leaves room for others.
_HOLE = 1.75
# A thickness is believed where the typical gap, of all slices together, is not wider than this many of it.
_TOUCHING = 1.25
# Neighbouring gaps count as equal within this share, or what positions of one decimal are rounded by.
_EQUAL_SHARE, _EQUAL_MM = 0.05, 0.11
# Share of gaps that are equal to their neighbours, of which what a scanner made has more.
_EVEN_SHARE = 0.75
# More groups than this are no passes, and would take long to compare.
_MOST_GROUPS = 1000
# A group of so many slices or more has a gap of its own.
_TELLS_ITS_GAP = 4


@dataclass(frozen=True, slots=True)
class _Tag:
    """What may tell passes apart.

    Attributes:
        ordered: whether values grow as time does.
    """

    value: Callable[[SliceHeader], Hashable]
    ordered: bool = False


_TAGS = (
    _Tag(lambda header: header.kernel),
    _Tag(lambda header: header.acquisition_number, ordered=True),
    _Tag(lambda header: header.kvp),
    _Tag(lambda header: header.image_type),
    _Tag(lambda header: None if header.slice_thickness_mm is None else round(header.slice_thickness_mm, 1)),
    _Tag(lambda header: header.temporal_position, ordered=True),
    _Tag(lambda header: header.acquisition_datetime, ordered=True),
    _Tag(lambda header: header.acquisition_time, ordered=True),
    _Tag(lambda header: bool(header.contrast)),
)


@dataclass(frozen=True, slots=True)
class Pass:
    """Slices of one volume, in the order in which they were given.

    Attributes:
        left_out: how many were left out where passes overlap.
        interleaved: whether evenly spaced passes lie in the middle of one another's gaps.
    """

    slices: tuple[SliceHeader, ...]
    left_out: int = 0
    interleaved: bool = False


def split_passes(slices: Sequence[SliceHeader], normal: Vector | None) -> list[Pass]:
    """Return the slices of each volume that some parallel slices of one series make.

    Slices of which one does not say where it lies stay together.

    Args:
        normal: of the slices.
    """
    positions = [header.position_mm for header in slices]
    if normal is None or len(slices) < 2 or None in positions:
        return [Pass(tuple(slices))]
    copies = _copies(slices)
    # Of copies the one with the most values stands for all.
    objects = [max((slices[index] for index in found), key=_tags_told) for found in copies]
    places = _Places.of(objects, np.array([header.position_mm for header in objects]) @ normal)
    return [
        Pass(
            tuple(slices[index] for index in sorted(index for place in volume.indices for index in copies[place])),
            volume.left_out,
            volume.interleaved,
        )
        for volume in places.split(_Volume(np.arange(len(objects))), objects)
    ]


def _copies(slices: Sequence[SliceHeader]) -> list[list[int]]:
    """Return which slices are one object: of one SOPInstanceUID, where it stands for one place only."""
    by_object: dict[tuple[str, int], list[int]] = {}
    for index, header in enumerate(slices):
        by_object.setdefault((header.instance_uid, header.frame), []).append(index)
    copies: list[list[int]] = []
    for (uid, _), found in by_object.items():
        is_one = bool(uid) and bool(
            np.ptp([slices[index].position_mm or () for index in found], axis=0).max() < SAME_POSITION_MM
        )
        copies += [found] if is_one else [[index] for index in found]
    return copies


def _tags_told(header: SliceHeader) -> int:
    return sum(tag.value(header) is not None for tag in _TAGS)


class _Volume(NamedTuple):
    indices: Indices
    left_out: int = 0
    interleaved: bool = False


@dataclass(frozen=True, slots=True)
class _Places:
    """Where slices lie along their normal and how thick they are, mm.

    Attributes:
        thickness: NaN where a slice says none, or one that the gaps of all slices together do not bear out.
    """

    depths: Vector
    thickness: Vector

    @classmethod
    def of(cls, slices: Sequence[SliceHeader], depths: Vector) -> "_Places":
        said = np.array([header.slice_thickness_mm or np.nan for header in slices])
        return cls(depths, np.where(typical_gap(depths) <= _TOUCHING * said, said, np.nan))

    def split(self, whole: _Volume, slices: Sequence[SliceHeader]) -> list[_Volume]:
        """Return the volumes among some slices, told apart by one tag after another."""
        for tag in _TAGS:
            groups = self._groups(whole.indices, slices, tag)
            if len(groups) > _MOST_GROUPS:
                continue
            volumes = self._volumes(groups, whole.left_out, ordered=tag.ordered)
            if len(volumes) == 1:
                whole = volumes[0]._replace(interleaved=whole.interleaved or volumes[0].interleaved)
            elif self._are_scans(volumes):
                return [part for volume in volumes for part in self.split(volume, slices)]
        return [whole]

    def _groups(self, indices: Indices, slices: Sequence[SliceHeader], tag: _Tag) -> list[Indices]:
        """Return the slices of each value, joined while the table moves on if the tag is ordered, else from the lowest up."""
        by_value: dict[Hashable, list[int]] = {}
        for index in indices:
            by_value.setdefault(tag.value(slices[index]), []).append(index)
        if tag.ordered:
            values = sorted((value for value in by_value if value is not None), key=float)  # type: ignore[arg-type]
            return self._runs([np.array(by_value[value]) for value in [*values, *({None} & by_value.keys())]])
        return sorted(map(np.array, by_value.values()), key=lambda group: float(self.depths[group].min()))

    def _runs(self, groups: Sequence[Indices]) -> list[Indices]:
        """Join groups while each lies beyond the one before it, in one direction."""
        runs: list[Indices] = []
        way = 0
        for group in groups:
            step = 0 if not runs else self._direction(runs[-1], group)
            if step and way in {0, step}:
                runs[-1], way = np.concatenate([runs[-1], group]), step
            else:
                runs.append(group)
                way = 0
        return runs

    def _direction(self, one: Indices, other: Indices) -> int:
        """Return on which side of a group another lies as a whole: 1, -1, or 0 for neither."""
        if self.depths[other].min() - self.depths[one].max() >= SAME_POSITION_MM:
            return 1
        return -1 if self.depths[one].min() - self.depths[other].max() >= SAME_POSITION_MM else 0

    def _volumes(self, groups: Sequence[Indices], left_out: int, *, ordered: bool) -> list[_Volume]:
        """Join each group to the volume before it unless they interleave."""
        volumes = [_Volume(groups[0], left_out)]
        for group in groups[1:]:
            before = volumes[-1]
            meeting = self._meeting(before.indices, group)
            if meeting == "apart" or (meeting == "odd and even" and ordered):
                joined = np.concatenate([before.indices, group])
                volumes[-1] = _Volume(joined, before.left_out, before.interleaved or meeting == "odd and even")
            elif (without := self._joined(before.indices, group)) is not None:
                lost = len(before.indices) + len(group) - len(without)
                volumes[-1] = before._replace(indices=without, left_out=before.left_out + lost)
            else:
                volumes.append(_Volume(group, left_out))
        return volumes

    def _meeting(self, one: Indices, other: Indices) -> Literal["apart", "odd and even", "mixed"]:
        """Say how two groups lie.

        Returns:
            "mixed" where slices share places, or lie between neighbours of the other group that leave no room for them; "odd and
            even" where neighbours of an evenly spaced group leave it since slices are thin, and all lie in the middle.
        """
        both = np.concatenate([one, other])
        order = np.argsort(self.depths[both], kind="stable")
        of_other = (np.arange(len(both)) >= len(one))[order]
        depths, thickness = self.depths[both][order], self.thickness[both][order]
        if bool((np.diff(of_other) & (np.diff(depths) < SAME_POSITION_MM)).any()):
            return "mixed"
        larger = max(one, other, key=len)
        found: Literal["apart", "odd and even"] = "apart"
        for own in (np.flatnonzero(~of_other), np.flatnonzero(of_other)):
            gap = typical_gap(depths[own] if len(own) >= _TELLS_ITS_GAP else self.depths[larger])
            reach = np.fmin(np.fmax(thickness[own][:-1], thickness[own][1:]), gap)
            gaps, filled = np.diff(depths[own]), np.diff(own) > 1
            if bool((filled & (gaps <= _HOLE * reach)).any()):
                return "mixed"
            steps = filled & (gaps <= _HOLE * gap)
            if not steps.any() or not self._is_even_scan(both[order][own]):
                continue
            off = np.abs(depths[own[:-1] + 1] - (depths[own[:-1]] + depths[own[1:]]) / 2)
            if bool((steps & ((np.diff(own) > 2) | (off > np.maximum(_EQUAL_SHARE * gaps, _EQUAL_MM)))).any()):
                return "mixed"
            found = "odd and even"
        return found

    def _joined(self, one: Indices, other: Indices) -> Indices | None:
        """Return two groups as one if they go on from one another and overlap by one slice, without it; else None."""
        if min(len(one), len(other)) < _TELLS_ITS_GAP:
            return None
        low, high = sorted((one, other), key=lambda group: float(self.depths[group].min()))
        first, last = self.depths[high].min() - SAME_POSITION_MM, self.depths[low].max() + SAME_POSITION_MM
        if self.depths[low].min() >= first or self.depths[high].max() <= last:
            return None
        shared = (high[self.depths[high] <= last], low[self.depths[low] >= first])
        # The fewer are left out; of as many those of thicker slices, or the upper.
        spare = min(shared, key=lambda group: (len(group), -np.nan_to_num(self.thickness[group]).max()))
        return None if len(_gaps(self.depths[spare])) else np.setdiff1d(np.concatenate([low, high]), spare)

    def _are_scans(self, volumes: Sequence[_Volume]) -> bool:
        """Say whether gaps are equal to their neighbours: of all volumes, and of each by itself that leaves room between slices."""
        for indices in (volume.indices for volume in volumes):
            order = indices[np.argsort(self.depths[indices])]
            reach = np.fmax(self.thickness[order][:-1], self.thickness[order][1:])
            has_room = len(reach) and np.median(np.diff(self.depths[order]) / reach) > _HOLE
            if has_room and not self._is_even_scan(order):
                return False
        return _is_even([self.depths[volume.indices] for volume in volumes])

    def _is_even_scan(self, indices: Indices) -> bool:
        return len(indices) >= _TELLS_ITS_GAP and _is_even([self.depths[indices]])


def _is_even(scans: Sequence[Vector]) -> bool:
    """Say whether most gaps of some scans are equal to their neighbours."""
    every = [_gaps(depths) for depths in scans]
    equal = [np.abs(np.diff(gaps)) <= np.maximum(_EQUAL_SHARE * gaps[1:], _EQUAL_MM) for gaps in every]
    judged = np.concatenate(equal)
    return not len(judged) or float(judged.mean()) >= _EVEN_SHARE


def _gaps(depths: Vector) -> Vector:
    """Return the distances between neighbouring places."""
    gaps = np.diff(np.sort(depths))
    return gaps[gaps >= SAME_POSITION_MM]


def typical_gap(depths: Vector) -> float:
    """Return the median distance of neighbouring places; infinite where there is one place alone."""
    gaps = _gaps(depths)
    return float(np.median(gaps)) if len(gaps) else np.inf

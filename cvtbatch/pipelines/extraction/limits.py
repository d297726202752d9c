"""What a case may take: how long, and how much memory its features need."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from cvtbatch.geometry import Grid
from cvtbatch.pipelines.extraction.case_plan import CaseTask
from cvtbatch.radiomics import Engine, FeatureSet

# A worker asks for the memory of features, and takes nothing of these.
if TYPE_CHECKING:
    from cvtbatch.pipelines.extraction.embedding_worker import EmbeddingTask
    from cvtbatch.pipelines.extraction.outline_result import OutlineTask
    from cvtbatch.pipelines.extraction.region_plan import RegionTask
    from cvtbatch.pipelines.shared.job import MethodName

# A limit finds what never ends; it must not hit a disk that is slow and alive. A case takes a second or two; a disk that gives
# 0.2 MB a second, and a machine that is busy with a hundred other things, stay below this.
CASE_SECONDS = 600.0
OUTLINE_SECONDS = 120.0
SECONDS_PER_MB = 5.0
SLICE_SECONDS = 10.0
# Three networks take a head in half a minute; some processors take sixteen times as long over denormal numbers.
HEAD_SECONDS = 900.0
# Measured above the loaded volume: 22, 43 and 87 MB for outlines of 10, 30 and 90 ml, stock 160, 210 and 412.
FEATURE_BYTES = {"fast": 30_000_000, "pyradiomics": 150_000_000}
# Measured: a head of 512 x 512 x 36 voxels takes 270 MB while outlined by threshold, 1.8 GB by three networks; further ones of
# a task wait with their voxels and their inside.
OUTLINE_BYTES: "Mapping[MethodName, int]" = {
    "none": 0,
    "blast-ct": 1_600_000_000,
    "threshold": 50_000_000,
    "command": 50_000_000,
}
OUTLINE_BYTES_PER_VOXEL, WAITING_BYTES_PER_VOXEL = 28, 4
FEATURE_BYTES_PER_VOXEL = {"fast": 1_500, "pyradiomics": 5_000}
# Measured for each voxel of the volume where a set filters the whole of it: 15 to 27 bytes, stock 35 to 168.
WHOLE_BYTES_PER_VOXEL = {"fast": 30, "pyradiomics": 200}
# Measured for each voxel of a source, beside what is decoded: 4 to 7, and 13 where a set interpolates otherwise than by B-splines.
IMAGE_BYTES_PER_VOXEL = 16

# What describes an outline goes through the volume at most a few times. Measured of locations: 16 bytes a voxel.
DESCRIPTION_BYTES_PER_VOXEL = 32


def case_limit_s(task: CaseTask, stated_s: float | None) -> float:
    """Return how long a case may take, in seconds: as the job says, or by its size."""
    if stated_s is not None:
        return stated_s
    outlines_s = OUTLINE_SECONDS * len(task.rois) * len(task.work.values)
    return CASE_SECONDS + outlines_s + SECONDS_PER_MB * task.source_bytes / 1e6


def region_limit_s(task: "RegionTask", stated_s: float | None) -> float:
    """Return how long the regions of a case may take, their features included, in seconds."""
    if stated_s is not None:
        return stated_s
    return CASE_SECONDS + OUTLINE_SECONDS * len(task.regions()) * len(task.work.features)


def embedding_limit_s(task: "EmbeddingTask", stated_s: float | None) -> float:
    """Return how long the outlines of a task may take to embed, in seconds."""
    if stated_s is not None:
        return stated_s * len(task.rois)
    return CASE_SECONDS + SLICE_SECONDS * sum(roi.slices * len(roi.parts) for roi in task.rois)


def outline_limit_s(task: "OutlineTask", stated_s: float | None) -> float:
    """Return how long the volumes of a task may take to outline, their features included, in seconds."""
    if stated_s is not None:
        return stated_s * len(task.volumes)
    settings = task.work.settings
    # A program that fails over some images together runs again over each.
    each_s = 2 * settings.command.time_limit_s if settings.method == "command" else HEAD_SECONDS
    features_s = OUTLINE_SECONDS * settings.parts * len(task.work.features.values)
    return CASE_SECONDS + (each_s + features_s) * len(task.volumes)


def outline_bytes(task: "OutlineTask") -> int:
    """Return what the volumes of a task take while they are outlined."""
    voxels = [math.prod(volume.grid.size_xyz) for volume in task.volumes]
    own = OUTLINE_BYTES_PER_VOXEL * max(voxels) + WAITING_BYTES_PER_VOXEL * sum(voxels)
    return OUTLINE_BYTES[task.work.settings.method] + own


def region_bytes(grid: Grid) -> int:
    """Return what the volume of a case takes while regions of its outlines are derived, the inside of its skull among them."""
    return OUTLINE_BYTES["threshold"] + OUTLINE_BYTES_PER_VOXEL * math.prod(grid.size_xyz)


def whole_volume_bytes(grid: Grid, feature_set: FeatureSet, engine: Engine) -> int:
    """Return what a set takes beside that because it filters the whole volume; nothing where it crops to the outline first."""
    preparation = feature_set.preparation
    if feature_set.is_pyradiomics and (preparation.pre_crop or preparation.resampled):
        return 0
    return WHOLE_BYTES_PER_VOXEL[engine] * math.prod(grid.size_xyz)


def description_bytes(grid: Grid) -> int:
    """Return what the values that describe an outline take beside its volume while they are computed."""
    return DESCRIPTION_BYTES_PER_VOXEL * math.prod(grid.size_xyz)


def image_bytes(grid: Grid) -> int:
    """Return what image and mask of a source take as they are handed to the engine."""
    return IMAGE_BYTES_PER_VOXEL * math.prod(grid.size_xyz)


def feature_bytes(voxels: int, engine: Engine) -> int:
    """Return what an outline of so many voxels takes beside its volume while its features are computed."""
    return FEATURE_BYTES[engine] + FEATURE_BYTES_PER_VOXEL[engine] * voxels

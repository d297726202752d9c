"""Whether a placed mask can be the outline of a hematoma: where it must be refused, and what a reader should look at.

Thresholds are limits of plausibility, not of diagnosis: a flag asks for a look, and no value is changed by it.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from cvtbatch.errors import InputError
from cvtbatch.geometry import AIR_HU, Grid, voxels_of
from cvtbatch.imaging.parts import connected_parts

# Above it is tissue: between air and fat.
TISSUE_HU = -300
# The head is looked for at about this distance of samples in a plane.
HEAD_STEP_MM = 2.0
# Share of a mask's voxels that must lie in the head.
IN_HEAD_SHARE = 0.5
# Smaller masks are flagged: a ball of 10 mm.
TINY_ML = 0.5
# More connected parts than this are flagged: a hematoma has one, sometimes a few.
COMPONENTS_LIMIT = 5
# Medians outside are flagged. Whole blood has about 55 HU at a hematocrit of 45 %, in proportion to it, and clot up to 90 (New and
# Aronow, Radiology 1976;121:635-640); 40 leaves room for anemia and partial volume, 100 lies where calcium begins.
BLOOD_HU = (40.0, 100.0)
# Relative difference of the volume as stored from the volume as drawn beyond which it is flagged.
VOLUME_TOLERANCE = 0.03

Mask = npt.NDArray[np.uint8]
Volume = npt.NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class MaskTriage:
    """What a placed mask measures.

    Attributes:
        components: connected parts, corners included (26 neighbours).
        hu_p05, hu_p50, hu_p95: percentiles of the stored HU in the mask.
        flags: "tiny", "many_components", "implausible_hu", "border_contact", "volume_changed".
    """

    components: int
    hu_p05: float
    hu_p50: float
    hu_p95: float
    flags: tuple[str, ...]


def triage_mask(mask_zyx: Mask, hu_zyx: Volume, grid: Grid, source_volume_ml: float) -> MaskTriage:
    """Measure a placed mask, never empty, and flag what is implausible of a hematoma.

    Args:
        source_volume_ml: volume of the mask as drawn.
    """
    voxels = voxels_of(mask_zyx)
    box = tuple(slice(int(index.min()), int(index.max()) + 1) for index in voxels)
    volume_ml = len(voxels[0]) * grid.voxel_ml
    components = _count_components(mask_zyx[box])
    p05, p50, p95 = (float(value) for value in np.percentile(hu_zyx[voxels], [5, 50, 95]))
    raised = {
        "tiny": volume_ml < TINY_ML,
        "many_components": components > COMPONENTS_LIMIT,
        "implausible_hu": not BLOOD_HU[0] <= p50 <= BLOOD_HU[1],
        "border_contact": touches_border(box, hu_zyx),
        "volume_changed": abs(volume_ml - source_volume_ml) > VOLUME_TOLERANCE * source_volume_ml,
    }
    return MaskTriage(components, p05, p50, p95, tuple(name for name, is_raised in raised.items() if is_raised))


def _count_components(mask_zyx: Mask) -> int:
    """Return how many parts a mask has, corners included."""
    components = sitk.ConnectedComponentImageFilter()
    components.FullyConnectedOn()
    components.Execute(sitk.GetImageFromArray((mask_zyx != 0).astype(np.uint8)))
    return int(components.GetObjectCount())


def touches_border(box: tuple[slice, ...], hu_zyx: Volume) -> bool:
    """Say whether the box of a mask reaches the box of what was scanned: all that is not filled with air."""
    for axis, part in enumerate(box):
        planes = np.moveaxis(hu_zyx, axis, 0)
        for beyond in (planes[: part.start][::-1], planes[part.stop :]):
            # The nearest plane is scanned in all but a few.
            if not any((plane > AIR_HU).any() for plane in beyond):
                return True
    return False


def require_in_head(mask_zyx: Mask, hu_zyx: Volume, grid: Grid) -> None:
    """Refuse a placed mask of which most lies outside the head.

    The head is the largest connected part above TISSUE_HU, filled slice by slice, looked for every HEAD_STEP_MM in a plane.

    Raises:
        InputError: `mask_outside_head`, with the share that lies in it.
    """
    step_y, step_x = (min(max(1, round(HEAD_STEP_MM / grid.spacing_mm[axis])), grid.size_xyz[axis]) for axis in (1, 0))
    tissue = connected_parts(hu_zyx[:, step_y // 2 :: step_y, step_x // 2 :: step_x] > TISSUE_HU).largest()
    z, y, x = voxels_of(mask_zyx)
    looked_at = z, np.minimum(y // step_y, tissue.shape[1] - 1), np.minimum(x // step_x, tissue.shape[2] - 1)
    if float(tissue[looked_at].mean()) >= IN_HEAD_SHARE:
        return  # what is filled makes it no less
    share = float(_filled(tissue)[looked_at].mean())
    if share < IN_HEAD_SHARE:
        raise InputError(
            "mask_outside_head",
            f"{share:.0%} of the mask lies in the head (at least {IN_HEAD_SHARE:.0%} must); "
            "check that it was drawn on this series, and that neither is flipped",
        )


def _filled(tissue: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Return tissue and what it encloses within a slice."""
    holes = connected_parts(~tissue, in_slices=True)
    return ~holes.mask(holes.reach_rim())

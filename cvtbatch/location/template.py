"""An atlas as two files of the user's: a template of the brain, 0 around it, and a map of labels that lies on it.

Both are images of any format that SimpleITK reads, such as NIfTI, each on a grid of its own in one space.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from cvtbatch.errors import InputError
from cvtbatch.geometry import Triple, Vector, voxels_of
from cvtbatch.location.atlas_files import AtlasFiles, file_sha256

# The template is registered at about this spacing.
TEMPLATE_MM = 3.0
# Share of its bright end above which a template's voxel is brain, and of how much of an image a brain is at most.
BRAIN_SHARE = 0.02
MOST_BRAIN = 0.9


@dataclass(frozen=True, slots=True)
class Atlas:
    """An atlas.

    Attributes:
        template: float32, at about TEMPLATE_MM.
        least: above it the template is brain.
        brain_ml, middle_mm: of the template's brain, LPS.
        labels_zyx: integers.
        to_index: (3, 4): index x, y, z of a point of the label map.
    """

    template: sitk.Image
    least: float
    brain_ml: float
    middle_mm: Triple
    labels_zyx: npt.NDArray[np.int32]
    to_index: Vector

    def labels_at(self, points_mm: Vector) -> npt.NDArray[np.int32]:
        """Return the labels (n,) at LPS points (n, 3) of the template, 0 beyond the map."""
        places = np.rint(points_mm @ self.to_index[:, :3].T + self.to_index[:, 3]).astype(np.int64)
        within = ((places >= 0) & (places < self.labels_zyx.shape[::-1])).all(axis=1)
        x, y, z = places[within].T
        labels = np.zeros(len(points_mm), dtype=np.int32)
        labels[within] = self.labels_zyx[z, y, x]
        return labels


@lru_cache(maxsize=1)
def load_atlas(files: AtlasFiles) -> Atlas:
    """Read an atlas.

    Raises:
        InputError: "bad_atlas": a file cannot be read, is no three-dimensional image of the kind, or is not what it was.
    """
    for path, known in ((files.template, files.template_sha256), (files.labels, files.labels_sha256)):
        if file_sha256(path) != known:
            raise InputError("bad_atlas", "a file of the atlas has changed since the run was planned", path)
    template, labels = _read(files.template, sitk.sitkFloat32), _read(files.labels, sitk.sitkInt32)
    template = sitk.BinShrink(template, [max(1, round(TEMPLATE_MM / mm)) for mm in template.GetSpacing()])
    values = sitk.GetArrayViewFromImage(template)
    least = BRAIN_SHARE * float(np.percentile(values, 99))
    brain = values > least
    if not 0 < brain.mean() <= MOST_BRAIN:
        raise InputError(
            "bad_atlas",
            f"the atlas's template is brain in {brain.mean():.0%} of its voxels: it has to be 0 around the brain, skull and all",
            files.template,
        )
    indices = np.stack(voxels_of(brain)[::-1], axis=1).mean(axis=0)
    x, y, z = template.TransformContinuousIndexToPhysicalPoint(indices.tolist())
    brain_ml = np.count_nonzero(brain) * float(np.prod(template.GetSpacing())) / 1000
    return Atlas(template, least, brain_ml, (x, y, z), sitk.GetArrayFromImage(labels), _to_index(labels))


def _read(path: str, kind: int) -> sitk.Image:
    try:
        image = sitk.ReadImage(path)
    except RuntimeError as error:
        raise InputError(
            "bad_atlas", "a file of the atlas is no image that SimpleITK reads", f"{path}: {error}"
        ) from None
    if image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() != 1:
        raise InputError("bad_atlas", f"a file of the atlas has {image.GetDimension()} dimensions; it takes 3", path)
    if kind == sitk.sitkInt32 and not np.array_equal(values := sitk.GetArrayViewFromImage(image), np.rint(values)):
        raise InputError("bad_atlas", "the atlas's labels are not whole numbers", path)
    cast: sitk.Image = sitk.Cast(image, kind)
    return cast


def _to_index(image: sitk.Image) -> Vector:
    axes = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    inverse = np.linalg.inv(axes)
    return np.concatenate([inverse, (-inverse @ np.array(image.GetOrigin()))[:, None]], axis=1)

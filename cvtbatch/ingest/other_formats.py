"""Files that hold images or outlines in a form that is not read: what they are, and how to get to one that is. Pure."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

Kind = Literal["image", "mask"]

_SCENE = "is a scene of 3D Slicer, of images and outlines together: open it there, choose File > Save Data, tick the"
_SCENES: Mapping[Kind, str] = {
    "mask": f"{_SCENE} segmentation (file format .seg.nrrd), and name the file that this writes",
    "image": f"{_SCENE} volume (file format .nrrd), and name the file that this writes",
}
_SURFACE = (
    "holds a surface, not voxels: in 3D Slicer choose File > Add Data and load it as Segmentation, beside its image, then "
    "File > Save Data, and tick the segmentation (file format .seg.nrrd)"
)
_ELSEWHERE = "is a header whose voxels lie in another file: write both as one, as .nrrd, .mha or .nii.gz"
_NO_PLACE = (
    "does not say where its voxels lie in the patient: write it with its image's geometry, as .nrrd, .mha or .nii.gz"
)
_SURFACES = (".vtk", ".vtp", ".stl", ".obj", ".ply")
_HEADERS = (".mhd", ".nhdr")
_PLACELESS = (".npy", ".npz", ".mat", ".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")


def way_on(path: Path, kind: Kind) -> str:
    """Say what a file is whose suffix names a known form that is not read, and what to do; empty of any other suffix."""
    suffix = path.suffix.lower()
    told = dict.fromkeys(_HEADERS, _ELSEWHERE) | dict.fromkeys(_PLACELESS, _NO_PLACE)
    told |= dict.fromkeys((".mrb", ".mrml"), _SCENES[kind])
    if kind == "mask":
        told |= dict.fromkeys(_SURFACES, _SURFACE)
    return f"a {suffix} file {told[suffix]}" if suffix in told else ""

"""Image files (NIfTI, NRRD, MetaImage), read with SimpleITK; geometry as the format defines it."""

from pathlib import Path

import SimpleITK as sitk

from cvtbatch.errors import InputError

FORMATS = {
    ".nii": "NIfTI",
    ".nii.gz": "NIfTI",
    ".nrrd": "NRRD",
    ".nhdr": "NRRD",
    ".mha": "MetaImage",
    ".mhd": "MetaImage",
}


def read_image_file(path: Path) -> tuple[sitk.Image, str]:
    """Read a volume of single values, and name its format.

    Raises:
        InputError: the suffix is of no known format, the file cannot be read whole, or it holds no such volume.
    """
    file_format = next((name for suffix, name in FORMATS.items() if path.name.lower().endswith(suffix)), None)
    if file_format is None:
        known = ", ".join(FORMATS)
        raise InputError(
            "unknown_format", f"the file's suffix is none of {known}, and it is no folder of DICOM files", str(path)
        )
    try:
        image = sitk.ReadImage(str(path))
    except RuntimeError as error:
        raise InputError(
            "unreadable_file",
            f"the {file_format} file cannot be read: it is damaged, truncated or of another format",
            f"{path}: {error}",
        ) from None
    if image.GetDimension() == 4 and image.GetSize()[3] == 1:
        image = image[:, :, :, 0]
    if image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() != 1:
        what = f"{image.GetDimension()} dimensions and {image.GetNumberOfComponentsPerPixel()} values a voxel"
        raise InputError("not_a_volume", f"the {file_format} file has {what}; a volume has three and one", str(path))
    return image, file_format

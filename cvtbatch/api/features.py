"""The features of one hematoma, of files or images, as the store would hold them."""

import os
import warnings
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import SimpleITK as sitk

from cvtbatch import radiomics
from cvtbatch.errors import InputError, ResourceError
from cvtbatch.ingest.image_files import read_image_file
from cvtbatch.manifest import MISSING_FILE
from cvtbatch.own_folders import temporary_folder
from cvtbatch.pipelines.cases.case_source import CaseSource, place_case, within_memory
from cvtbatch.pipelines.shared.job import read_job
from cvtbatch.radiomics import Engine, FeatureSet

Source = str | os.PathLike[str] | sitk.Image
Grid = Literal["stored", "given"]


class OtherGridWarning(UserWarning):
    """The outline was drawn on other slices or pixels than the image's: nothing in its file says that it is this image's."""


class GivenGridWarning(UserWarning):
    """Features were computed on the grid that image and mask have: they are not those of a store, nor of a model."""


def extract_features(
    ct: Source,
    mask: Source,
    *,
    profile: FeatureSet | str | os.PathLike[str] = "cvt-1834",
    engine: Engine = "fast",
    grid: Grid | None = None,
    mask_label: int | None = None,
    segment: str | None = None,
    series_uid: str | None = None,
    params: str | os.PathLike[str] | None = None,
) -> dict[str, float]:
    """Compute the study's features of one hematoma, or those of a PyRadiomics parameter file.

    Args:
        ct: head CT in HU: a DICOM folder or archive, NIfTI, NRRD, MetaImage, or a SimpleITK image.
        mask: its outline, on any grid: a label map in these formats, `.seg.nrrd`, DICOM SEG, RTSTRUCT, or a SimpleITK image.
        profile: "cvt-1834", "onekey-1834", a parameter file that changes their settings, or a `FeatureSet`.
        engine: "fast", or "pyradiomics" for stock PyRadiomics itself.
        grid: "stored", the default of profiles, resamples to 0.5 x 0.5 x 5 mm, as `cvtbatch extract` does unless told otherwise:
            the values equal those of the store to the last bit. "given", the default of `params`, takes image and mask, on one
            grid, as they are, with the image's pixel type, as PyRadiomics does, and warns that a profile's values are not
            comparable with those of a store; of files, it takes NIfTI, NRRD and MetaImage.
        mask_label, segment: of the outline, where its file holds several; at most one of them.
        series_uid: SeriesInstanceUID, where the folder holds several series; by default the rule of `extract` chooses.
        params: a PyRadiomics parameter file instead of a profile, taken as PyRadiomics takes it.

    Warns:
        GivenGridWarning: see `grid`.
        OtherGridWarning: a mask file names no patient, and the voxels of this one are not the image's.

    Returns:
        Values by name, in the order of the stored columns, or of the parameter file; NaN where PyRadiomics gives NaN.

    Raises:
        InputError: a file is not there or cannot be read, the outline names another series or frame, lies outside the head or
            the image, or an argument is not taken.
        ProblemsError: with every key of the parameter file that is refused.
        ResourceError: there is too little memory, or the engine is not installed here.
    """
    _check(ct, "ct")
    _check(mask, "mask")
    for name, value, known in (
        ("engine", engine, get_args(Engine)),
        ("grid", "stored" if grid is None else grid, get_args(Grid)),
    ):
        if value not in known:
            raise InputError("bad_argument", f"{name}={value!r}: give {' or '.join(map(repr, known))}")
    chosen = radiomics.chosen_set(profile, params)
    grid = grid or ("stored" if params is None else "given")
    if grid == "given":
        if (mask_label, segment, series_uid) != (None, None, None):
            raise InputError(
                "bad_argument",
                'mask_label, segment and series_uid choose in a file that is placed, with grid="stored" alone',
            )
        if params is None:
            _warn_of_the_grid()
        return radiomics.extract_features(_image_of(ct), _image_of(mask), chosen, engine)
    x, y, z = map(float, read_job("extract").volume.spacing_mm)
    with temporary_folder("cvtbatch-") as folder, within_memory():
        image, outline = (_to_path(source, folder / f"{name}.nrrd") for source, name in ((ct, "ct"), (mask, "mask")))
        source = CaseSource(image, outline, series_uid, mask_label=mask_label, segment=segment)
        placed = place_case(source.to_case(), (x, y, z))
        if "other_slices" in placed.outline.flags:
            warnings.warn(
                "the outline was drawn on other slices or pixels than the image's, and is placed by position: make sure that it is "
                "this image's",
                OtherGridWarning,
                stacklevel=2,
            )
        return placed.features(chosen, engine).values


def _check(source: object, name: str) -> None:
    """Refuse what is no image, and a path at which nothing is.

    Raises:
        InputError: "no_geometry", "bad_argument" or "missing_file".
    """
    if isinstance(source, np.ndarray):
        raise InputError(
            "no_geometry",
            f"{name} is an array, which says nothing of spacing and place: give a path or a SimpleITK image "
            "(sitk.GetImageFromArray, then SetSpacing, SetOrigin and SetDirection)",
        )
    if not isinstance(source, str | os.PathLike | sitk.Image):
        raise InputError("bad_argument", f"{name} is a path or a SimpleITK image, not a {type(source).__name__}")
    if not isinstance(source, sitk.Image) and not Path(source).exists():
        raise InputError(MISSING_FILE, f"{name}: there is no file or folder at this path", str(source))


def _to_path(source: Source, path: Path) -> Path:
    """Return where a source lies; an image is written there, so that it goes the way of every file."""
    if not isinstance(source, sitk.Image):
        return Path(source)
    try:
        sitk.WriteImage(source, str(path))
    except RuntimeError as error:
        raise ResourceError(
            "no_scratch", "an image cannot be written to the folder for temporary files (TMPDIR): make room", str(error)
        ) from None
    return path


def _warn_of_the_grid() -> None:
    warnings.warn(
        "features on the grid as given: they depend on its spacing, and are not those that a store holds or a model was fitted on; "
        'grid="stored" gives these',
        GivenGridWarning,
        stacklevel=3,
    )


def _image_of(source: Source) -> sitk.Image:
    if isinstance(source, sitk.Image):
        return source
    if Path(source).is_dir():
        raise InputError(
            "bad_argument",
            'a folder is read with grid="stored" alone; grid="given" takes a NIfTI, NRRD or MetaImage file, or a SimpleITK image',
        )
    return read_image_file(Path(source)).image

"""Compiles, ahead of any work, the loops that an extraction takes: `python -m cvtbatch.pipelines.shared.compile_ahead`.

By default for this user. With --into-package the code lies beside the package, for all users of this installation on processors
like this one's; container images are built with it. With --parts it is one of the processes that do it together, beside a first
case (`compile_beside`): it takes parts of a case's work that no other one has taken.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache, partial
from typing import TYPE_CHECKING

import numpy as np
import SimpleITK as sitk

from cvtbatch.compiled_code import CARRIED, cache_folder, claim
from cvtbatch.pipelines.shared.compile_beside import await_compiled, compile_beside

# What has loops is imported where they are called: whoever imports one has asked for the folder of its code.
if TYPE_CHECKING:
    from cvtbatch.radiomics import FeatureSet


def compile_ahead() -> None:
    """Go once through what happens to a case's voxels, on a head of a few of them."""
    _measure_and_resample()
    _find_parts()
    from cvtbatch.radiomics import PROFILES

    for profile in PROFILES.values():
        _compute(profile)


def _compile_parts() -> None:
    for number, part in enumerate(_parts()):
        if claim(f"part-{number}") is not None:
            part()


def _parts() -> list[Callable[[], None]]:
    """Return a case's work in parts, those whose loops take longest first."""
    from cvtbatch.radiomics import PROFILES

    patterns, textures, filters, shape = (partial(_compute, part) for part in _parts_of(PROFILES["cvt-1834"]))
    return [textures, patterns, filters, _measure_and_resample, shape, _find_parts]


def _parts_of(profile: "FeatureSet") -> Iterator["FeatureSet"]:
    types = {image_type.name: image_type for image_type in profile.image_types}
    classes = dict(profile.classes)
    shape = (("shape", classes.pop("shape")),)
    first_order = (("firstorder", classes["firstorder"]),)
    yield replace(profile, image_types=(types.pop("LBP3D"),), classes=first_order)
    yield replace(profile, image_types=(types.pop("Original"),), classes=tuple(classes.items()))
    yield replace(profile, image_types=tuple(types.values()), classes=first_order)
    yield replace(profile, image_types=(), classes=shape)


@cache
def _head() -> sitk.Image:
    """Return a head of a few voxels, with a hematoma."""
    z, y, x = np.indices((12, 48, 48)) - np.array([6, 24, 24])[:, None, None, None]
    rng = np.random.default_rng(1)
    hu = np.where((x**2 + y**2) / 400 + z**2 / 30 < 1, 35.0, -1000.0)
    hu[x**2 + y**2 + (3 * z) ** 2 < 120] = 65
    image = sitk.GetImageFromArray(np.rint(hu + rng.normal(0, 4, hu.shape)).astype(np.int16))
    image.SetSpacing((1.0, 1.0, 5.0))
    return image


def _measure_and_resample() -> None:
    from cvtbatch.imaging.quality import measure_series
    from cvtbatch.imaging.resampling import resample_stack, stack_of

    image = _head()
    hu_zyx, stack = sitk.GetArrayFromImage(image), stack_of(image)
    measure_series(hu_zyx, stack)
    # Passes across slices come first or last, as there are more or fewer of them.
    for spacing_mm in ((0.9, 0.9, 5.0), (1.1, 1.1, 2.5)):
        resample_stack(hu_zyx, stack, spacing_mm)


def _find_parts() -> None:
    from cvtbatch.imaging.distances import within
    from cvtbatch.imaging.parts import connected_parts

    mask_zyx = sitk.GetArrayFromImage(_hematoma())
    connected_parts(within(mask_zyx > 0, 5.0, _head().GetSpacing()[::-1])).mask(0)


def _compute(features: "FeatureSet") -> None:
    from cvtbatch.radiomics import roi_features

    roi_features(_head(), _hematoma(), features, "fast")


def _hematoma() -> sitk.Image:
    hematoma: sitk.Image = (_head() > 50) & (_head() < 100)
    return hematoma


def main() -> None:
    parser = argparse.ArgumentParser(description="Compile the loops that an extraction takes.")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--into-package", action="store_true", help="Keep the code beside the package, for all users.")
    what.add_argument(
        "--parts", action="store_true", help="Take what no other process of this kind has taken, and say nothing."
    )
    given, began = parser.parse_args(), time.monotonic()
    if given.parts:
        _compile_parts()
        return
    if given.into_package:
        # Before anything asks for the folder.
        os.environ["NUMBA_CACHE_DIR"] = str(CARRIED)
    compile_beside()
    compile_ahead()
    await_compiled()
    folder = cache_folder()
    if given.into_package:
        if folder is None or folder.parent != CARRIED:
            sys.exit(f"{CARRIED} cannot be written")
        for place in (folder.parent, folder):
            place.chmod(0o755)
    print(f"compiled in {time.monotonic() - began:.0f} s: {folder or 'kept nowhere'}")


if __name__ == "__main__":
    main()

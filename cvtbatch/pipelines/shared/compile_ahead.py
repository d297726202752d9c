"""Compiles, ahead of any work, the loops that an extraction takes: `python -m cvtbatch.pipelines.shared.compile_ahead`.

By default for this user. With --into-package the code lies beside the package, for all users of this installation on processors
like this one's; container images are built with it.
"""

import argparse
import os
import sys
import time

import numpy as np
import SimpleITK as sitk

from cvtbatch import compiled_code


def compile_ahead() -> None:
    """Go once through what happens to a case's voxels, on a head of a few of them."""
    from cvtbatch.imaging.distances import within
    from cvtbatch.imaging.parts import connected_parts
    from cvtbatch.imaging.quality import measure_series
    from cvtbatch.imaging.resampling import resample_stack, stack_of, to_image
    from cvtbatch.radiomics import PROFILES, roi_features

    z, y, x = np.indices((12, 48, 48)) - np.array([6, 24, 24])[:, None, None, None]
    rng = np.random.default_rng(1)
    hu = np.where((x**2 + y**2) / 400 + z**2 / 30 < 1, 35.0, -1000.0)
    hu[x**2 + y**2 + (3 * z) ** 2 < 120] = 65
    hu_zyx = np.rint(hu + rng.normal(0, 4, hu.shape)).astype(np.int16)
    image = sitk.GetImageFromArray(hu_zyx)
    image.SetSpacing((1.0, 1.0, 5.0))
    stack = stack_of(image)
    measure_series(hu_zyx, stack)
    # Passes across slices come first or last, as there are more or fewer of them.
    for spacing_mm in ((0.9, 0.9, 5.0), (1.1, 1.1, 2.5)):
        stored, grid = resample_stack(hu_zyx, stack, spacing_mm)
        mask = ((stored > 50) & (stored < 100)).astype(np.uint8)
    connected_parts(within(mask > 0, 5.0, grid.spacing_mm[::-1])).mask(0)
    for profile in PROFILES.values():
        roi_features(to_image(stored, grid), to_image(mask, grid), profile, "fast")


def main() -> None:
    parser = argparse.ArgumentParser(description="Compile the loops that an extraction takes.")
    parser.add_argument("--into-package", action="store_true", help="Keep the code beside the package, for all users.")
    into_package, began = parser.parse_args().into_package, time.monotonic()
    if into_package:
        # Before anything asks for the folder.
        os.environ["NUMBA_CACHE_DIR"] = str(compiled_code.CARRIED)
    compile_ahead()
    folder = compiled_code.cache_folder()
    if into_package:
        if folder is None or folder.parent != compiled_code.CARRIED:
            sys.exit(f"{compiled_code.CARRIED} cannot be written")
        for place in (folder.parent, folder):
            place.chmod(0o755)
    print(f"compiled in {time.monotonic() - began:.0f} s: {folder or 'kept nowhere'}")


if __name__ == "__main__":
    main()

"""A program that segments, for tests of `cvtbatch.outlining.command`: blood is what lies above 50 HU, written as a FAULT says.

Usage: segmenter.py FAULT IMAGE OUT, where both are files, or both folders. It reads and writes by nibabel, as the package does not.
"""

import os
import signal
import sys
import time
from pathlib import Path

import nibabel
import numpy as np

ABOVE_HU = 50
# The first of a batch that a fault of one image spoils.
BAD = "case_0002"


def segment(fault: str, source: Path, target: Path) -> None:
    image = nibabel.load(source)
    affine = image.affine
    blood = np.asarray(image.dataobj) > ABOVE_HU
    labels = blood.astype(np.uint8)
    match fault:
        case "labels":
            labels = np.where(blood, np.where(np.arange(blood.shape[0]) % 2, 3, 7)[:, None, None], 1).astype(np.int16)
        case "float":
            labels = blood.astype(np.float64)
        case "nothing":
            labels[:] = 0
        case "turned":  # to axes of another order and direction, the place kept
            turned = nibabel.as_closest_canonical(nibabel.Nifti1Image(labels, affine))
            to_lip = nibabel.orientations.axcodes2ornt("LIP")
            turned = turned.as_reoriented(
                nibabel.orientations.ornt_transform(nibabel.io_orientation(turned.affine), to_lip)
            )
            labels, affine = np.asarray(turned.dataobj), turned.affine
        case "shifted":
            affine = affine @ nibabel.affines.from_matvec(np.eye(3), [1, 0, 0])
        case "coarse":
            labels, affine = labels[::2, ::2], affine @ np.diag([2, 2, 1, 1])
        case "huge":
            labels = np.zeros((800, 800, 800), np.uint8)
        case "probabilities":
            labels = blood * np.float32(0.7)
        case "negative":
            labels = -blood.astype(np.int16)
        case "nan":
            labels = np.where(blood, np.nan, 0).astype(np.float32)
    nibabel.save(nibabel.Nifti1Image(labels, affine), target)
    if fault == "twice":
        nibabel.save(nibabel.Nifti1Image(labels, affine), target.with_name(f"{target.name[:9]}_again.nii"))
    if fault == "cut":
        os.truncate(target, target.stat().st_size // 2)


def behave(fault: str) -> None:
    """Do what the whole program does wrong."""
    match fault:
        case "exit":
            print("no licence", file=sys.stderr)
            sys.exit(3)
        case "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        case "sleep":
            time.sleep(600)
        case "flood":
            for _ in range(2000):
                sys.stderr.write("x" * 50_000)
            sys.stderr.write("the last word")
        case "endless":
            while True:
                sys.stdout.write("y" * 50_000)
        case "orphans" | "orphans-sleep":
            _leave_daemons()
            if fault == "orphans-sleep":
                time.sleep(600)


def _leave_daemons() -> None:
    """Start two processes that nothing of ours waits for, in a session of their own, with our output still open."""
    for _ in range(2):
        if os.fork() == 0:
            os.setsid()
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            if os.fork() == 0:
                time.sleep(600)
            os._exit(0)


def main(fault: str, source: Path, target: Path) -> None:
    behave(fault)
    if not source.is_dir():
        if fault != "silent":
            segment(fault, source, target)
        return
    for image in sorted(source.glob("*_0000.nii.gz")):
        name = image.name.removesuffix("_0000.nii.gz")
        if fault == "monai":
            (target / f"{name}_0000").mkdir()
            segment("", image, target / f"{name}_0000" / f"{name}_0000_trans.nii.gz")
        elif name != BAD:
            segment("", image, target / f"{name}.nii.gz")
        elif fault == "crash":
            sys.exit(1)
        elif fault != "silent":
            segment(fault, image, target / f"{name}.nii.gz")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))

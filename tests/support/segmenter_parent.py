"""A process that outlines by a program and may be killed while it waits: segmenter_parent.py PROGRAM FAULT."""

import sys

import numpy as np

from cvtbatch.geometry import Grid
from cvtbatch.ingest.nifti import read_nifti
from cvtbatch.outlining.command import CommandMethod, run_command

if __name__ == "__main__":
    method = CommandMethod(f"{sys.executable} {sys.argv[1]} {sys.argv[2]} {{image}} {{out}}", (), "1", 300)
    grid = Grid((4, 4, 4), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), (1, 0, 0, 0, 1, 0, 0, 0, 1))
    run_command(method, [(np.zeros((4, 4, 4), np.int16), grid)], read_nifti)

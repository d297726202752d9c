"""The ensemble on a stored volume: on a grid of 1 mm it is what the networks say there, voxel by voxel."""

import numpy as np
import pytest
import torch

from cvtbatch.geometry import Grid
from cvtbatch.outlining.blood import BLOOD
from cvtbatch.outlining.ensemble import LPS, SEEN_MM, Ensemble
from cvtbatch.outlining.head import Head
from cvtbatch.outlining.segmentation import Segmenter
from cvtbatch.outlining.skull import Inside
from cvtbatch.outlining.weights import Weights
from tests.support.outlining_network import small_tensors

CPU = torch.device("cpu")
WEIGHTS = Weights((small_tensors(0), small_tensors(1)))


@pytest.fixture(scope="module")
def head() -> Head:
    """Noise on a grid of 1 mm, its inside a box with a corner missing."""
    hu = np.random.default_rng(0).normal(40, 40, (20, 24, 22)).astype(np.int16)
    inside = np.zeros(hu.shape, bool)
    inside[5:14, 6:17, 4:15] = True
    inside[5:8, 6:9, 4:7] = False
    return Head(hu, Grid(hu.shape[::-1], (1.0, 1.0, 1.0), (-11.0, 7.5, 100.0), LPS), Inside(inside, 1.0, 1.0))


def test_blood_is_where_its_classes_together_are_likelier_than_not(head: Head) -> None:
    inside = head.inside.mask_zyx
    (found,) = Ensemble(WEIGHTS, CPU, threads=1).find([head])
    # The network counts its voxels from as far before the inside as it sees.
    padded = np.pad(head.hu_zyx, SEEN_MM, mode="edge")[5:, 6:, 4:]
    region = np.pad(inside, SEEN_MM)[5:, 6:, 4:]
    seen = Segmenter(WEIGHTS, CPU, threads=1).segment(padded, region)
    blood = seen.probabilities[:, list(BLOOD)].sum(axis=1)
    likeliest = seen.probabilities.argmax(axis=1)
    np.testing.assert_array_equal(found.labels_zyx[inside], likeliest)
    np.testing.assert_array_equal(found.blood_zyx[inside], blood >= 0.5)
    assert (found.blood_zyx[inside] != np.isin(likeliest, BLOOD)).any()
    assert not found.blood_zyx[~inside].any()
    for own, member in zip(found.members_zyx, seen.blood, strict=True):
        np.testing.assert_array_equal(own[inside], member)

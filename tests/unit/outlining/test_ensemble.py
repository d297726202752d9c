"""The ensemble on stored grids, against the networks on their own grid."""

import numpy as np
import pytest
import torch

from cvtbatch.geometry import Grid
from cvtbatch.outlining.blood import BLOOD
from cvtbatch.outlining.ensemble import SEEN_MM, Ensemble
from cvtbatch.outlining.head import Head
from cvtbatch.outlining.segmentation import Segmentation, Segmenter
from cvtbatch.outlining.skull import Inside
from cvtbatch.outlining.weights import Weights
from tests.support.outlining_network import small_tensors

CPU = torch.device("cpu")
WEIGHTS = Weights((small_tensors(0), small_tensors(1)))
SHAPE = (30, 33, 31)
# Coarse voxels, of 3 and of 5 mm, begin with the volume: where the inside begins here, the ensemble's grid has the volume's.
FIRST, RADIUS = SEEN_MM % 15, 6
ALONG = np.eye(3)


@pytest.fixture(scope="module")
def hu() -> np.ndarray:
    rng = np.random.default_rng(3)
    return np.rint(rng.normal(40, 40, SHAPE) + 30 * (np.indices(SHAPE).sum(axis=0) % 17 > 8)).astype(np.int16)


@pytest.fixture(scope="module")
def inside() -> np.ndarray:
    z, y, x = np.indices(SHAPE)
    middle = FIRST + RADIUS
    return (z - middle) ** 2 + (y - middle) ** 2 + (x - middle) ** 2 <= RADIUS**2


@pytest.fixture(scope="module")
def own(hu: np.ndarray, inside: np.ndarray) -> Segmentation:
    return Segmenter(WEIGHTS, CPU, threads=1).segment(hu, inside)


def head(hu: np.ndarray, inside: np.ndarray, direction: np.ndarray = ALONG) -> Head:
    size = hu.shape[::-1]
    grid = Grid(size, (1.0, 1.0, 1.0), (3.0, -7.0, 11.0), tuple(direction.ravel().tolist()))
    return Head(hu, grid, Inside(inside, float(inside.sum()) / 1000, 1.0))


def test_a_volume_on_the_network_s_grid_has_its_labels(hu: np.ndarray, inside: np.ndarray, own: Segmentation) -> None:
    [found] = Ensemble(WEIGHTS, CPU, threads=1).find([head(hu, inside)])
    assert found.labels_zyx is not None
    np.testing.assert_array_equal(found.labels_zyx, own.labels())
    # Of whichever class: where no class of blood is the likeliest, all of them together may be.
    blood = own.probabilities[:, list(BLOOD)].sum(axis=1) >= 0.5
    np.testing.assert_array_equal(found.blood_zyx[inside], blood)
    assert (blood != np.isin(own.labels()[inside], BLOOD)).any()
    assert not found.blood_zyx[~inside].any()
    assert len(found.members_zyx) == 2
    for given, member in zip(found.members_zyx, own.members_blood(), strict=True):
        np.testing.assert_array_equal(given, member)
    assert not found.labels_zyx[~inside].any()


def test_a_volume_whose_axes_run_the_other_way_is_turned(hu: np.ndarray, inside: np.ndarray, own: Segmentation) -> None:
    mirrored = head(hu[::-1, :, ::-1], inside[::-1, :, ::-1], direction=np.diag([-1.0, 1.0, -1.0]))
    [found] = Ensemble(WEIGHTS, CPU, threads=1).find([mirrored])
    assert found.labels_zyx is not None
    np.testing.assert_array_equal(found.labels_zyx[::-1, :, ::-1], own.labels())


def test_a_single_network_has_no_members_to_agree(hu: np.ndarray, inside: np.ndarray) -> None:
    [found] = Ensemble(Weights(WEIGHTS.members[:1]), CPU, threads=1).find([head(hu, inside)])
    assert found.members_zyx == ()

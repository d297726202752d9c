"""The network against what blast-ct itself gave, and against its literal description."""

import numpy as np
import pytest
import torch

from cvtbatch.errors import InputError, ResourceError
from cvtbatch.outlining import segmentation
from cvtbatch.outlining.blood import Tissue, agreement
from cvtbatch.outlining.network import Network, normalise
from cvtbatch.outlining.segmentation import Segmentation, Segmenter
from cvtbatch.outlining.tiles import TileSize
from cvtbatch.outlining.weights import Weights, load_weights
from tests.support.outlining_network import LiteralNetwork, patch_probabilities, small_tensors
from tests.support.outside_data import outside

CPU = torch.device("cpu")
TOLERANCE = 1e-5


@pytest.fixture(scope="module")
def hu() -> np.ndarray:
    """Noise with edges in every direction; no side is a multiple of 15."""
    rng = np.random.default_rng(0)
    return rng.normal(40, 40, (29, 44, 26)) + 30 * (np.indices((29, 44, 26)).sum(axis=0) % 17 > 8)


@pytest.fixture(scope="module")
def everywhere(hu: np.ndarray) -> Segmentation:
    return Segmenter(Weights((small_tensors(0),)), CPU, threads=1).segment(hu, np.ones(hu.shape, bool))


def test_crop_has_the_probabilities_and_labels_that_blast_ct_gave() -> None:
    reference = np.load(outside("blast_ct/reference_64x64x32.npz"))
    members = load_weights().members
    everywhere = np.ones(reference["hu"].shape, bool)
    one = Segmenter(Weights(members[:1]), CPU, threads=1).segment(reference["hu"], everywhere)
    volume = np.moveaxis(one.probabilities.reshape(*everywhere.shape, 5), -1, 0)
    points = reference["points"].T
    assert np.abs(volume[:, *points].T - reference["prob_at_points"]).max() <= TOLERANCE
    # They are stored rounded, to half of 2**-11 below 1 and to less below that.
    assert np.abs(volume - reference["prob_model_1"].astype(np.float32)).max() <= 2**-12 + TOLERANCE
    np.testing.assert_array_equal(one.labels(), reference["label_model_1"])
    two = Segmenter(Weights(members[:2]), CPU, threads=1).segment(reference["hu"], everywhere)
    np.testing.assert_array_equal(two.labels(), reference["label_models_1_2"])


def test_a_dense_pass_is_what_the_literal_network_gives_patch_by_patch(
    hu: np.ndarray, everywhere: Segmentation
) -> None:
    literal = patch_probabilities(LiteralNetwork(small_tensors(0)), normalise(hu), np.ones(hu.shape, bool))
    assert literal.std(axis=(1, 2, 3)).max() > 0.02
    assert len(np.unique(literal.argmax(axis=0))) > 1
    for tissue, stock in zip(Tissue, literal, strict=True):
        assert np.abs(everywhere.probability(tissue) - stock).max() <= TOLERANCE
    np.testing.assert_array_equal(everywhere.labels(), literal.argmax(axis=0))


def test_hu_are_clipped_and_scaled_as_published() -> None:
    np.testing.assert_array_equal(normalise(np.array([-1000, -15, 42.5, 100, 3000])), np.float32([-1, -1, 0, 1, 1]))


@pytest.mark.parametrize("size", [TileSize(2, 3), TileSize(5, 7), TileSize(64, 64)])
def test_tiles_and_part_of_a_volume_have_the_values_of_one_pass(
    hu: np.ndarray, everywhere: Segmentation, size: TileSize
) -> None:
    region = np.random.default_rng(1).random(hu.shape) > 0.9995
    region[7:19, 20:31, 2:9] = True
    region[28, 43, 25] = True
    segmenter = Segmenter(Weights((small_tensors(0),)), CPU, threads=1)
    segmenter.size = size
    part = segmenter.segment(hu, region)
    for tissue in Tissue:
        expected = np.where(region, everywhere.probability(tissue), 0)
        assert np.abs(part.probability(tissue) - expected).max() <= 1e-6
    np.testing.assert_array_equal(part.labels(), np.where(region, everywhere.labels(), 0))


def test_channels_that_nothing_reads_are_left_out() -> None:
    network = Network(small_tensors(0), CPU)
    assert network.widths == (4, 4, 4)
    assert [len(unit.mean) for unit in network._paths[0]] == [1, 2, 2, 4, 4, 4, 4, 5]


def test_an_ensemble_is_the_mean_and_tells_what_each_member_sees(hu: np.ndarray) -> None:
    region = np.ones(hu.shape, bool)
    tensors = [small_tensors(seed) for seed in (0, 1)]
    singles = [Segmenter(Weights((own,)), CPU, threads=1).segment(hu, region) for own in tensors]
    both = Segmenter(Weights(tuple(tensors)), CPU, threads=1).segment(hu, region)
    np.testing.assert_allclose(both.probabilities, (singles[0].probabilities + singles[1].probabilities) / 2, atol=1e-7)
    for seen, single in zip(both.members_blood(), singles, strict=True):
        np.testing.assert_array_equal(seen, single.blood_probability() >= 0.5)
    assert 0 < agreement(both.members_blood(), both.blood_probability() >= 0.5) < 1


def test_blood_is_all_of_its_classes_together() -> None:
    region = np.array([[[True, False, True, True]]])
    probabilities = np.float32([[0.4, 0.3, 0.25, 0, 0.05], [0.3, 0, 0.4, 0.3, 0], [0.1, 0, 0, 0.8, 0.1]])
    found = Segmentation(region, probabilities, np.zeros((1, 3), bool))
    np.testing.assert_allclose(found.blood_probability(), [[[0.6, 0, 0.4, 0.1]]], atol=1e-6)
    assert found.labels().tolist() == [[[Tissue.BACKGROUND, 0, Tissue.EXTRA_AXIAL, Tissue.OEDEMA]]]


def test_nothing_wanted_is_nothing_computed(hu: np.ndarray) -> None:
    nothing = Segmenter(Weights((small_tensors(0), small_tensors(1))), CPU, threads=1).segment(
        hu, np.zeros(hu.shape, bool)
    )
    assert nothing.probabilities.shape == (0, 5)
    assert nothing.blood.shape == (2, 0)
    assert not nothing.labels().any()


def test_a_region_of_another_shape_is_refused(hu: np.ndarray) -> None:
    with pytest.raises(InputError, match="a region of"):
        Segmenter(Weights((small_tensors(0),)), CPU, threads=1).segment(hu, np.ones((3, 3, 3), bool))


def test_a_device_without_room_gets_smaller_tiles_and_the_same_values(
    hu: np.ndarray, everywhere: Segmentation, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, tried = segmentation._run, []

    def of_little_room(network: Network, view: segmentation._View, size: TileSize) -> torch.Tensor:
        tried.append(size)
        if size.planes > room:
            raise torch.cuda.OutOfMemoryError("out of memory")
        return run(network, view, size)

    monkeypatch.setattr(segmentation, "_run", of_little_room)
    room = 2
    segmenter = Segmenter(Weights((small_tensors(0),)), CPU, threads=1)
    found = segmenter.segment(hu, np.ones(hu.shape, bool))
    assert tried == [TileSize(8, 24), TileSize(4, 12), TileSize(2, 6)]
    assert np.abs(found.probabilities - everywhere.probabilities).max() <= 1e-6
    room = 0
    with pytest.raises(ResourceError) as refused:
        segmenter.segment(hu, np.ones(hu.shape, bool))
    assert refused.value.kind == "gpu_memory"

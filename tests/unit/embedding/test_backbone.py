"""The backbone against a plain torchvision forward pass, and what its values depend on."""

import numpy as np
import pytest
import torch
import torchvision

from cvtbatch.embedding.backbone import Backbone, Network
from cvtbatch.embedding.compute import Compute
from cvtbatch.embedding.weights import random_weights
from cvtbatch.errors import ResourceError

# The largest difference, as a share of the vector's norm, between two ways of computing one slice in float32.
TOLERANCE = 1e-5


def deviation(values: np.ndarray, stock: np.ndarray) -> float:
    return float((np.linalg.norm(values - stock, axis=1) / np.linalg.norm(stock, axis=1)).max())


def embed(backbone: Backbone, *batches: np.ndarray) -> np.ndarray:
    return np.concatenate(list(backbone.embed(batches)))


@pytest.fixture(scope="module")
def gray() -> np.ndarray:
    """Three slices."""
    return np.random.default_rng(0).random((3, 224, 224), dtype=np.float32)


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    return Backbone(random_weights(0), Compute(device="cpu", batch=2))


@pytest.fixture(scope="module")
def values(backbone: Backbone, gray: np.ndarray) -> np.ndarray:
    return embed(backbone, gray)


def test_values_are_those_of_a_plain_torchvision_forward_pass(values: np.ndarray, gray: np.ndarray) -> None:
    model = torchvision.models.resnet101(weights=None)
    state = {name: torch.tensor(tensor) for name, tensor in random_weights(0).tensors.items()}
    model.load_state_dict(state, strict=False)
    model.eval()
    normalise = torchvision.transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    penultimate: list[torch.Tensor] = []
    model.avgpool.register_forward_hook(lambda *given: penultimate.append(given[2].flatten(1)))
    with torch.no_grad():
        model(torch.stack([normalise(torch.tensor(slice_yx).expand(3, 224, 224)) for slice_yx in gray]))
    assert values.shape == (3, 2048)
    assert values.dtype == np.float32
    assert deviation(values, penultimate[0].numpy()) <= TOLERANCE


def test_a_slice_has_the_same_bits_whatever_lies_beside_it(
    backbone: Backbone, values: np.ndarray, gray: np.ndarray
) -> None:
    np.testing.assert_array_equal(embed(backbone, gray[[2, 0]]), values[[2, 0]])


def test_another_batch_shape_stays_within_the_tolerance(values: np.ndarray, gray: np.ndarray) -> None:
    other = Backbone(random_weights(0), Compute(device="cpu", batch=3))
    assert deviation(embed(other, gray), values) <= TOLERANCE


class SmallGpu:
    """A forward pass with room for so many slices: the mean of each, where the values would be."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.sizes: list[int] = []

    def __call__(self, given: torch.Tensor) -> torch.Tensor:
        self.sizes.append(len(given))
        if len(given) > self.room:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return given.mean(dim=(1, 2))[:, None].expand(-1, 2048)


@pytest.fixture
def crowded(backbone: Backbone, monkeypatch: pytest.MonkeyPatch) -> Backbone:
    monkeypatch.setattr(backbone, "_forward", SmallGpu(2))
    monkeypatch.setattr(backbone, "batch", 8)
    monkeypatch.setattr(backbone, "_pinned", [])
    return backbone


def test_out_of_memory_halves_the_batch_and_goes_on(crowded: Backbone) -> None:
    gray = np.random.default_rng(1).random((11, 224, 224), dtype=np.float32)
    values = embed(crowded, gray[:8], gray[8:])
    np.testing.assert_allclose(values[:, 0], gray.mean(axis=(1, 2)), rtol=1e-5)
    assert crowded._forward.sizes == [8, 4, *[2] * 6]  # what is less than a batch is padded to one
    assert crowded.batch == 2


def test_no_room_for_a_single_slice_ends_the_run(crowded: Backbone, gray: np.ndarray) -> None:
    crowded._forward.room = 0
    with pytest.raises(ResourceError, match="no room for a single slice") as raised:
        embed(crowded, gray)
    assert raised.value.kind == "gpu_memory"


def test_bfloat16_is_near_and_something_else() -> None:
    """On a picture of 32 pixels: a CPU without bfloat16 takes seconds for a slice."""
    small = torch.rand((1, 32, 32), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        exact, near = (
            Network(random_weights(0), dtype).eval()(small).numpy() for dtype in (torch.float32, torch.bfloat16)
        )
    assert near.dtype == np.float32
    assert TOLERANCE < deviation(near, exact) < 0.1


@pytest.mark.parametrize("precision", ["float32", "tf32"])
def test_tf32_is_used_where_it_is_asked_for_alone(
    precision: str, backbone: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backbone, "_tf32", precision == "tf32")
    assert list(backbone.embed([])) == []
    used = (torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32)
    assert used == (precision == "tf32", precision == "tf32")
    assert not torch.backends.cudnn.benchmark


def test_threads_are_what_was_asked_for() -> None:
    before = torch.get_num_threads()
    try:
        Backbone(random_weights(0), Compute(device="cpu", batch=1, threads=1))
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_an_error() -> None:
    with pytest.raises(ResourceError, match="PyTorch finds no CUDA device"):
        Backbone(random_weights(0), Compute(device="cuda"))

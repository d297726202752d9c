"""The image networks beside ResNet101: their names, what is cut off, and their values against plain torchvision's."""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from safetensors.torch import save_file

from cvtbatch.embedding.architectures import ARCHITECTURES, DEFAULT, Architecture, find_architecture
from cvtbatch.embedding.backbone import Backbone
from cvtbatch.embedding.compute import Compute
from cvtbatch.embedding.weights import Weights, load_weights, random_weights
from cvtbatch.errors import InputError

# The module of torchvision's whole network whose input are the values.
CLASSIFIERS = {
    "densenet121": "classifier",
    "mobilenet_v3_small": "classifier",
    "convnext_tiny": "classifier.2",
    "vit_b_32": "heads.head",
}
ROOT = Path(__file__).parents[3]
GRAY = np.random.default_rng(1).random((1, 224, 224), dtype=np.float32)


def whole_network(network: str) -> torch.nn.Module:
    """A network of torchvision's with small numbers in it, drawn sooner than its own initialisation does."""
    with torch.device("meta"):
        model = torchvision.models.get_model(network, weights=None)
    model.to_empty(device="cpu")
    generator = torch.Generator().manual_seed(7)
    for tensor in model.state_dict().values():
        if tensor.is_floating_point():
            tensor.uniform_(0.02, 0.07, generator=generator).sub_(0 if tensor.ndim == 1 else 0.045)
    return model.eval()


def as_once_named(name: str) -> str:
    """Return what torchvision's own file of a DenseNet calls a tensor: densenet121-a639ec97.pth is of 2017."""
    return re.sub(r"(denselayer\d+\.(?:norm|conv))([12])\.", r"\1.\2.", name)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Threads of small networks wait for one another."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def embed(weights: Weights) -> np.ndarray:
    return np.concatenate(list(Backbone(weights, Compute(device="cpu", batch=1)).embed([GRAY])))


@pytest.mark.parametrize("network", CLASSIFIERS)
def test_values_are_what_torchvisions_whole_network_hands_to_its_classifier(network: str, tmp_path: Path) -> None:
    model = whole_network(network)
    torch.save({as_once_named(name): tensor for name, tensor in model.state_dict().items()}, tmp_path / "whole.pth")
    handed: list[torch.Tensor] = []
    model.get_submodule(CLASSIFIERS[network]).register_forward_pre_hook(lambda _, given: handed.append(given[0]))
    normalise = torchvision.transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    with torch.no_grad():
        model(normalise(torch.tensor(GRAY[0]).expand(3, 224, 224))[None])
    stock = handed[0].flatten(1).numpy()
    architecture = find_architecture(f"torchvision:{network}")
    values = embed(load_weights(str(tmp_path / "whole.pth"), architecture))
    assert values.shape == stock.shape == (1, architecture.values)
    assert np.ptp(values) > 0
    assert np.linalg.norm(values - stock) <= 1e-5 * np.linalg.norm(stock)


@pytest.mark.parametrize("architecture", ARCHITECTURES.values(), ids=lambda found: found.network)
def test_every_network_has_its_classifier_and_gives_so_many_values(architecture: Architecture) -> None:
    with torch.device("meta"):
        body = torchvision.models.get_model(architecture.network, weights=None).eval()
        whole = body.state_dict()
        for head in architecture.heads:
            body.set_submodule(head, torch.nn.Identity(), strict=True)
        box = architecture.taken.kind == "box"
        assert body(torch.empty(2, 3, *((16, 112, 112) if box else (224, 224)))).shape == (2, architecture.values)
    taken = {name for name in whole if architecture.takes(name)}
    assert taken == {name for name in body.state_dict() if not name.endswith("num_batches_tracked")}
    assert all(whole[name].is_floating_point() for name in taken)
    # What is named "imagenet", or "kinetics" of networks for videos, is there.
    there = torchvision.models.get_model_weights(architecture.network).__members__
    assert ("KINETICS400_V1" if box else "IMAGENET1K_V1") in there


def test_the_page_tells_every_network_and_its_number_of_values() -> None:
    page = (ROOT / "docs" / "explanation" / "embeddings.md").read_text(encoding="utf-8")
    for found in ARCHITECTURES.values():
        [row] = [line for line in page.splitlines() if line.startswith("|") and f"`{found.network}`" in line]
        assert f"{found.values:,}" in row


def test_the_default_is_said_as_it_always_was() -> None:
    assert find_architecture("torchvision:resnet101") is DEFAULT
    assert DEFAULT.settings() == {"network": "resnet101", "layer": "avgpool", "values": 2048}


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("torchvision:resnet5", "did you mean 'torchvision:resnet50'? it is one of torchvision:convnext_base, "),
        ("torchscript:model.pt", "a TorchScript file is code"),
        ("resnet50", "did you mean 'torchvision:resnet50'?"),
    ],
)
def test_what_is_no_network_is_answered_with_those_there_are(name: str, told: str) -> None:
    with pytest.raises(InputError) as raised:
        find_architecture(name)
    assert raised.value.kind == "bad_backbone"
    assert told in raised.value.message


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    save_file(whole_network("resnet18").state_dict(), tmp_path / "18.safetensors")
    with pytest.raises(InputError, match="not a state dict of torchvision's mobilenet_v3_small") as raised:
        load_weights(str(tmp_path / "18.safetensors"), find_architecture("torchvision:mobilenet_v3_small"))
    assert raised.value.kind == "bad_weights"
    with pytest.raises(InputError, match="torchvision has none for densenet121"):
        load_weights("imagenet-v2", find_architecture("torchvision:densenet121"))


def test_random_weights_are_drawn_for_every_network() -> None:
    architecture = find_architecture("torchvision:mobilenet_v3_small")
    first, again = random_weights(4, architecture), random_weights.__wrapped__(4, architecture)
    assert (first.sha256, first.architecture, first.not_for_inference) == (again.sha256, architecture, True)
    values = embed(first)
    assert np.isfinite(values).all()
    assert np.ptp(values) > 0

"""Networks of timm's and of one's own: names, what is refused, and their values against plain forward passes."""

import re
from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file

from cvtbatch.embedding import Architecture, NetworkInput, architectures, register
from cvtbatch.embedding.architectures import find_architecture
from cvtbatch.embedding.backbone import Backbone
from cvtbatch.embedding.compute import Compute
from cvtbatch.embedding.weights import Weights, load_weights, random_weights
from cvtbatch.errors import InputError


class Blocks(torch.nn.Module):
    """A network of boxes with one channel, weights of no axis, of four and of five, and what is computed when it is made."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = torch.nn.Conv3d(1, 4, 3)
        self.weight = torch.nn.Parameter(torch.tensor(1.0))
        self.place = torch.nn.Parameter(torch.ones(1, 1, 16, 16))
        self.rates = [rate.item() for rate in torch.linspace(0, 1, 2)]
        self.register_buffer("scale", torch.tensor([2.0]), persistent=False)
        self.register_buffer("order", torch.tensor([3, 1, 0, 2]))

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        return self.weight * self.scale * self.conv(given + self.place).mean(dim=(2, 3, 4))[:, self.order]


def build(_: Architecture) -> torch.nn.Module:
    return Blocks()


BOX = NetworkInput("box", side=16, depth=8, mean=(0.5,), std=(0.25,), windows=((40.0, 80.0),))
OWN = Architecture("blocks", (), "mean", 4, "lab", BOX, build, revision=2, licence="cc-by-nc-4.0")


@pytest.fixture(autouse=True)
def nothing_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(architectures, "_registered", {})


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def embed(weights: Weights, gray: np.ndarray) -> np.ndarray:
    return np.concatenate(list(Backbone(weights, Compute(device="cpu", batch=len(gray))).embed([gray])))


@pytest.mark.parametrize("network", ["test_vit", "test_byobnet"])
def test_values_are_what_timms_whole_network_hands_to_its_classifier(network: str, tmp_path: Path) -> None:
    torch.manual_seed(3)
    whole = timm.create_model(network).eval()
    save_file(whole.state_dict(), tmp_path / "whole.safetensors")
    architecture = find_architecture(f"timm:{network}")
    taken = architecture.taken
    gray = np.random.default_rng(0).random((2, taken.side, taken.side), dtype=np.float32)
    mean, std = (torch.tensor(whole.pretrained_cfg[name]).view(3, 1, 1) for name in ("mean", "std"))
    with torch.no_grad():
        given = (torch.tensor(gray)[:, None] - mean) / std
        stock = whole.forward_head(whole.forward_features(given), pre_logits=True).numpy()
    assert (3, taken.side, taken.side) == whole.pretrained_cfg["input_size"]
    values = embed(load_weights(str(tmp_path / "whole.safetensors"), architecture), gray)
    assert values.shape == stock.shape == (2, architecture.values)
    assert np.linalg.norm(values - stock) <= 1e-5 * np.linalg.norm(stock)
    assert architecture.settings()["library"] == "timm"


def test_a_name_of_timms_that_is_none_is_told_what_it_may_have_meant() -> None:
    with pytest.raises(InputError, match=r"did you mean 'resnet50d?'\?") as raised:
        find_architecture("timm:resnet5o")
    assert raised.value.kind == "bad_backbone"
    with pytest.raises(InputError, match="nonsense"):
        find_architecture("timm:resnet50.nonsense")
    with pytest.raises(InputError, match="are torchvision's, and timm:test_vit is not"):
        load_weights("imagenet", find_architecture("timm:test_vit"))


def test_a_network_of_ones_own_gives_the_values_of_its_plain_forward_pass(tmp_path: Path) -> None:
    register(OWN)
    register(OWN)
    assert find_architecture("lab:blocks") is OWN
    assert OWN.settings() == {"network": "blocks", "layer": "mean", "values": 4, "library": "lab", "revision": 2}
    weights = random_weights(0, OWN)
    plain = Blocks()
    plain.load_state_dict({name: torch.tensor(values) for name, values in weights.tensors.items()}, strict=False)
    gray = np.random.default_rng(1).random((2, 1, 8, 16, 16), dtype=np.float32)
    with torch.no_grad():
        stock = plain((torch.tensor(gray) - 0.5) / 0.25).numpy()
    assert np.linalg.norm(embed(weights, gray) - stock) <= 1e-5 * np.linalg.norm(stock)
    save_file(plain.state_dict(), tmp_path / "plain.safetensors")
    found = load_weights(str(tmp_path / "plain.safetensors"), OWN)
    assert (found.sha256, found.licence) == (weights.sha256, "cc-by-nc-4.0")
    with pytest.raises(InputError, match=r"lab:blocks gives values of shape \[4\] a row, and says 5"):
        embed(random_weights(0, replace(OWN, values=5)), gray)


def test_weights_in_bfloat16_are_those_numbers(tmp_path: Path) -> None:
    weights = random_weights(0, OWN)
    short = {name: torch.tensor(values).bfloat16() for name, values in weights.tensors.items()}
    save_file(short, tmp_path / "short.safetensors")
    found = load_weights(str(tmp_path / "short.safetensors"), OWN)
    assert all(np.array_equal(values, short[name].float().numpy()) for name, values in found.tensors.items())


def test_names_that_are_taken_are_refused() -> None:
    register(OWN)
    for other, told in (
        (replace(OWN, revision=3), "lab:blocks is registered already"),
        (replace(OWN, library="torchvision"), "give it a library of its own, e.g. lab:blocks"),
        (replace(OWN, library="hf"), "cannot be registered"),
    ):
        with pytest.raises(InputError, match=told) as raised:
            register(other)
        assert raised.value.kind == "bad_backbone"


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("tests.unit.embedding.test_registered:OWN", ""),
        ("tests.unit.embedding.test_registered:build", "registers a function under this name"),
        ("tests.unit.embedding.no_such_module:OWN", r"cannot be loaded \(ModuleNotFoundError\)"),
    ],
)
def test_packages_register_networks_by_entry_points(value: str, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = EntryPoint("lab:blocks", value, architectures.ENTRY_POINTS)
    monkeypatch.setattr(architectures, "entry_points", lambda group: [entry] if group == entry.group else [])
    if not told:
        assert find_architecture("lab:blocks").settings() == OWN.settings()
        return
    with pytest.raises(InputError, match=told) as raised:
        find_architecture("lab:blocks")
    assert raised.value.kind == "bad_backbone"


def test_entry_points_may_be_called_as_networks_are(tmp_path: Path) -> None:
    """LIBRARY:NETWORK is a name that a wheel's entry_points.txt can hold."""
    from importlib.metadata import PathDistribution

    (tmp_path / "entry_points.txt").write_text(f"[{architectures.ENTRY_POINTS}]\nlab:blocks = a.b:OWN\n")
    [found] = PathDistribution(tmp_path).entry_points
    assert (found.name, found.value, found.group) == ("lab:blocks", "a.b:OWN", architectures.ENTRY_POINTS)


def test_a_file_of_tensors_is_no_network() -> None:
    with pytest.raises(InputError, match=re.escape("name the network here, and the file in embedding.weights")):
        find_architecture("hf:lab/net@" + "0" * 40 + ":model.safetensors")

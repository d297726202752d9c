"""Weights of the backbone: where they come from, and an identity that is part of every embedding's key.

    imagenet       torchvision's IMAGENET1K_V1 of the network; of ResNet101 what a study on PyTorch 1.8 had
    imagenet-v2    its IMAGENET1K_V2, if there is one
    kinetics       its KINETICS400_V1, of networks for videos
    hf:REPO@REVISION:FILE  a safetensors file of a model hub, at one revision
    random:SEED    untrained, for trials; whatever is made with them is marked as not for inference
    a file         safetensors, or a state dict that `torch.load(weights_only=True)` takes

The identity is the SHA-256 of the tensors that the backbone loads, so that a renamed file is the same weights and a changed one is
not. The classifier and BatchNorm's counters take no part in an embedding and none in its identity.
"""

import hashlib
import json
import math
import pickle
import re
import zipfile
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError

from cvtbatch.downloads import fetch_file
from cvtbatch.embedding import hub
from cvtbatch.embedding.architectures import DEFAULT, LIBRARY, TIMM, Architecture
from cvtbatch.embedding.torchvision_models import shapes_alone, torchvision_models
from cvtbatch.errors import InputError
from cvtbatch.extras import require
from cvtbatch.file_errors import why
from cvtbatch.nearest import did_you_mean, enumerated
from cvtbatch.spec import digest

Tensors = dict[str, npt.NDArray[np.float32]]

LICENCE = "licence"
RANDOM = re.compile(r"random:(0|[1-9][0-9]{0,8})")
OF_TORCHVISION = {"imagenet": "IMAGENET1K_V1", "imagenet-v2": "IMAGENET1K_V2", "kinetics": "KINETICS400_V1"}
# What torchvision says of the weights that it offers (https://github.com/pytorch/vision#pre-trained-model-license), and of
# Kinetics-400 its publisher (https://deepmind.com/research/open-source/kinetics).
IMAGENET_LICENCE = (
    "BSD-3-Clause of torchvision; terms of ImageNet, for non-commercial research, may apply to weights trained on it"
)
LICENCES = {
    "imagenet": IMAGENET_LICENCE,
    "imagenet-v2": IMAGENET_LICENCE,
    "kinetics": "BSD-3-Clause of torchvision; Kinetics-400, on which they were trained, is under CC BY 4.0",
}
# DenseNet's files name its layers as torchvision did long ago.
OLD_NAME = re.compile(r"(.*denselayer\d+\.(?:norm|conv))\.([12]\..*)")
# Of several wrong keys so many are named.
NAMED_KEYS = 5


@dataclass(frozen=True, slots=True)
class Weights:
    """The backbone's tensors, float32, under its library's names.

    Attributes:
        source: "imagenet", "imagenet-v2", "kinetics", "random:SEED", "hf:REPO@REVISION:FILE" or "file".
        architecture: whose tensors they are.
        not_for_inference: they were never trained.
        training: what a fine-tuning said of itself; empty for others.
        licence: of the weights; empty where it is not known.
    """

    source: str
    tensors: Tensors
    sha256: str
    not_for_inference: bool
    training: Mapping[str, str] = field(default_factory=dict)
    architecture: Architecture = DEFAULT
    licence: str = ""

    def settings(self) -> dict[str, object]:
        """Return what a specification says of the weights: their identity, and on whom they were trained."""
        told = {"cohort_digest", "training_centers", "trained_on"}
        trained = {name: self.training[name] for name in sorted(told & self.training.keys())}
        return {"sha256": self.sha256, "not_for_inference": self.not_for_inference, "fine_tuned": trained}


def is_named(name: str) -> bool:
    """Say whether weights are given by a name, and not as a file."""
    return name in OF_TORCHVISION or name.startswith(("random:", hub.PREFIX))


def licence_of(name: str) -> str:
    """Return the licence of weights by their name; empty where it is not known."""
    return LICENCES.get(name, "")


def licence_in(data: bytes) -> str:
    """Return the licence that a safetensors file says of itself; empty where it says none."""
    return _metadata(data).get(LICENCE, "")


def is_non_commercial(licence: str) -> bool:
    """Say whether a licence, or terms that may apply, allow no commercial use, e.g. "cc-by-nc-4.0"."""
    return (
        re.search(r"(?<![a-z])nc(?![a-z])|non[-_ ]?commercial|research (use )?only", licence, re.IGNORECASE) is not None
    )


def load_weights(name: str, architecture: Architecture = DEFAULT) -> Weights:
    """Load weights of a network by name or file.

    Raises:
        InputError: they cannot be had here, or are not that network's; says which file to fetch, or which keys are wrong.
        ResourceError: this installation is one without the extra `embed`.
    """
    require("embeddings need", "torch", "torchvision")
    if found := RANDOM.fullmatch(name):
        return random_weights(int(found[1]), architecture)
    if name.startswith("random:"):
        raise InputError("bad_weights", f"embedding.weights {name}: random:SEED takes a seed from 0 to 999999999")
    if name in OF_TORCHVISION:
        return replace(_checked(name, _downloaded(name, architecture), {}, architecture), licence=licence_of(name))
    if name.startswith(hub.PREFIX):
        file = hub.HubFile.parse(name)
        weights = _checked(name, *_read_file(file.fetch()), architecture)
        return replace(weights, licence=weights.licence or file.licence())
    return _checked("file", *_read_file(Path(name)), architecture)


def to_bytes(weights: Weights) -> bytes:
    """Return the weights as a safetensors file."""
    from safetensors.numpy import save

    metadata = {**weights.training, "not_for_inference": json.dumps(weights.not_for_inference)}
    if weights.licence and weights.source not in OF_TORCHVISION:
        metadata[LICENCE] = weights.licence
    return bytes(save(weights.tensors, metadata))


def from_bytes(data: bytes, source: str, architecture: Architecture = DEFAULT) -> Weights:
    """Return weights of a network from the bytes of a safetensors file.

    Raises:
        InputError: they are not that network's.
    """
    from safetensors.numpy import load

    try:
        return _checked(source, load(data), _metadata(data), architecture)
    except SafetensorError as error:
        raise InputError("bad_weights", f"weights are no safetensors file: {error}") from None


@cache
def shapes(architecture: Architecture) -> Mapping[str, tuple[int, ...]]:
    """Return the shapes of a network's tensors by its library's names."""
    # What a network of somebody's own does when it is made may need values.
    with shapes_alone() if architecture.library in {LIBRARY, TIMM} else nullcontext():
        state = architecture.build(architecture).state_dict()
    # What holds no floats is counted or computed, and not trained.
    taken = {name: tensor for name, tensor in state.items() if architecture.takes(name) and tensor.is_floating_point()}
    return {name: tuple(tensor.shape) for name, tensor in taken.items()}


def tensor_digest(tensors: Mapping[str, npt.NDArray[np.float32]]) -> str:
    """Return the SHA-256 of tensors: names in order, shapes, and values as little-endian float32."""
    hasher = hashlib.sha256()
    for name in sorted(tensors):
        hasher.update(f"{name} {list(tensors[name].shape)}\n".encode())
        hasher.update(np.ascontiguousarray(tensors[name], dtype="<f4").data)
    return hasher.hexdigest()


@lru_cache(maxsize=1)
def random_weights(seed: int, architecture: Architecture = DEFAULT) -> Weights:
    """Return untrained weights; of residual networks in the distributions of torchvision's own initialisation.

    A convolution is normal with variance 2 / (output channels x kernel), a matrix with 1 / inputs, tokens and scales of layers with
    0.02 as standard deviation; norms are the identity. NumPy's Philox, keyed by seed and name, draws them, and not torch, whose
    draws differ between versions.
    """
    tensors = {}
    for name, shape in shapes(architecture).items():
        if len(shape) < 2:
            values = np.full(shape, float(name.endswith(("weight", "running_var"))), np.float32)
        else:
            convolution = 2 / math.prod((shape[0], *shape[2:]))
            variances = {4: convolution, 5: convolution, 2: 1 / shape[-1]}
            key = int(digest(f"random:{seed}", name)[:32], 16)
            values = np.random.Generator(np.random.Philox(key=key)).standard_normal(shape, dtype=np.float32)
            values *= np.float32(np.sqrt(variances.get(len(shape), 0.02**2)))
        tensors[name] = values
    return Weights(f"random:{seed}", tensors, tensor_digest(tensors), not_for_inference=True, architecture=architecture)


def _checked(
    source: str,
    tensors: Mapping[str, npt.NDArray[np.generic]],
    metadata: Mapping[str, str],
    architecture: Architecture,
) -> Weights:
    """Return the weights if they are the network's, wholly and nothing else."""
    expected = shapes(architecture)
    floats = {name for name, values in tensors.items() if np.issubdtype(values.dtype, np.floating)}
    given = {name: tensors[name] for name in floats | expected.keys() & tensors.keys() if architecture.takes(name)}
    problems = [
        *(f"{name} is missing" for name in sorted(expected.keys() - given.keys())),
        *(f"{name} is not one of its keys" for name in sorted(given.keys() - expected.keys())),
    ]
    for name in sorted(expected.keys() & given.keys()):
        values = given[name]
        if values.shape != expected[name]:
            problems.append(f"{name} has shape {list(values.shape)}, not {list(expected[name])}")
        elif not np.issubdtype(values.dtype, np.floating):
            problems.append(f"{name} holds {values.dtype}, not floats")
        elif not np.isfinite(values).all():
            problems.append(f"{name} holds values that are not finite")
    if problems:
        more = f" and {len(problems) - NAMED_KEYS} more" if len(problems) > NAMED_KEYS else ""
        raise InputError(
            "bad_weights",
            f"embedding.weights are not a state dict of {architecture.library}'s {architecture.network}: "
            f"{'; '.join(problems[:NAMED_KEYS])}{more}",
        )
    values32 = {name: np.asarray(given[name], dtype=np.float32, order="C") for name in expected}
    untrained = metadata.get("not_for_inference") == "true"
    training = {name: text for name, text in metadata.items() if name not in {"not_for_inference", LICENCE}}
    licence = metadata.get(LICENCE) or architecture.licence
    return Weights(source, values32, tensor_digest(values32), untrained, training, architecture, licence)


def _read_file(path: Path) -> tuple[Tensors, Mapping[str, str]]:
    try:
        if path.suffix == ".safetensors":
            # NumPy has no bfloat16, in which hubs keep weights.
            from safetensors.torch import load

            data = path.read_bytes()
            tensors = {name: one.float() if one.is_floating_point() else one for name, one in load(data).items()}
            return {name: one.numpy() for name, one in tensors.items()}, _metadata(data)
        return _load_state_dict(path), {}
    except OSError as error:
        raise InputError(
            "no_weights",
            f"embedding.weights {path}: {did_you_mean(str(path), OF_TORCHVISION)}it is {', '.join(OF_TORCHVISION)}, random:SEED, "
            f"hf:REPO@REVISION:FILE, none, or a file, and as a file: {why(error)}",
        ) from None
    except SafetensorError as error:
        raise InputError("bad_weights", f"embedding.weights {path} is no safetensors file: {error}") from None


def _metadata(data: bytes) -> Mapping[str, str]:
    """Return the metadata of a safetensors file: text by text, in the JSON header behind its length."""
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    return dict(header.get("__metadata__", {}))


def _load_state_dict(path: Path) -> Tensors:
    """Read a file of `torch.save`, tensors alone: a pickle that asks for code is refused."""
    import torch

    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, EOFError, RuntimeError, ValueError, zipfile.BadZipFile) as error:
        raise InputError(
            "bad_weights",
            f"embedding.weights {path} is no state dict: a safetensors file or torch.save(model.state_dict()) is expected "
            f"({type(error).__name__})",
        ) from None
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise InputError(
            "bad_weights", f"embedding.weights {path} holds other things than tensors by name; save model.state_dict()"
        )
    return {OLD_NAME.sub(r"\1\2", name): value.float().numpy() for name, value in state.items()}


def _downloaded(name: str, architecture: Architecture) -> Tensors:
    """Return torchvision's weights from its cache, or from the network; a file in the cache is checked as well."""
    import torch

    if architecture.library != LIBRARY:
        raise InputError(
            "bad_weights",
            f"embedding.weights {name} are torchvision's, and {architecture.name} is not: name a file, or hf:REPO@REVISION:FILE",
        )
    offered = torchvision_models().get_model_weights(architecture.network)
    try:
        url = str(offered[OF_TORCHVISION[name]].url)
    except KeyError:
        there = enumerated(word for word, version in OF_TORCHVISION.items() if version in offered.__members__)
        raise InputError(
            "bad_weights", f"embedding.weights {name}: torchvision has none for {architecture.network}: take {there}"
        ) from None
    file = Path(torch.hub.get_dir()) / "checkpoints" / url.rsplit("/", 1)[-1]
    others = "or choose others: --set embedding.weights=none (radiomics alone), random:0 (a trial, not for inference) or a file"
    try:
        fetch_file(url, file, _hash_prefix(file))
    except InputError as error:
        raise InputError(
            "no_weights" if error.kind == "no_data" else "bad_weights",
            f"embedding.weights is {name}, and {error.message}, {others}",
        ) from None
    return _load_state_dict(file)


def _hash_prefix(file: Path) -> str:
    """Return the SHA-256's first digits, which torchvision's files have in their names."""
    return file.stem.rsplit("-", 1)[-1]

"""Weights of the outlining network: three of the twelve networks of blast-ct, checked, and known by their values.

Convolutions whose weights training drove to nothing hold float32's denormals, with which a CPU computes sixteen times more slowly:
whatever is below 1e-12 becomes 0 when the files are read, and the identity is that of the tensors after it.
"""

import json
import pickle
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError

from cvtbatch.downloads import DATA_SETS, fetch_data_set
from cvtbatch.embedding.weights import tensor_digest
from cvtbatch.errors import InputError
from cvtbatch.extras import require
from cvtbatch.spec import digest

Tensors = Mapping[str, npt.NDArray[np.float32]]

DATA_SET = "blast-ct"
LEAST = 1e-12
# The units of the paths of scales 5, 3 and 1, and of the head, by blast-ct's names.
PATHS = tuple(
    tuple(f"{path}.path.{unit}" for unit in range(1, 9))
    for path in ("path(5, 5, 5)0", "path(3, 3, 3)1", "path(1, 1, 1)2")
)
HEAD = tuple(f"fully_connected.{unit}" for unit in range(3))
_PATH_CHANNELS = (1, 30, 30, 40, 40, 40, 40, 50, 50)
_HEAD_CHANNELS = (150, 250, 250, 5)
# Of several wrong tensors so many are named.
NAMED_TENSORS = 5


@dataclass(frozen=True, slots=True)
class Weights:
    """The members of an ensemble, each with its tensors, float32, under blast-ct's names."""

    members: tuple[Tensors, ...]

    @property
    def sha256(self) -> str:
        """The identity: that of every member's tensors, in order."""
        return digest(*(tensor_digest(member) for member in self.members))


def load_weights() -> Weights:
    """Load the published weights, from the cache, the folder that CVTBATCH_DATA names or the network.

    Raises:
        InputError: they cannot be had here, and the message says which files to put where; or a file is damaged.
        ResourceError: this installation is one without the extra `embed`.
    """
    require("outline.method blast-ct needs", "torch")
    data_set = DATA_SETS[DATA_SET]
    try:
        found = fetch_data_set(DATA_SET)
    except InputError as error:
        every = " and ".join(data_set.url(name) for name in data_set.files())
        raise InputError(
            "no_weights" if error.kind == "no_data" else "bad_weights",
            f"the outlining network's weights cannot be had: {error.message}; all of them are {every}",
            error.private,
        ) from None
    return Weights(tuple(_flushed(_read_state_dict(found[name])) for name in sorted(found)))


def to_bytes(weights: Weights) -> bytes:
    """Return the weights as a safetensors file, a member's tensors with its number before their names."""
    from safetensors.numpy import save

    tensors = {
        f"{number}/{name}": values for number, member in enumerate(weights.members) for name, values in member.items()
    }
    return bytes(save(tensors, {"members": json.dumps(len(weights.members))}))


def from_bytes(data: bytes) -> Weights:
    """Return weights from the bytes of a safetensors file.

    Raises:
        InputError: they are not those of such networks.
    """
    from safetensors.numpy import load

    try:
        tensors = load(data)
    except SafetensorError as error:
        raise InputError("bad_weights", f"weights are no safetensors file: {error}") from None
    members: dict[str, dict[str, npt.NDArray[np.generic]]] = {}
    for name, values in tensors.items():
        number, _, own = name.partition("/")
        members.setdefault(number, {})[own] = values
    return Weights(tuple(_checked(members[number]) for number in sorted(members)))


def shapes() -> Mapping[str, tuple[int, ...]]:
    """Return the shapes of the published tensors by their names."""
    units = [
        *(unit for path in PATHS for unit in zip(path, _PATH_CHANNELS, _PATH_CHANNELS[1:], [3] * 8, strict=False)),
        *zip(HEAD, _HEAD_CHANNELS, _HEAD_CHANNELS[1:], [1] * 3, strict=False),
    ]
    found: dict[str, tuple[int, ...]] = {}
    for name, given, made, side in units:
        norm = {f"{name}.bn.{part}": (given,) for part in ("weight", "bias", "running_mean", "running_var")}
        found |= {**norm, f"{name}.conv.weight": (made, given, side, side, side), f"{name}.prelu.weight": (1,)}
    return found


def _read_state_dict(path: Path) -> Tensors:
    """Read a file of `torch.save`, tensors alone: a pickle that asks for code is refused."""
    import torch

    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, EOFError, RuntimeError, ValueError, zipfile.BadZipFile) as error:
        raise InputError("bad_weights", f"{path.name} is no state dict ({type(error).__name__})", str(path)) from None
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise InputError("bad_weights", f"{path.name} holds other things than tensors by name", str(path))
    return _checked({name: value.numpy() for name, value in state.items() if not name.endswith("num_batches_tracked")})


def _checked(tensors: Mapping[str, npt.NDArray[np.generic]]) -> Tensors:
    """Return the tensors if they are such a network's, wholly and nothing else."""
    expected = shapes()
    wrong = [
        *sorted(tensors.keys() ^ expected.keys()),
        *(
            name
            for name in sorted(tensors.keys() & expected.keys())
            if tensors[name].shape != expected[name]
            or tensors[name].dtype != np.float32
            or not np.isfinite(tensors[name]).all()
        ),
    ]
    if wrong:
        more = f" and {len(wrong) - NAMED_TENSORS} more" if len(wrong) > NAMED_TENSORS else ""
        raise InputError(
            "bad_weights",
            "weights are not those of blast-ct's networks: missing, unknown, of another shape or type, or not finite are "
            f"{', '.join(wrong[:NAMED_TENSORS])}{more}",
        )
    return {name: values.astype(np.float32) for name, values in tensors.items()}


def _flushed(tensors: Tensors) -> Tensors:
    return {name: np.where(np.abs(values) < LEAST, np.float32(0), values) for name, values in tensors.items()}

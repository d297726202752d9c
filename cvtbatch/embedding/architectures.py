"""The networks that hematomas can be sent through, each up to the layer below its classifier.

Torchvision's are listed here, timm's come by timm's names, and a package or a script may `register` its own. What a network takes
(`inputs`) goes with it. A name says which tensors the weights must have (`weights`), and is part of the specification with the
layer and its number of values.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING

from cvtbatch.embedding.inputs import IMAGENET, NetworkInput
from cvtbatch.embedding.torchvision_models import torchvision_models
from cvtbatch.errors import InputError
from cvtbatch.extras import Library, require
from cvtbatch.nearest import did_you_mean, enumerated

if TYPE_CHECKING:
    import torch

LIBRARY = "torchvision"
TIMM: Library = "timm"
# Packages name their networks as entry points of this group, each an `Architecture`.
ENTRY_POINTS = "cvtbatch.backbones"


def build_of_torchvision(architecture: "Architecture") -> "torch.nn.Module":
    """Return a network of torchvision's without its classifier."""
    import torch

    body: torch.nn.Module = torchvision_models().get_model(architecture.network, weights=None)
    for head in architecture.heads:
        body.set_submodule(head, torch.nn.Identity())
    return body


def build_of_timm(architecture: "Architecture") -> "torch.nn.Module":
    """Return a network of timm's that gives what its classifier would get."""
    import timm

    body: torch.nn.Module = timm.create_model(architecture.network, num_classes=0)
    return body


@dataclass(frozen=True, slots=True)
class Architecture:
    """A network up to the layer below its classifier.

    Attributes:
        network: what its library calls it.
        heads: the modules that classify: they are left out, and their tensors with them.
        layer: what is below them.
        values: that this layer gives.
        library: it is called LIBRARY:NETWORK.
        taken: what it takes.
        build: makes it, untrained and without its heads: a module from (n, channels, y, x), or (n, channels, z, y, x) of boxes, in
            float32 to (n, values). A function of a module that workers can import.
        revision: of code that a package or a script registers, raised by hand when its values move.
        licence: of its weights, where it is one for all of them.
    """

    network: str
    heads: tuple[str, ...]
    layer: str
    values: int
    library: str = LIBRARY
    taken: NetworkInput = IMAGENET
    build: "Callable[[Architecture], torch.nn.Module]" = build_of_torchvision
    revision: int = 0
    licence: str = ""

    @property
    def name(self) -> str:
        """What `embedding.backbone` of a job calls it."""
        return f"{self.library}:{self.network}"

    def settings(self) -> Mapping[str, object]:
        """Return what a specification says of the network."""
        told: dict[str, object] = {"network": self.network, "layer": self.layer, "values": self.values}
        if self.library != LIBRARY:
            told["library"] = self.library
        if self.revision:
            told["revision"] = self.revision
        return told

    def takes(self, tensor: str) -> bool:
        """Say whether a tensor of the state dict, by its name, takes part: the classifier's and BatchNorm's counters do not."""
        return not tensor.startswith(tuple(f"{head}." for head in self.heads)) and not tensor.endswith(
            "num_batches_tracked"
        )


DEFAULT = Architecture("resnet101", ("fc",), "avgpool", 2048)
# https://docs.pytorch.org/vision/stable/models: of each family those that are used for images of this size, and of those for
# videos the residual networks, whose clips of 16 pictures are boxes of slices here.
CLIP = NetworkInput("box", side=112, depth=16, mean=(0.43216, 0.394666, 0.37645), std=(0.22803, 0.22145, 0.216989))
ARCHITECTURES = {
    found.name: found
    for found in (
        DEFAULT,
        Architecture("resnet18", ("fc",), "avgpool", 512),
        Architecture("resnet34", ("fc",), "avgpool", 512),
        Architecture("resnet50", ("fc",), "avgpool", 2048),
        Architecture("resnet152", ("fc",), "avgpool", 2048),
        Architecture("resnext50_32x4d", ("fc",), "avgpool", 2048),
        Architecture("wide_resnet50_2", ("fc",), "avgpool", 2048),
        Architecture("densenet121", ("classifier",), "features, ReLU, average", 1024),
        Architecture("densenet169", ("classifier",), "features, ReLU, average", 1664),
        Architecture("densenet201", ("classifier",), "features, ReLU, average", 1920),
        Architecture("efficientnet_b0", ("classifier",), "avgpool", 1280),
        Architecture("mobilenet_v3_small", ("classifier",), "avgpool", 576),
        Architecture("mobilenet_v3_large", ("classifier",), "avgpool", 960),
        Architecture("convnext_tiny", ("classifier.2",), "avgpool, LayerNorm", 768),
        Architecture("convnext_small", ("classifier.2",), "avgpool, LayerNorm", 768),
        Architecture("convnext_base", ("classifier.2",), "avgpool, LayerNorm", 1024),
        Architecture("vit_b_16", ("heads",), "encoder, class token", 768),
        Architecture("vit_b_32", ("heads",), "encoder, class token", 768),
        Architecture("vit_l_16", ("heads",), "encoder, class token", 1024),
        Architecture("r3d_18", ("fc",), "avgpool", 512, taken=CLIP),
        Architecture("mc3_18", ("fc",), "avgpool", 512, taken=CLIP),
        Architecture("r2plus1d_18", ("fc",), "avgpool", 512, taken=CLIP),
    )
}

_registered: dict[str, Architecture] = {}


def register(architecture: Architecture) -> None:
    """Add a network of one's own, which `embedding.backbone` then calls LIBRARY:NETWORK.

    In a script that computes with workers it has to be registered there alone: it travels to them. A package that shall be found by
    the command line names it as an entry point of the group `cvtbatch.backbones`.

    Raises:
        InputError: "bad_backbone": the library's name is not free, or another network has this name.
    """
    library, name = architecture.library, architecture.name
    if library in {LIBRARY, TIMM, "torchscript", "hf"} or ":" in library or not library or not architecture.network:
        raise InputError(
            "bad_backbone",
            f"{name} cannot be registered: give it a library of its own, e.g. lab:{architecture.network}",
        )
    if _registered.setdefault(name, architecture) != architecture:
        raise InputError("bad_backbone", f"{name} is registered already, and is another network")


def find_architecture(name: str) -> Architecture:
    """Return the network of a name, e.g. "torchvision:resnet101".

    Raises:
        InputError: "bad_backbone": there is none of that name.
        ResourceError: this installation is one without the extra `timm`, which the name needs.
    """
    if found := ARCHITECTURES.get(name) or _registered.get(name):
        return found
    library, _, network = name.partition(":")
    if library == TIMM:
        return _of_timm(network)
    named = {entry.name: entry for entry in _entries()}
    if entry := named.get(name):
        return _loaded(entry)
    known = [*ARCHITECTURES, *_registered, *named]
    if library == "torchscript":
        why = "a TorchScript file is code, which nobody can check before it runs: name its network, and give its tensors as a "
        why += "safetensors file in embedding.weights; "
    elif library == "hf":
        why = "a file of tensors is no network: name the network here, and the file in embedding.weights; "
    else:
        why = did_you_mean(name if ":" in name else f"{LIBRARY}:{name}", known)
    raise InputError("bad_backbone", f"embedding.backbone {name}: {why}it is one of {enumerated(known)}, or timm:NAME")


def network_of(settings: Mapping[str, Mapping[str, object]]) -> str:
    """Return the name of the network of a specification's settings; the default's where they do not say it."""
    backbone = settings.get("backbone", {})
    return f"{backbone.get('library', LIBRARY)}:{backbone.get('network', DEFAULT.network)}"


def _entries() -> Iterator[EntryPoint]:
    yield from entry_points(group=ENTRY_POINTS)


def _loaded(entry: EntryPoint) -> Architecture:
    """Return the network that a package registers.

    Raises:
        InputError: "bad_backbone": it cannot be loaded, or is none of that name.
    """
    try:
        found = entry.load()
    except Exception as error:  # whatever a package does when it is imported
        raise InputError(
            "bad_backbone",
            f"embedding.backbone {entry.name}: {entry.value}, which a package registers, cannot be loaded "
            f"({type(error).__name__})",
            str(error),
        ) from None
    if not isinstance(found, Architecture) or found.name != entry.name:
        told = found.name if isinstance(found, Architecture) else f"a {type(found).__name__}"
        raise InputError("bad_backbone", f"embedding.backbone {entry.name}: a package registers {told} under this name")
    return found


@lru_cache
def _of_timm(network: str) -> Architecture:
    """Return a network of timm's, with the input that timm says that its weights were trained with.

    https://huggingface.co/docs/timm/feature_extraction: `num_classes=0` gives the pooled features, without classifier.
    """
    require(f"embedding.backbone {TIMM}:{network} needs", TIMM)
    import timm
    import torch
    from timm.data.config import resolve_model_data_config

    if not timm.is_model(network):
        near = did_you_mean(network, timm.list_models())
        raise InputError(
            "bad_backbone", f"embedding.backbone {TIMM}:{network}: {near}timm {timm.__version__} has none of that name"
        )
    try:
        with torch.device("meta"):
            body = timm.create_model(network, num_classes=0)
    except RuntimeError as error:
        raise InputError("bad_backbone", f"embedding.backbone {TIMM}:{network}: {error}") from None
    of_weights: dict[str, str | tuple[str, ...]] = vars(body)["pretrained_cfg"]
    of_input = resolve_model_data_config(body)
    channels, *size = of_input["input_size"]
    if channels != 3 or size[0] != size[1]:
        raise InputError(
            "bad_backbone",
            f"embedding.backbone {TIMM}:{network}: it takes {of_input['input_size']}, and no square of 3 channels",
        )
    classifier = of_weights.get("classifier") or ()
    heads = (classifier,) if isinstance(classifier, str) else tuple(classifier)
    taken = NetworkInput(side=size[0], mean=tuple(of_input["mean"]), std=tuple(of_input["std"]))
    values = body.eval()(torch.empty((1, channels, *size), device="meta")).shape[1]
    return Architecture(network, heads, "pooled features", values, TIMM, taken, build_of_timm)

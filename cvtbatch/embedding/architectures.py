"""The image networks that slices can be sent through: torchvision's, by name, each up to the layer below its classifier.

All of them take a square of 224 pixels in three channels, normalised as ImageNet is (`preprocessing`). A name says which tensors
the weights must have (`weights`), and is part of the specification with the layer and its number of values.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from cvtbatch.errors import InputError
from cvtbatch.nearest import did_you_mean, enumerated

LIBRARY = "torchvision"


@dataclass(frozen=True, slots=True)
class Architecture:
    """A network of torchvision's up to the layer below its classifier.

    Attributes:
        network: what torchvision calls it.
        head: the module that classifies: it is left out, and its tensors with it.
        layer: what is below it.
        values: that this layer gives.
    """

    network: str
    head: str
    layer: str
    values: int

    @property
    def name(self) -> str:
        """What `embedding.backbone` of a job calls it."""
        return f"{LIBRARY}:{self.network}"

    def settings(self) -> Mapping[str, object]:
        """Return what a specification says of the network."""
        return {"network": self.network, "layer": self.layer, "values": self.values}

    def takes(self, tensor: str) -> bool:
        """Say whether a tensor of the state dict, by its name, takes part: the classifier's and BatchNorm's counters do not."""
        return not tensor.startswith(f"{self.head}.") and not tensor.endswith("num_batches_tracked")


DEFAULT = Architecture("resnet101", "fc", "avgpool", 2048)
# https://docs.pytorch.org/vision/stable/models: of each family those that are used for images of this size.
ARCHITECTURES = {
    found.name: found
    for found in (
        DEFAULT,
        Architecture("resnet18", "fc", "avgpool", 512),
        Architecture("resnet34", "fc", "avgpool", 512),
        Architecture("resnet50", "fc", "avgpool", 2048),
        Architecture("resnet152", "fc", "avgpool", 2048),
        Architecture("resnext50_32x4d", "fc", "avgpool", 2048),
        Architecture("wide_resnet50_2", "fc", "avgpool", 2048),
        Architecture("densenet121", "classifier", "features, ReLU, average", 1024),
        Architecture("densenet169", "classifier", "features, ReLU, average", 1664),
        Architecture("densenet201", "classifier", "features, ReLU, average", 1920),
        Architecture("efficientnet_b0", "classifier", "avgpool", 1280),
        Architecture("mobilenet_v3_small", "classifier", "avgpool", 576),
        Architecture("mobilenet_v3_large", "classifier", "avgpool", 960),
        Architecture("convnext_tiny", "classifier.2", "avgpool, LayerNorm", 768),
        Architecture("convnext_small", "classifier.2", "avgpool, LayerNorm", 768),
        Architecture("convnext_base", "classifier.2", "avgpool, LayerNorm", 1024),
        Architecture("vit_b_16", "heads", "encoder, class token", 768),
        Architecture("vit_b_32", "heads", "encoder, class token", 768),
        Architecture("vit_l_16", "heads", "encoder, class token", 1024),
    )
}


def find_architecture(name: str) -> Architecture:
    """Return the network of a name, e.g. "torchvision:resnet101".

    Raises:
        InputError: "bad_backbone": there is none of that name.
    """
    if found := ARCHITECTURES.get(name):
        return found
    if name.startswith("torchscript:"):
        why = "a TorchScript file is code, which nobody can check before it runs: name its network, and give its tensors as a "
        why += "safetensors file in embedding.weights; "
    else:
        why = did_you_mean(name if ":" in name else f"{LIBRARY}:{name}", ARCHITECTURES)
    raise InputError("bad_backbone", f"embedding.backbone {name}: {why}it is one of {enumerated(ARCHITECTURES)}")


def network_of(settings: Mapping[str, Mapping[str, object]]) -> str:
    """Return the name of the network of a specification's settings; the default's where they do not say it."""
    return f"{LIBRARY}:{settings.get('backbone', {}).get('network', DEFAULT.network)}"

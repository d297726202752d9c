"""The image networks of a bundle, one or several fused: whose weights are to be had, and under which terms."""

from collections.abc import Sequence
from dataclasses import dataclass

from cvtbatch.dlrn.description import Description
from cvtbatch.embedding.weights import is_non_commercial, licence_of
from cvtbatch.errors import InputError

# What the names of random weights begin with.
UNTRAINED = "random:"


@dataclass(frozen=True, slots=True)
class NetworkWeights:
    """Weights of an image network.

    Attributes:
        backbone: the network.
        name: what `embedding.weights` of a job calls them, "file" where they are of a file.
        sha256: of their tensors, empty where it is not known.
        licence: empty where it is not known.
    """

    backbone: str
    name: str
    sha256: str
    licence: str

    def __str__(self) -> str:
        terms = "" if self.name.startswith(UNTRAINED) else f", licence {self.licence or 'not known'}"
        return f"{self.backbone}, weights {self.name}, SHA-256 {self.sha256 or 'not known'}{terms}"


def networks_of(told: Description) -> tuple[NetworkWeights, ...]:
    """Return the networks in the order in which their embeddings are fused."""
    own, weights = told.backbones, told.weights
    if not own:
        return (NetworkWeights(told.backbone, weights.name, weights.sha256, licence_of(weights.name)),)
    return tuple(NetworkWeights(one.name, one.source, one.sha256, one.licence) for one in own)


def untrained_weights(told: Description) -> str:
    """Return the names of a bundle's weights that were never trained."""
    names = [network.name for network in networks_of(told)]
    return ", ".join([name for name in names if name.startswith(UNTRAINED)] or names)


def caution_of(backbone: str, weights: str, licence: str) -> str | None:
    """Say that a licence, or terms that may apply, allow no commercial use, or that it is not known; nothing of another.

    Weights that were never trained are of no use that a licence could forbid.
    """
    if weights.startswith(UNTRAINED):
        return None
    whose = f"weights {weights} of the image network {backbone}"
    if not licence:
        return f"the licence of the {whose} is not known: ask who made them what they may be used for"
    if is_non_commercial(licence):
        return f"not for commercial use, or so by terms that may apply: {whose}: {licence}"
    return None


def names_weights(overrides: Sequence[str]) -> bool:
    """Say whether settings of a job, NAME=VALUE each, name weights in place of the bundle's: by themselves, or in sections."""
    return any(
        text.startswith("embedding.weights=") or (text.startswith("embedding=") and "weights" in text)
        for text in overrides
    )


def require_sections(sections: int, networks: int) -> None:
    """Refuse weights that are given for another number of networks than a bundle has.

    Raises:
        InputError: "bad_embeddings".
    """
    if sections != networks:
        raise InputError(
            "bad_embeddings",
            f"the bundle has {networks} image network{'s' if networks > 1 else ''}, and the job {sections} sections of embedding: "
            "name the weights of each, in their order, e.g. of two --set 'embedding=[{weights: FILE}, {weights: FILE}]'; what else "
            "they say gives way to the bundle",
        )

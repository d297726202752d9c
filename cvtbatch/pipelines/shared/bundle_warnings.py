"""What speaks against a bundle before anything is computed with it: told first, wherever one is looked at or about to be used."""

from dataclasses import dataclass
from typing import Literal

from cvtbatch.dlrn.description import Description
from cvtbatch.pipelines.shared.bundle_networks import caution_of, networks_of, untrained_weights


@dataclass(frozen=True, slots=True)
class BundleWarning:
    """A thing that whoever uses a bundle has to know before hours of work.

    Attributes:
        message: what is so, what it means, and what can be done about it.
    """

    kind: Literal["untrained_weights", "licence", "no_settings"]
    message: str


def bundle_warnings(told: Description) -> tuple[BundleWarning, ...]:
    """Return what speaks against a bundle by what it says of itself."""
    found = []
    if told.weights.not_for_inference:
        untrained = untrained_weights(told)
        found.append(
            BundleWarning(
                "untrained_weights",
                f"not for inference: the image network of this bundle has the weights {untrained}, which were never "
                "trained: its scores show that the machinery works, and say nothing of any patient",
            )
        )
    cautions = [caution_of(network.backbone, network.name, network.licence) for network in networks_of(told)]
    found += [BundleWarning("licence", caution) for caution in cautions if caution is not None]
    if told.spec_settings is None:
        ids = ", ".join(told.specs.of_kind(kind) for kind in ("volume", "radiomics", "embedding"))
        found.append(
            BundleWarning(
                "no_settings",
                f"the bundle carries no settings of its specifications ({ids}): no archive can be extracted by it alone, only by "
                "a store, or a job file, that has exactly these: ask who fitted it for the job file, or for a bundle that this "
                "version writes",
            )
        )
    return tuple(found)

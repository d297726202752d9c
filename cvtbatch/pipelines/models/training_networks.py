"""The image networks whose embeddings a training cohort has: one, or several fused."""

import json
from collections.abc import Mapping, Sequence

import pyarrow as pa

from cvtbatch.dlrn.audit import Backbone
from cvtbatch.dlrn.column_sources import NamedBackbone
from cvtbatch.embedding.architectures import DEFAULT, network_of
from cvtbatch.embedding.weights import OF_TORCHVISION, licence_in, licence_of
from cvtbatch.errors import FormatError
from cvtbatch.manifest import patient_digest
from cvtbatch.pipelines.models.eligible_cases import Row
from cvtbatch.spec import FUSE, FUSE_NAMES, Spec
from cvtbatch.store import FeatureStore


def fused_lengths(embeddings: Sequence[Spec]) -> tuple[int, ...]:
    """Return how many numbers each of several fused networks gives; nothing of one."""
    return tuple(_length(spec) for spec in embeddings) if len(embeddings) > 1 else ()


def _length(embedding: Spec) -> int:
    """Return how many numbers a network gives; one that is not told is the default."""
    length: int = embedding.content().get("backbone", {}).get("values", DEFAULT.values)
    return length


def weights_of(embeddings: Sequence[Spec], slices: pa.Table) -> dict[str, str | bool]:
    """Return what bundle.json says of the weights, of fused networks of all at once."""
    return {
        "name": slices["weights"][0].as_py(),
        "sha256": FUSE.join(weights_digest(spec) for spec in embeddings),
        "not_for_inference": bool(slices["not_for_inference"][0].as_py()),
    }


def describe_networks(
    embeddings: Sequence[Spec], weights: Mapping[str, str | bool], store: FeatureStore
) -> list[NamedBackbone]:
    """Return the networks in the order in which they are fused, with the licences of their weights.

    Args:
        weights: of `weights_of`.
        store: whose copies of weights say their licences, where their names do not.
    """
    sources = str(weights["name"]).split(FUSE_NAMES)
    return [_described(spec, source, store) for spec, source in zip(embeddings, sources, strict=True)]


def _described(spec: Spec, source: str, store: FeatureStore) -> NamedBackbone:
    settings, sha256 = spec.content(), weights_digest(spec)
    licence = licence_of(source) if source in OF_TORCHVISION else _stored_licence(sha256, store)
    return NamedBackbone(network_of(settings), spec.spec_id, _length(spec), sha256, licence, source)


def _stored_licence(sha256: str, store: FeatureStore) -> str:
    """Return the licence that the store's copy of weights says; empty where there is none, or it says none."""
    try:
        return licence_in(store.read_weights(sha256))
    except FormatError:
        return ""


def weights_digest(embedding: Spec) -> str:
    """Return the SHA-256 of the tensors of a network's weights, empty where the specification does not say it."""
    return str(embedding.content().get("weights", {}).get("sha256", ""))


def tuned_on(embeddings: Sequence[Spec], cases: Sequence[Row]) -> Backbone:
    """Return whom the networks were tuned on; patients of whom the snapshot has no case are told by their digest."""
    tuned = [spec.content().get("weights", {}).get("fine_tuned", {}) for spec in embeddings]
    people = [(str(case["center"]), str(case["patient"])) for case in cases]
    known = {patient_digest(*person): person for person in people}
    seen = [patient for own in tuned for patient in json.loads(own.get("trained_on", "[]"))]
    return Backbone(frozenset(known.get(patient, ("unknown", patient)) for patient in seen))

"""Where columns of a bundle come from, if not from the study's features and the default embedding of the largest slice."""

from dataclasses import dataclass

from cvtbatch.dlrn.pooling import Pooling


@dataclass(frozen=True, slots=True)
class FeatureTable:
    """A table of a user's own features that columns come from, in place of the study's."""

    table: str
    spec_id: str
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NamedBackbone:
    """An image network in place of the default one, or one of several whose embeddings are fused.

    Attributes:
        length: of its embedding.
        sha256: of its weights' tensors, empty where it is not known; source: their name; licence: empty where it is not known.
    """

    name: str
    embedding_spec_id: str
    length: int
    sha256: str
    licence: str
    source: str


@dataclass(frozen=True, slots=True)
class RegionColumns:
    """A region derived of the outlines, and the columns that come from it: its name, a colon and a feature, e.g. rim5:..."""

    name: str
    region_spec_id: str
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SlicePooling:
    """How a hematoma's slices make the embedding that is scored."""

    kind: Pooling

"""Specifications: what was done to a volume, as canonical settings, and short hashes that chain them.

`volume_spec_id` <- `radiomics_spec_id`, <- `outline_spec_id`, <- `region_spec_id`, <- `embedding_spec_id`, <- `signs_spec_id` and
`locations_spec_id`: each hash covers the settings of its stage and the id of the stage below, so that a change recomputes what it
touches and nothing else. Revisions are integers, raised by hand when values move.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from cvtbatch.errors import FormatError

# Raised when the same source decodes or resamples to other voxels.
INGEST_REVISION = 2
# Raised when a feature moves beyond the parity contract.
RADIOMICS_REVISION = 1
# Raised when an embedding moves beyond 1e-5 of its norm.
EMBEDDING_REVISION = 1
# Raised when the same volume is given another outline.
OUTLINE_REVISION = 1
# Raised when the same outline is given another region.
REGION_REVISION = 1
# Raised when a sign or a measure of an outline has another value.
SIGNS_REVISION = 1
# Raised when an outline is given another location.
LOCATIONS_REVISION = 1
# Raised when a pair of studies has another value.
PAIRS_REVISION = 1

# Between the specifications of embeddings that are fused, in their order; and between names of theirs that people read.
FUSE, FUSE_NAMES = "+", " + "
# Told by their digest, and too many to be shown.
COLUMNS = "radiomics.features.names"
_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def canonical_json(value: object) -> str:
    """Return JSON that is equal for equal values: sorted keys, no blanks, floats in shortest form, no NaN."""
    return _ENCODER.encode(value)


def digest(*parts: str | bytes | memoryview) -> str:
    """Return the SHA-256, as hex, of parts that cannot run into one another; a memoryview is one of bytes."""
    hasher = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        hasher.update(len(data).to_bytes(8, "little"))
        hasher.update(data)
    return hasher.hexdigest()


@dataclass(frozen=True, slots=True)
class Spec:
    """The settings of one stage.

    Attributes:
        kind: "volume", "outline", "region", "radiomics", "embedding", or the table of values that describe outlines.
        parent_id: specification of the stage below, or empty.
        settings: canonical JSON.
    """

    kind: str
    parent_id: str
    settings: str

    @property
    def spec_id(self) -> str:
        """Short hash: the kind's first three letters and 12 hex digits."""
        return f"{self.kind[:3]}-{digest(self.kind, self.parent_id, self.settings)[:12]}"

    @property
    def feature_set(self) -> str:
        """Name of the feature set of the user's own that it specifies; empty for what else it specifies."""
        return str(self.content().get("set", "")) if self.kind == "radiomics" else ""

    def content(self) -> dict[str, Any]:
        """Return the settings.

        Raises:
            FormatError: "store_damaged": the text that was stored is no JSON object.
        """
        try:
            found = json.loads(self.settings)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise FormatError("store_damaged", f"the settings of a {self.kind} specification are not what was written")
        return found


@dataclass(frozen=True, slots=True)
class Difference:
    """A setting in which two specifications differ, as JSON; None where one of them does not have it."""

    setting: str
    first: str | None
    second: str | None

    def __str__(self) -> str:
        first, second = ("absent" if value is None else value for value in (self.first, self.second))
        return f"{self.setting}: {first} | {second}"


def differences(specs: Mapping[str, Spec], first: str, second: str) -> list[Difference]:
    """Return what tells two specifications apart, setting by setting, those that they build on included.

    Args:
        specs: by id; both, and those that they build on.
    """
    one, other = (_chain_settings(specs, spec_id) for spec_id in (first, second))
    return [
        Difference(name, one.get(name), other.get(name))
        for name in sorted({*one, *other})
        if one.get(name) != other.get(name)
    ]


def _chain_settings(specs: Mapping[str, Spec], spec_id: str) -> dict[str, str]:
    """Return the settings of a specification and of those below it, by dotted name, as JSON."""
    found: dict[str, str] = {}

    def flatten(name: str, value: object) -> None:
        if isinstance(value, dict) and value:
            for key, part in value.items():
                flatten(f"{name}.{key}", part)
        elif name != COLUMNS:
            found[name] = canonical_json(value)

    while spec_id in specs:
        spec = specs[spec_id]
        flatten(spec.kind, spec.content())
        spec_id = spec.parent_id
    return found


def volume_spec(spacing_mm: tuple[float, float, float]) -> Spec:
    """Return the specification of stored volumes and masks."""
    settings = {
        "spacing_mm": [float(step) for step in spacing_mm],
        "grid": "first voxel stays, ceil(n * s / t)",
        "image": {"interpolator": "cubic B-spline", "rounding": "half to even", "dtype": "int16", "outside_hu": -1024},
        "mask": {"interpolator": "nearest neighbour", "dtype": "uint8"},
        "ingest_revision": INGEST_REVISION,
    }
    return Spec("volume", "", canonical_json(settings))


def outline_spec(parent: Spec, settings: Mapping[str, object]) -> Spec:
    """Return the specification of outlines that a method finds in the volumes of `parent`.

    Args:
        settings: every setting that moves a voxel, the identity of the weights among them.
    """
    return Spec("outline", parent.spec_id, canonical_json({**settings, "revision": OUTLINE_REVISION}))


def region_spec(parent: Spec, settings: Mapping[str, object]) -> Spec:
    """Return the specification of a region that is derived of outlines on the volumes of `parent`.

    Args:
        settings: every setting that moves a voxel, the region's name among them.
    """
    return Spec("region", parent.spec_id, canonical_json({**settings, "revision": REGION_REVISION}))


def radiomics_spec(parent: Spec, settings: Mapping[str, object], features: tuple[str, ...]) -> Spec:
    """Return the specification of radiomics features on the volumes of `parent`.

    Args:
        settings: every setting that moves a value, under PyRadiomics' names.
        features: names in order.
    """
    content = {
        "settings": dict(settings),
        "features": {"count": len(features), "sha256": digest("\n".join(features))},
        "engine_revision": RADIOMICS_REVISION,
    }
    return Spec("radiomics", parent.spec_id, canonical_json(content))


def feature_set_spec(
    parent: Spec,
    name: str,
    document: Mapping[str, object],
    settings: Mapping[str, object],
    features: tuple[str, ...],
    grid: str = "stored",
) -> Spec:
    """Return the specification of a feature set of the user's own on the volumes of `parent`, or on their sources.

    It says all that a reader needs of the set: its name, which is that of its table, and the table's columns.

    Args:
        document: image types and classes; their order stands in the names.
        settings: every setting that moves a value, under PyRadiomics' names.
        features: names in order.
        grid: that it is computed on, "stored" or "source".
    """
    content = {
        **document,
        "set": name,
        "grid": grid,
        "settings": dict(settings),
        "features": {"count": len(features), "sha256": digest("\n".join(features)), "names": list(features)},
        "engine_revision": RADIOMICS_REVISION,
    }
    return Spec("radiomics", parent.spec_id, canonical_json(content))


def embedding_spec(parent: Spec, settings: Mapping[str, object]) -> Spec:
    """Return the specification of embeddings of slices of the volumes of `parent`.

    Args:
        settings: every setting that moves a value, the identity of the weights among them.
    """
    return Spec("embedding", parent.spec_id, canonical_json({**settings, "revision": EMBEDDING_REVISION}))


def parts_of(spec_ids: Iterable[str]) -> list[str]:
    """Return the specifications that some ids name: those of fused embeddings, "emb-...+emb-...", one by one, each once."""
    return list(dict.fromkeys(part for spec_id in spec_ids for part in spec_id.split(FUSE)))


def description_spec(parent: Spec, table: str, settings: Mapping[str, object]) -> Spec:
    """Return the specification of values that describe outlines on the volumes of `parent`.

    Args:
        table: that holds them.
        settings: revision and constants of the definitions.
    """
    return Spec(table, parent.spec_id, canonical_json(settings))

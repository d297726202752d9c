"""Specifications: what was done to a volume, as canonical settings, and short hashes that chain them.

`volume_spec_id` <- `radiomics_spec_id`: each hash covers the settings of its stage and the id of the stage below, so that a
change recomputes what it touches and nothing else. Revisions are integers, raised by hand when values move.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

# Raised when the same source decodes or resamples to other voxels.
INGEST_REVISION = 2
# Raised when a feature moves beyond the parity contract.
RADIOMICS_REVISION = 1


def canonical_json(value: object) -> str:
    """Return JSON that is equal for equal values: sorted keys, no blanks, floats in shortest form, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest(*parts: str | bytes) -> str:
    """Return the SHA-256, as hex, of parts that cannot run into one another."""
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
        kind: "volume", "radiomics" or "embedding".
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

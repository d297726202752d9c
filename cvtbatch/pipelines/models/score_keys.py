"""What a score is of: the outline, and the digests of all that it was computed from."""

from collections.abc import Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from cvtbatch.contracts import RADIOMICS
from cvtbatch.dlrn.bundle import Bundle
from cvtbatch.dlrn.pooling import Pooling
from cvtbatch.errors import InputError
from cvtbatch.manifest import Reading, require_centers
from cvtbatch.pipelines.shared.readings import read_readings
from cvtbatch.pipelines.shared.region_columns import lacking_regions
from cvtbatch.regions.rules import REGION_SPEC, region_column
from cvtbatch.spec import Spec, differences, parts_of
from cvtbatch.store import IS_LARGEST, FeatureStore, View, among, incomplete_outlines

# Differences of specifications that a message lists.
SHOWN = 5
# With the bundle's digest, the key of `scores` and `explanations`.
KEY = ("roi_key", "radiomics_digest", "embedding_digest", "clinical_digest")


def read_reading(view: View, bundle: Bundle, reader: str | None, centers: Sequence[str]) -> Reading:
    """Return whose outlines a bundle is to score.

    Args:
        reader: the name of a reader, or of a method, which means its newest reader; by default whom the bundle was fitted on.
        centers: only outlines of these; of all where none is named.

    Raises:
        InputError: "no_such_center" or "no_such_reader", with those that there are; "no_such_spec", the store lacks the bundle's.
    """
    if centers:
        require_centers(centers, view.centers())
    spec_ids = bundle.specs.ids()
    known = view.specs()
    if absent := [spec_id for spec_id in parts_of(spec_ids) if spec_id not in known]:
        raise InputError(
            "no_such_spec",
            f"the store has no features under the bundle's settings ({', '.join(absent)}{_other_settings(bundle, known)}): "
            "cvtbatch add-center MANIFEST --store STORE --bundle BUNDLE --out REPORT makes them",
        )
    fitted = bundle.description.primary
    if reader is None or reader == fitted.reader:
        return fitted
    return read_readings(view, spec_ids, centers).find(reader)


def _other_settings(bundle: Bundle, known: Mapping[str, Spec]) -> str:
    """Say of a bundle's feature set that the store lacks what it has instead; nothing of the study's features."""
    name, own = bundle.description.features, bundle.specs.radiomics_spec_id
    if name == RADIOMICS or own in known:
        return ""
    others = [spec_id for spec_id, spec in known.items() if spec.feature_set == name]
    specs = {**known, **bundle.known_specs()}
    found = {other: differences(specs, own, other) for other in others}
    told = [f"{other} differs in {'; '.join(map(str, lines[:SHOWN]))}" for other, lines in found.items()]
    return f"; of its feature set {name}, {'; '.join(told)}" if told else f"; there is no feature set {name}"


def read_keys(
    store: FeatureStore, bundle: Bundle, snapshot: str, centers: Sequence[str], reading: Reading
) -> tuple[pa.Table, Mapping[str, str]]:
    """Return the key of the score that each outline of a reading has, or will have, of a bundle.

    Args:
        centers: only these; all where none is named.

    Returns:
        the columns of KEY; a digest is empty where there is no such input.
        why outlines with features are not among them, by roi_key: they have none of a region that the bundle takes.

    Raises:
        InputError: a centre has no features, or the store lacks the bundle's specifications.
    """
    spec_ids = bundle.specs.ids()
    inputs = ["roi_key", "input_digest"]
    of_regions = [region_column(region, REGION_SPEC) for region in bundle.regions]
    rows = store.wide(
        columns=[*inputs, "center", "clinical_digest", *of_regions],
        where=pc.field("center").isin(pa.array(list(centers), pa.string())) if centers else None,
        snapshot=snapshot,
        spec=spec_ids,
        primary_reader=reading.reader,
        primary_reading=reading.number,
        features=bundle.description.features,
        regions=bundle.regions,
    )
    for center in sorted(set(centers) - set(rows["center"].to_pylist())):
        there = read_readings(store.at(snapshot), spec_ids, (center,))
        raise InputError(
            "no_features",
            f"centre {center!r} has no features under the bundle's specifications of outlines by {reading}; there are outlines by "
            f"{there}: extract it under them (`cvtbatch add-center`), or name another reader (--reader)",
        )
    lacking = lacking_regions(store.at(snapshot), rows, bundle.regions, "roi_key")
    rows = rows.filter(pc.invert(pc.is_in(rows["roi_key"], pa.array(list(lacking), pa.string()))))
    largest = store.embeddings(columns=inputs, where=IS_LARGEST, snapshot=snapshot, spec=spec_ids)
    embedded = among(rows, largest, inputs)
    if bundle.model.pooling is not Pooling.LARGEST:
        embedded = pc.and_not(embedded, among(rows, incomplete_outlines(store.at(snapshot), spec_ids), inputs))
    digest = rows["input_digest"]
    of_embedding = pc.if_else(embedded, digest, "")
    keys = pa.table([rows["roi_key"], digest, of_embedding, pc.fill_null(rows["clinical_digest"], "")], KEY)
    return keys, lacking

"""Features of regions beside those of the outlines that they are derived of, under names that tell whose they are."""

from collections.abc import Iterable, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from cvtbatch.contracts import TableContract
from cvtbatch.regions.rules import REGION_SPEC, region_column, split_column
from cvtbatch.store.pooled_embeddings import INPUT
from cvtbatch.store.reading import View
from cvtbatch.store.row_keys import REGION, joined, spec_column

PARENT = ("parent_roi_key", "parent_digest")


def region_columns(region: str, features: Iterable[str]) -> dict[str, str]:
    """Return the columns of a region: the specification that derived it, and its features; each with its name in the tables."""
    return {region_column(region, name): name for name in (REGION_SPEC, *features)}


def feature_columns(features: TableContract, regions: Iterable[str], of_outline: bool = True) -> tuple[str, ...]:
    """Return the names of all features of an outline, unless they are not wanted, and of regions of it."""
    own = features.features if of_outline else ()
    return (*own, *(region_column(region, name) for region in regions for name in features.features))


def region_features(
    view: View,
    outlines: pa.Table,
    region: str,
    columns: Sequence[str],
    features: TableContract,
    spec: str | Sequence[str] | None,
    restrict: bool = False,
) -> pa.Table:
    """Return columns of a region of some outlines, under the outline's roi_key and input_digest; a row each that has its features.

    Args:
        outlines: rows with the columns of INPUT and radiomics_spec_id, which the region's features share.
        columns: of `region_columns`.
        features: table of the features.
        spec: specifications; those of regions among them say which derived it.
        restrict: read the rows of these outlines' regions alone.

    Raises:
        InputError: "several_specs": regions of these outlines were derived under several specifications.
    """
    names = [split_column(column)[1] for column in columns]
    derived = _derived(view, region, spec)
    derived = derived.filter(pc.is_in(derived[PARENT[0]], outlines["roi_key"].combine_chunks()))
    radiomics = spec_column("radiomics")
    where = (pc.field(REGION) == region) & pc.field(radiomics).isin(outlines[radiomics].unique())
    keys = derived["roi_key"].combine_chunks() if restrict and derived.num_rows else None
    found = view.features(
        features.name, [*INPUT, *(name for name in names if name != REGION_SPEC)], where, roi_keys=keys
    )
    places = pc.index_in(joined(found, INPUT), value_set=joined(derived, INPUT).combine_chunks())
    found, derived = found.filter(places.is_valid()), derived.take(places.drop_null())
    if len(spec_ids := derived[REGION_SPEC].unique().to_pylist()) > 1:
        raise view.several_specs("region", sorted(spec_ids))
    found = found.append_column(derived.schema.field(REGION_SPEC), derived[REGION_SPEC])
    fields = [found.schema.field(name).with_name(column) for column, name in zip(columns, names, strict=True)]
    parents = [derived.schema.field(name).with_name(own) for own, name in zip(INPUT, PARENT, strict=True)]
    values = [*(derived[name] for name in PARENT), *(found[name] for name in names)]
    return pa.table(values, schema=pa.schema([*parents, *fields]))


def _derived(view: View, region: str, spec: str | Sequence[str] | None) -> pa.Table:
    """Return the current rows of `regions` that have voxels: of one region, and of those specifications of it that are named."""
    rows = view.rows("regions", [*INPUT, *PARENT, REGION, REGION_SPEC, "state"])
    rows = rows.filter((pc.field(REGION) == region) & (pc.field("state") == "derived"))
    named = [spec] if isinstance(spec, str) else list(spec or ())
    known = view.specs_with(named)
    own = [name for name in named if known[name].kind == "region" and known[name].content()["region"] == region]
    return rows.filter(pc.field(REGION_SPEC).isin(own)) if own else rows

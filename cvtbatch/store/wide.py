"""Clinical values, radiomics and an embedding side by side: what models are fitted on and score."""

import json
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from cvtbatch import contracts
from cvtbatch.contracts import TableContract
from cvtbatch.dlrn.pooling import Pooling
from cvtbatch.manifest import Reading
from cvtbatch.regions.rules import columns_by_region
from cvtbatch.store.column_names import check_columns
from cvtbatch.store.pooled_embeddings import INPUT, pooled_embeddings
from cvtbatch.store.reading import View
from cvtbatch.store.region_features import region_columns, region_features
from cvtbatch.store.row_keys import IS_LARGEST, IS_OUTLINE, REGION, joined
from cvtbatch.store.taken_rows import take_rows

IDENTITY = ("roi_key", "case_key", "center", "case_id", "roi", "reader", "reading")
SPECS = ("volume_spec_id", "radiomics_spec_id", "embedding_spec_id", "input_digest", "clinical_digest")
PRIMARY = Reading("A", 1)
"""The outlines that count, unless others are named."""


def wide_columns(
    features: TableContract | None = None, pooling: Pooling = Pooling.LARGEST, regions: Sequence[str] = ()
) -> list[str]:
    """Return the columns in order: identity, clinical values, specifications and digests, features, regions' features, embedding.

    Args:
        features: table of the features; by default that of the study's.
        pooling: which embedding.
        regions: whose features stand beside those of the outlines.
    """
    names = (features or contracts.table(contracts.RADIOMICS)).features
    of_regions = [column for region in regions for column in region_columns(region, names)]
    return [*IDENTITY, *contracts.clinical_columns(), *SPECS, *names, *of_regions, pooling.column]


def wide_schema(
    features: TableContract | None = None, pooling: Pooling = Pooling.LARGEST, regions: Sequence[str] = ()
) -> pa.Schema:
    """Return the columns with their types; arguments as for `wide_columns`."""
    own = features or contracts.table(contracts.RADIOMICS)
    tables = [*map(contracts.table, ("embeddings", "cases", "regions")), own]
    fields = {field.name: field for table in tables for field in table.arrow()}
    fields[pooling.column] = fields["embedding"].with_name(pooling.column)
    for region in regions:
        of_region = region_columns(region, own.features).items()
        fields |= {column: fields[name].with_name(column).with_nullable(True) for column, name in of_region}
    return pa.schema([fields[name] for name in wide_columns(features, pooling, regions)])


def wide_rows(
    view: View,
    columns: Sequence[str] | None,
    where: pc.Expression | None,
    spec: str | Sequence[str] | None,
    primary: Reading = PRIMARY,
    roi_keys: pa.Array | None = None,
    features: TableContract | None = None,
    pooling: Pooling = Pooling.LARGEST,
    region: str | None = None,
    regions: Sequence[str] = (),
) -> pa.Table:
    """Return one row a primary ROI that has features; see `FeatureStore.wide`.

    Args:
        columns: x_ columns of the manifest among them are texts, null where a case has none.
        primary: the outlines that count.
        region: of these outlines, a region that is derived of them; None for the outlines themselves.
        roi_keys: only these outlines, at least one.
        features: table of the features; by default that of the study's.
        pooling: which embedding.
        regions: whose features stand beside those of the outlines.
    """
    features = features or contracts.table(contracts.RADIOMICS)
    known, of_embedding = wide_columns(features, pooling, regions), ("embedding_spec_id", pooling.column)
    own_columns = [name for name in columns or () if name.startswith(contracts.pass_through_prefix())]
    wanted = check_columns(columns, [*known, *own_columns])
    # An expression does not tell which columns it names, but its text does; a column too many only costs time.
    told = "" if where is None else str(where)
    named = [name for name in known if name in told]
    needed = list(dict.fromkeys([*wanted, *named]))
    stored = [*contracts.clinical_columns(), "clinical_digest"]
    of_case = [*stored, *own_columns]
    of_regions = columns_by_region(needed)
    elsewhere = {*of_case, *of_embedding, *(name for own in of_regions.values() for name in own)}
    of_region = IS_OUTLINE if region is None else pc.field(REGION) == region
    only_primary = (pc.field("reader") == primary.reader) & (pc.field("reading") == primary.number) & of_region
    pushed = only_primary if where is None or elsewhere & set(named) else only_primary & where
    own = [name for name in needed if name not in elsewhere]
    read = list(dict.fromkeys([*own, "case_key", *INPUT, "radiomics_spec_id"]))
    rows = view.features(features.name, read, pushed, spec, roi_keys)
    origin = json.loads(rows.schema.metadata[b"cvtbatch"])
    if any(name in of_case for name in needed):
        cases = with_own_columns(
            view.rows("cases", ["case_key", *stored, *(["extra"] if own_columns else [])]), own_columns
        )
        rows = _beside(rows, cases, ["case_key"], of_case)
    if any(name in of_embedding for name in needed):
        if pooling is Pooling.LARGEST:
            found = view.embeddings([*INPUT, *of_embedding], IS_LARGEST, spec, roi_keys)
        else:
            found = pooled_embeddings(view, pooling, spec, roi_keys)
        rows = _beside(rows, found, INPUT, of_embedding)
        origin |= json.loads(found.schema.metadata[b"cvtbatch"])
    for name, beside in of_regions.items():
        rows = _beside(
            rows, region_features(view, rows, name, beside, features, spec, roi_keys is not None), INPUT, beside
        )
    if where is not None and pushed is only_primary:
        rows = rows.filter(where)
    return rows.select(wanted).replace_schema_metadata({"cvtbatch": json.dumps(origin)})


def with_own_columns(cases: pa.Table, names: Sequence[str]) -> pa.Table:
    """Return rows of `cases` with x_ columns of the manifest as texts, null where a case has none."""
    if not names:
        return cases
    extras = [json.loads(text) for text in cases["extra"].to_pylist()]
    for name in names:
        cases = cases.append_column(name, pa.array([extra.get(name) for extra in extras], pa.string()))
    return cases


def _beside(rows: pa.Table, others: pa.Table, key: Sequence[str], columns: Sequence[str]) -> pa.Table:
    """Return rows with columns of the others that have the same key; null where there is none."""
    # Not Table.join(): it holds no lists.
    index = pc.index_in(joined(rows, key), value_set=joined(others, key).combine_chunks())
    found = take_rows(others.select(list(columns)), index)
    fields = [*rows.schema, *(field.with_nullable(True) for field in found.schema)]
    return pa.table([*rows.columns, *found.columns], schema=pa.schema(fields, metadata=rows.schema.metadata))

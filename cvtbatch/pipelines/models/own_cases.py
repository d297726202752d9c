"""Centres that a bundle was not fitted on, put onto the scale of its training by their own cases: found once, and kept.

What moves a centre is found of all its eligible cases that the first run with the bundle sees, without a look at outcomes, and
stands in the table `harmonisations` from then on: cases that come later are moved by it, and so are those of a recalibration. Of
two runs that find it at once the first to write it is right, and both score by what is written.
"""

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cvtbatch.dlrn.arrays import Floats
from cvtbatch.dlrn.bundle import Bundle
from cvtbatch.dlrn.combat import FEWEST_CASES, Harmonisation, ReferenceScale
from cvtbatch.errors import InputError
from cvtbatch.manifest import Reading
from cvtbatch.pipelines.shared.pinned_store import PinnedStore
from cvtbatch.pipelines.shared.region_columns import lacking_regions
from cvtbatch.pipelines.shared.reviewed import refused_outlines
from cvtbatch.regions.rules import REGION_SPEC, region_column
from cvtbatch.spec import digest
from cvtbatch.store import FeatureStore, wide_rows
from cvtbatch.validation.eligibility import CRITERIA, assess_eligibility

TABLE = "harmonisations"
IDENTITY = ("roi_key", "case_key", "center", "input_digest")


@dataclass(frozen=True, slots=True, eq=False)
class OwnCases:
    """What moves a centre.

    Attributes:
        set_digest: of the outlines that it was found of.
        cases: how many they are.
        location, scale: (R,) of the bundle's radiomics columns.
    """

    center: str
    set_digest: str
    cases: int
    location: Floats
    scale: Floats


def by_own_cases(bundle: Bundle) -> ReferenceScale | None:
    """Return what new centres are moved by; None where a bundle scores them as they are."""
    found = bundle.model.harmonisation
    return None if found is None else found.base


def with_own_cases(bundle: Bundle, own: Sequence[OwnCases]) -> Bundle:
    """Return a bundle that knows some more centres."""
    found = bundle.model.harmonisation
    if found is None or not own:
        return bundle
    for center in own:
        found = found.with_center(center.center, center.location, center.scale)
    return replace(bundle, model=replace(bundle.model, harmonisation=found))


def without_own_cases(bundle: Bundle) -> Bundle:
    """Return a bundle that scores centres which came later as they are."""
    found = bundle.model.harmonisation
    return bundle if found is None else replace(bundle, model=replace(bundle.model, harmonisation=found.as_fitted))


def read_own_cases(store: FeatureStore, bundle: Bundle, reading: Reading) -> tuple[OwnCases, ...]:
    """Return what is kept of the centres that a bundle has scored outlines of a reading of; nothing where it moves none."""
    if by_own_cases(bundle) is None:
        return ()
    of_reading = (pc.field("reader") == reading.reader) & (pc.field("reading") == reading.number)
    rows = store.table(TABLE).read(None, (pc.field("bundle_digest") == _fitted_digest(bundle)) & of_reading)
    return tuple(
        OwnCases(row["center"], row["set_digest"], row["cases"], np.array(row["location"]), np.array(row["scale"]))
        for row in rows.sort_by("center").to_pylist()
    )


def keep_own_cases(
    pinned: PinnedStore, bundle: Bundle, reading: Reading, centers: Sequence[str], run_id: str, *, reviewed: bool
) -> tuple[OwnCases, ...]:
    """Find and write what moves each centre that has outlines of a reading and is not known yet; return what is kept of all.

    Args:
        pinned: a store that is open for writing.
        centers: only these; all where none is named.
        reviewed: only outlines that a review accepts.

    Raises:
        InputError: "too_few_own_cases": a centre has fewer than FEWEST_CASES; nothing is written of any.
    """
    base, harmonisation = by_own_cases(bundle), bundle.model.harmonisation
    if base is None or harmonisation is None:
        return ()
    known = {*harmonisation.centers, *(own.center for own in read_own_cases(pinned.store, bundle, reading))}
    rows = _eligible_rows(pinned, bundle, base, reading, centers, reviewed)
    there = {str(center) for center in rows["center"].unique().to_pylist()} - known
    found = [
        _find(rows.filter(pc.equal(rows["center"], center)), center, base, harmonisation, bundle)
        for center in sorted(there)
    ]
    book = {
        **{"bundle_digest": _fitted_digest(bundle), "reader": reading.reader, "reading": reading.number},
        **{"columns": list(bundle.model.radiomics), "snapshot": pinned.name, "snapshot_digest": pinned.content_digest},
        **{"run_id": run_id, "recorded_at": datetime.datetime.now(datetime.UTC)},
    }
    pinned.store.table(TABLE).append([{**row, **book} for row in found])
    return read_own_cases(pinned.store, bundle, reading)


def set_digests(own: Sequence[OwnCases]) -> Mapping[str, str]:
    """Return of which set what moves a centre was found, by centre."""
    return {center.center: center.set_digest for center in own}


def _fitted_digest(bundle: Bundle) -> str:
    recalibration = bundle.description.recalibration
    return bundle.digest if recalibration is None else recalibration.parent_digest


def _eligible_rows(
    pinned: PinnedStore, bundle: Bundle, base: ReferenceScale, reading: Reading, centers: Sequence[str], reviewed: bool
) -> pa.Table:
    """Return the columns of the reference's scale of eligible outlines, by roi_key."""
    view, criteria = pinned.view, [criterion.column for criterion in CRITERIA]
    of_regions = [region_column(region, REGION_SPEC) for region in bundle.regions]
    rows = wide_rows(
        view,
        list(dict.fromkeys([*IDENTITY, *criteria, *of_regions, *base.columns])),
        pc.field("center").isin(pa.array(list(centers), pa.string())) if centers else None,
        bundle.specs.ids(),
        reading,
        features=view.contract(bundle.description.features_table),
        regions=bundle.regions,
    ).sort_by("roi_key")
    left_out = set(lacking_regions(view, rows, bundle.regions, "roi_key"))
    if reviewed:
        left_out |= set(refused_outlines(view, rows.select(IDENTITY).to_pylist(), "roi_key"))
    kept = [
        place
        for place, row in enumerate(rows.select([*IDENTITY, *criteria]).to_pylist())
        if row["roi_key"] not in left_out and assess_eligibility(row).included
    ]
    return rows.take(pa.array(kept, pa.int64()))


def _find(rows: pa.Table, center: str, base: ReferenceScale, known: Harmonisation, bundle: Bundle) -> dict[str, object]:
    """Return what the table keeps of a centre, without book-keeping.

    Raises:
        InputError: "too_few_own_cases".
    """
    # One that lacks what a model uses has no score, and would leave none to the others.
    used = [np.isfinite(rows[name].to_numpy()) for name in bundle.model.radiomics]
    rows = rows.filter(pa.array(np.all(used, axis=0) if used else np.ones(rows.num_rows, np.bool_)))
    if rows.num_rows < FEWEST_CASES:
        raise InputError(
            "too_few_own_cases",
            f"the bundle puts a new centre onto the scale of {known.reference} by {FEWEST_CASES} of its own cases, and {center!r} "
            f"has {rows.num_rows} with features that are eligible: extract more of them first, name other centres (--center), or "
            "fit with fit.harmonise.new_centers=as_they_are",
        )
    values = np.column_stack([rows[name].to_numpy() for name in base.columns])
    location, scale = base.moved(values, bundle.model.radiomics)
    keys = zip(rows["roi_key"].to_pylist(), rows["input_digest"].to_pylist(), strict=True)
    return {
        "center": center,
        "set_digest": digest(*(f"{roi_key}\n{input_digest}" for roi_key, input_digest in keys)),
        "cases": rows.num_rows,
        "location": location.tolist(),
        "scale": scale.tolist(),
    }

"""Pairs of a patient's studies: the first beside each later one, outline by outline, computed of what is current.

Nothing of it is stored. A pair stands on two cases, two outlines and their features, each of which may be corrected, withdrawn or
erased by itself: a stored row would need a rule of its own for all of that, and would say nothing that a snapshot does not hold
already. What a row rests on stands in it: the digests of both outlines, and the specification of the rules.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from cvtbatch import contracts
from cvtbatch.contracts import TableContract
from cvtbatch.errors import ProblemsError
from cvtbatch.followup.expansion import IVH, RULES, Growth, has_expanded, has_expanded_revised
from cvtbatch.followup.studies import Series, Study, order_studies
from cvtbatch.spec import PAIRS_REVISION, Spec, canonical_json
from cvtbatch.store.column_names import check_columns
from cvtbatch.store.filters import require_fitting
from cvtbatch.store.reading import View

DELTA = "delta_"
_OF_CASE = ("case_key", "center", "case_id", "patient", "timepoint", "onset_to_ct_h")
_OF_OUTLINE = (
    *("roi_key", "case_key", "roi", "reader", "reading"),
    *("volume_spec_id", "input_digest", "source_volume_ml"),
)
Row = dict[str, Any]
# Name of the ROI, reader and reading.
Outline = tuple[str, str, int]


@dataclass(frozen=True, slots=True)
class Pairs:
    """Rows, and how many studies of patients with several are in none of them, by the reason."""

    rows: pa.Table
    left_out: Mapping[str, int]

    def told(self) -> str:
        """Say how many studies are left out, and why; empty where none is."""
        return ", ".join(f"{reason} ({count})" for reason, count in sorted(self.left_out.items()))


def pair_schema(deltas: TableContract | None = None) -> pa.Schema:
    """Return the columns with their types.

    Args:
        deltas: table of the features whose differences stand behind the others, called delta_ and the feature's name.
    """
    return pa.schema(
        [
            *contracts.view("pairs").arrow(),
            *(pa.field(DELTA + name, pa.float64()) for name in (deltas.features if deltas else ())),
        ]
    )


def pair_rows(
    view: View,
    columns: Sequence[str] | None = None,
    where: pc.Expression | None = None,
    spec: str | Sequence[str] | None = None,
    deltas: TableContract | None = None,
) -> Pairs:
    """Return a row a later study and outline; see `FeatureStore.pairs`."""
    schema = pair_schema(deltas)
    wanted = check_columns(columns, schema.names)
    series, left_out = _series(view.rows("cases", list(_OF_CASE)))
    outlines = view.outlines(list(_OF_OUTLINE), [spec] if isinstance(spec, str) else list(spec or ()))
    volume_specs = sorted(outlines["volume_spec_id"].unique().to_pylist())
    if len(volume_specs) > 1:
        raise view.several_specs("volume", volume_specs)
    rows = pa.Table.from_pylist(list(_rows(series, outlines)), contracts.view("pairs").arrow())
    # An expression does not tell which columns it names, but its text does.
    named = [name for name in schema.names if name in wanted or (where is not None and name in str(where))]
    origin: dict[str, Any] = {**view.label, "pairs": asdict(RULES)}
    if deltas is not None and (features := [name.removeprefix(DELTA) for name in named if name.startswith(DELTA)]):
        rows, of_features = _with_deltas(view, rows, features, spec, deltas)
        origin |= of_features
    if where is not None:
        require_fitting(where, rows.schema)
        rows = rows.filter(where)
    return Pairs(rows.select(wanted).replace_schema_metadata({"cvtbatch": json.dumps(origin)}), left_out)


def _series(cases: pa.Table) -> tuple[dict[tuple[str, str], Series], Counter[str]]:
    """Return the studies of each patient, a centre and its pseudonym, that has several, and how many are left out and why.

    Raises:
        ProblemsError: "bad_timepoints", with every patient whose studies contradict each other.
    """
    patients: dict[tuple[str, str], list[Study]] = {}
    for case_key, center, case_id, patient, *of_study in zip(
        *(cases[name].to_pylist() for name in _OF_CASE), strict=True
    ):
        patients.setdefault((center, patient), []).append(Study(case_key, case_id, *of_study))
    found = {who: order_studies(studies) for who, studies in sorted(patients.items()) if len(studies) > 1}
    problems = [f"patient {who[1]} of centre {who[0]}: {one.problem}" for who, one in found.items() if one.problem]
    if problems:
        raise ProblemsError.of("bad_timepoints", "column timepoint of the cases", problems)
    left_out: Counter[str] = Counter()
    for one in found.values():
        if one.left_out:
            left_out[one.why] += one.left_out
    return found, left_out


def _rows(series: Mapping[tuple[str, str], Series], outlines: pa.Table) -> Iterator[Row]:
    by_case: dict[str, dict[Outline, Row]] = {}
    for row in outlines.to_pylist():
        by_case.setdefault(row["case_key"], {})[row["roi"], row["reader"], row["reading"]] = row
    for (center, patient), found in series.items():
        for followup in found.studies[1:]:
            studies = found.studies[0], followup
            one, other = (by_case.get(study.case_key, {}) for study in studies)
            for outline in sorted(outline for outline in {*one, *other} if outline[0] != IVH):
                roi, reader, reading = outline
                who = {"center": center, "patient": patient, "roi": roi, "reader": reader, "reading": reading}
                yield who | _pair(studies, (one, other), outline)


def _pair(
    studies: tuple[Study, Study], outlines: tuple[Mapping[Outline, Row], Mapping[Outline, Row]], outline: Outline
) -> Row:
    """Return what the row of an outline, that one of the studies has at least, says beside who it is of."""
    one, other = (of_study.get(outline) for of_study in outlines)
    undetermined: list[str] = []
    row: Row = {"undetermined": undetermined}
    for name, study, of_study in zip(("baseline", "followup"), studies, (one, other), strict=True):
        row |= {f"{name}_case_id": study.case_id, f"{name}_timepoint": study.timepoint}
        if of_study is None:
            undetermined.append(f"growth_ml: no outline {_told(outline)} in the {_STUDY[name]}")
            continue
        row |= {f"{name}_roi_key": of_study["roi_key"], f"{name}_digest": of_study["input_digest"]}
        row |= {f"{name}_ml": of_study["source_volume_ml"], "volume_spec_id": of_study["volume_spec_id"]}
    row["pairs_spec_id"] = _spec(row["volume_spec_id"]).spec_id
    first, last = (study.onset_to_ct_h for study in studies)
    if first is None or last is None:
        undetermined.append("interval_h: onset_to_ct_h is not known of both studies")
    else:
        row["interval_h"] = last - first
    return row | _growth(row, *outlines, outline) if one and other else row


_STUDY = {"baseline": "first study", "followup": "later study"}


def _growth(row: Row, one: Mapping[Outline, Row], other: Mapping[Outline, Row], outline: Outline) -> Row:
    """Return how an outline that both studies have grew."""
    growth = Growth(row["baseline_ml"], row["followup_ml"])
    found: Row = {"growth_ml": growth.ml, "growth_percent": growth.percent, "expansion": has_expanded(growth)}
    ventricles = (IVH, *outline[1:])
    if ventricles not in one and ventricles not in other:
        row["undetermined"].append(f"expansion_revised: no outline {_told(ventricles)} in either study")
        return found
    # Who outlined the hematoma and no blood in the ventricles saw none there: an outline is never empty.
    ivh = Growth(
        *(of_study[ventricles]["source_volume_ml"] if ventricles in of_study else 0.0 for of_study in (one, other))
    )
    return found | {
        "ivh_baseline_ml": ivh.baseline_ml,
        "ivh_followup_ml": ivh.followup_ml,
        "ivh_growth_ml": ivh.ml,
        "ivh_new": ventricles not in one,
        "expansion_revised": has_expanded_revised(growth, ivh),
    }


def _told(outline: Outline) -> str:
    name, reader, reading = outline
    return f"{name} by {reader}, reading {reading}"


def _spec(volume_spec_id: str) -> Spec:
    return Spec("pairs", volume_spec_id, canonical_json({"revision": PAIRS_REVISION, "rules": asdict(RULES)}))


def _with_deltas(
    view: View,
    rows: pa.Table,
    names: Iterable[str],
    spec: str | Sequence[str] | None,
    table: TableContract,
) -> tuple[pa.Table, Mapping[str, Any]]:
    """Return rows with differences of features, the later study's less the first's, and where these come from.

    They are null where one of the outlines has no features.
    """
    names = list(names)
    keys = pa.chunked_array([*rows["baseline_roi_key"].chunks, *rows["followup_roi_key"].chunks], pa.string())
    keys = keys.drop_null().unique()
    read = ["roi_key", "radiomics_spec_id", *names]
    features = view.features(table.name, read, None, spec, keys if len(keys) else None)
    origin = json.loads(features.schema.metadata[b"cvtbatch"])
    ends = [
        features.take(pc.index_in(rows[f"{name}_roi_key"], value_set=features["roi_key"].combine_chunks()))
        for name in ("baseline", "followup")
    ]
    schema = features.schema
    fields = [schema.field(name).with_name(DELTA + name).with_nullable(True) for name in names]
    columns = [pc.subtract(ends[1][name], ends[0][name]) for name in names]
    rows = pa.table([*rows.columns, *columns], pa.schema([*rows.schema, *fields]))
    return rows, origin

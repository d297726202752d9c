"""`fit` with regions of the outlines: whose columns they are, who is left out, and everything that scores by the bundle."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.compute as pc
import pytest
from click.testing import CliRunner

from cvtbatch import contracts
from cvtbatch.cli import cli
from cvtbatch.dlrn import load_bundle
from cvtbatch.dlrn.bundle import Bundle
from cvtbatch.dlrn.bundle_files import DOCUMENT
from cvtbatch.dlrn.recalibration import Function, recalibrate_bundle
from cvtbatch.dlrn.settings import Model
from cvtbatch.errors import FormatError, InputError
from cvtbatch.manifest import Reading
from cvtbatch.pipelines.centers.center_cohort import read_cohort, read_training_values
from cvtbatch.pipelines.centers.center_source import open_source
from cvtbatch.pipelines.centers.reader_study import Readers
from cvtbatch.pipelines.extraction.bundle_settings import bundle_job, require_bundle_specs
from cvtbatch.pipelines.extraction.region_work import resolve_regions
from cvtbatch.pipelines.models.cohort_source import CohortSource
from cvtbatch.pipelines.models.compare_models import _same_rows
from cvtbatch.pipelines.models.compare_plan import describe_variant, plan_comparison
from cvtbatch.pipelines.models.training_cohort import read_training
from cvtbatch.pipelines.shared.job import read_job
from cvtbatch.pipelines.shared.pinned_store import open_pinned
from cvtbatch.spec import Spec, canonical_json
from cvtbatch.store import FeatureStore
from tests.support.cohorts import RECALIBRATION, SMALLEST_JOB
from tests.support.model_regions import (
    EMPTY,
    NO_SECOND,
    RIM_SPEC,
    SET,
    TABLE,
    UNDERIVED,
    add_rims,
    fill_with_set,
    set_spec,
)
from tests.support.store_rows import VOLUME_SPEC

SETS = [
    argument
    for value in (*SMALLEST_JOB, "cohort.training_centers=[C1]", "fit.firth=true", f"fit.features={SET}")
    for argument in ("--set", value)
]
NAMES = tuple(set_spec().content()["features"]["names"])
MEAN = "original_firstorder_Mean"
# Outlines that are not scored: the rim is empty or was not derived.
WITHOUT = {f"{case}/hematoma/A/1" for case in (*EMPTY, *UNDERIVED)}


def run(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(cli, [*map(str, arguments)])
    assert result.exit_code == code, (result.output, result.exception)
    return result.stdout if code != 1 else str(result.exception)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store without rims, one with them, and of this a bundle of outlines and rims, and scores by it."""
    folder = tmp_path_factory.mktemp("regions")
    store = fill_with_set(folder / "store")
    shutil.copytree(folder / "store", folder / "without")
    add_rims(store)
    run("snapshot", "create", "paper", "--store", folder / "store")
    fit = ("fit", "--store", folder / "store", "--snapshot", "paper", *SETS, "--set", "fit.regions=[rim]")
    run(*fit, "--out", folder / "bundle")
    scored = json.loads(run("score", "--store", folder / "store", "--bundle", folder / "bundle", "--explain", "--json"))
    assert contracts.problems_of(scored, "commands/score.json") == []
    assert (scored["outlines"], scored["scored"]) == (53, 53)
    assert scored["left_out"] == {"no_features_of_rim5": 2, "rim5_nothing_left": 2}
    return folder


@pytest.fixture(scope="module")
def bundle(folder: Path) -> Bundle:
    return load_bundle(folder / "bundle")


def by_hand(folder: Path) -> pd.DataFrame:
    """What pandas makes of the outlines' rows and their rims' in the set's table, by the outlines' roi_key."""
    rows, names = FeatureStore(folder / "store").current(TABLE).to_pandas(), list(NAMES)
    rims = rows[rows["region"] == "rim5"].copy()
    rims["roi_key"] = rims["roi_key"].str.replace(".rim5/", "/", regex=False)
    rims = rims.set_index("roi_key")[names].add_prefix("rim5:")
    return rows[rows["region"].isna() & (rows["reader"] == "A")].set_index("roi_key")[names].join(rims)


def test_a_region_stands_beside_its_outline(folder: Path) -> None:
    store, expected = FeatureStore(folder / "store"), by_hand(folder)
    rows = store.wide(features=SET, regions=["rim"])
    found = rows.to_pandas().set_index("roi_key")
    pd.testing.assert_frame_equal(found.loc[expected.index, expected.columns], expected)
    of_rim = found["rim5:region_spec_id"]
    assert set(of_rim.dropna()) == {RIM_SPEC.spec_id}
    assert set(of_rim.index[of_rim.isna()]) == WITHOUT
    unit = rows.schema.field(f"rim5:{MEAN}").metadata
    assert unit == store.features(SET).schema.field("original_firstorder_Mean").metadata
    few = store.wide(features=SET, regions=["rim5"], columns=["roi_key", f"rim5:{MEAN}"], where="center = 'C2'")
    assert (few.num_rows, few.num_columns) == (14, 2)
    high = pc.field(f"rim5:{MEAN}") > 0
    assert len(store.wide(features=SET, regions=["rim5"], where=high)) == int((expected[f"rim5:{MEAN}"] > 0).sum())
    none = store.wide(features=SET, regions=["core2"], columns=[f"core2:{MEAN}"], primary_reader="nobody")
    assert none.num_rows == 0
    with pytest.raises(InputError, match="regions= beside them"):
        store.wide(region="rim5", regions=["rim5"])
    with pytest.raises(InputError, match="'skull' is no region"):
        store.wide(features=SET, regions=["skull"])
    with pytest.raises(InputError, match=f"no column 'rim5:{MEAN}' here"):
        store.wide(columns=[f"rim5:{MEAN}"])


def test_regions_of_two_rules_do_not_mix(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "without", tmp_path / "store")
    store = FeatureStore.open_for_writing(str(tmp_path / "store"), existing=True)
    add_rims(store)
    other = Spec("region", VOLUME_SPEC.spec_id, canonical_json({**RIM_SPEC.content(), "revision": 0}))
    add_rims(store, UNDERIVED, other)
    with pytest.raises(InputError, match=r"(?s)region rows of 2 specifications.*region.revision: 1 \| 0") as caught:
        store.wide(features=SET, regions=["rim5"])
    assert caught.value.kind == "several_specs"
    chosen = store.wide(features=SET, regions=["rim5"], spec=[RIM_SPEC.spec_id]).to_pandas().set_index("roi_key")
    assert set(chosen.index[chosen["rim5:region_spec_id"].isna()]) == WITHOUT


def test_the_bundle_says_which_columns_are_of_regions_and_who_was_left_out(folder: Path, bundle: Bundle) -> None:
    told, used = bundle.document, list(bundle.model.radiomics)
    of_rim = [name for name in used if name.startswith("rim5:")]
    assert of_rim
    assert told["regions"] == [{"name": "rim5", "region_spec_id": RIM_SPEC.spec_id, "columns": of_rim}]
    assert told["job"]["fit"]["regions"] == ["rim5"]
    assert told["cohort"]["excluded"] == {
        **{"no_embedding": 1, "no_features": 1, "no_features_of_rim5": 1, "no_outcome": 1},
        **{"rim5_nothing_left": 1, "traumatic": 1},
    }
    assert told["signatures"]["rad"]["counts"]["offered"] == 2 * len(NAMES)
    shown = json.loads(run("bundle", "show", folder / "bundle", "--json"))
    assert contracts.problems_of(shown, "commands/bundle.json") == []
    assert (shown["regions"], shown["columns"][: len(used)]) == ({"rim5": RIM_SPEC.spec_id}, used)
    assert f"Region: rim5 of the outlines, under {RIM_SPEC.spec_id}" in run("bundle", "show", folder / "bundle")


def test_scores_are_those_of_the_trees_on_both_outlines_and_rims(folder: Path, bundle: Bundle) -> None:
    store, model, values = FeatureStore(folder / "store"), bundle.model, by_hand(folder)
    stored = store.scores().to_pandas().set_index("roi_key").sort_index()
    assert not WITHOUT & set(stored.index)
    forest, used = model.forests[Model.RAD], [model.columns[place] for place in model.used[Model.RAD]]
    assert any(name.startswith("rim5:") for name in used)
    for key in stored.index:
        raw = np.array([values.loc[key, name] if name in values else np.nan for name in model.columns], np.float64)
        scaled, votes = (raw - model.mean) / model.scale, []
        for root in forest.roots.tolist():
            node = root
            while forest.child[node, 0] != node:
                node = int(forest.child[node, int(not scaled[forest.column[node]] <= forest.threshold[node])])
            votes.append(forest.share[node])
        assert stored.loc[key, "rad"] == pytest.approx(np.mean(votes), abs=1e-12), key
    rows = store.wide(features=SET, regions=bundle.regions)
    for given in (rows, rows.to_pandas()):
        found = bundle.score(given)
        frame = (found if isinstance(found, pd.DataFrame) else found.to_pandas()).set_index("roi_key").sort_index()
        pd.testing.assert_series_equal(frame.loc[stored.index, "dlr"], stored["dlr"])
        assert frame.loc[sorted(WITHOUT), ["rad", "dlr", "dlrn"]].isna().all(axis=None)
    with pytest.raises(InputError, match="lacks: rim5:") as caught:
        bundle.score(store.wide(features=SET))
    assert caught.value.kind == "missing_column"
    place = rows.column_names.index("rim5:region_spec_id")
    other = rows.set_column(place, "rim5:region_spec_id", pc.replace_substring(rows[place], "reg-", "reg-0"))
    for given in (other, other.to_pandas()):
        with pytest.raises(InputError, match="rim5:region_spec_id: the bundle was fitted on reg-") as caught:
            bundle.score(given)
        assert caught.value.kind == "other_spec"


def test_a_rim_that_is_derived_later_is_scored_then(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "store", tmp_path / "store")
    score = ("score", "--store", tmp_path / "store", "--bundle", folder / "bundle", "--json")
    assert json.loads(run(*score))["scored"] == 0
    add_rims(FeatureStore.open_for_writing(str(tmp_path / "store"), existing=True), UNDERIVED)
    again = json.loads(run(*score))
    assert (again["scored"], again["already_scored"], again["left_out"]) == (2, 53, {"rim5_nothing_left": 2})


def test_a_centre_and_its_training_are_read_with_regions(folder: Path, bundle: Bundle) -> None:
    source, values = open_source(str(folder / "store"), bundle, "C2", "paper", "validate"), by_hand(folder)
    cohort, training = read_cohort(source, Readers((), ())), read_training_values(source)
    assert training is not None
    assert len(training.outcome) == bundle.description.cohort.cases == 38
    [step] = [step for step in cohort.flow if step.name == "scored"]
    assert dict(step.excluded) == {"no features of rim5": 1, "rim5 nothing left": 1}
    for name in [name for name in cohort.features if name.startswith("rim5:")]:
        np.testing.assert_array_equal(
            cohort.features[name], values.loc[[f"{case.key}/hematoma/A/1" for case in cohort.cases], name]
        )
    told = run(
        "validate", "--store", folder / "without", "--bundle", folder / "bundle", "--center", "C2", "--out", "x", code=1
    )
    assert f"no features under the bundle's settings ({RIM_SPEC.spec_id})" in told


def test_second_outlines_have_the_rims_that_were_derived_of_them(folder: Path) -> None:
    source = CohortSource(
        str(folder / "store"),
        "paper",
        ("C1",),
        Reading("A", 1),
        (),
        False,
        ("epilepsy",),
        features=SET,
        regions=("rim5",),
    )
    cohort = read_training(source).cohort
    [second] = cohort.repeats
    rows = FeatureStore(folder / "store").current(TABLE).to_pandas().set_index("roi_key")
    name = MEAN
    place = cohort.radiomics_names.index(f"rim5:{name}")
    for row, values in zip(second.rows, second.radiomics, strict=True):
        case = cohort.keys[row].removesuffix("/hematoma/A/1")
        assert values[cohort.radiomics_names.index(name)] == rows.loc[f"{case}/hematoma/B/1", name]
        if case in NO_SECOND:
            assert np.isnan(values[place])
        else:
            assert values[place] == rows.loc[f"{case}/hematoma.rim5/B/1", name]


def test_a_fit_without_any_rim_is_told_what_makes_them(folder: Path, tmp_path: Path) -> None:
    fit = ("fit", "--store", folder / "without", *SETS, "--out", tmp_path / "none")
    told = run(*fit, "--set", "fit.regions=[rim]", code=1)
    assert "41 no features of rim5" in told
    assert "--set 'regions=[rim5]', before the snapshot" in told
    assert "'skull' is no region" in run(*fit, "--set", "fit.regions=[skull]", code=1)


def test_a_model_of_regions_alone_has_no_column_of_the_outlines(folder: Path, tmp_path: Path) -> None:
    fit = ("fit", "--store", folder / "store", "--snapshot", "paper", *SETS, "--set", "fit.outline_features=false")
    assert "fit.regions names none" in run(*fit, "--out", tmp_path / "none", code=1)
    run(*fit, "--set", "fit.regions=[rim]", "--out", tmp_path / "bundle")
    alone, store = load_bundle(tmp_path / "bundle"), FeatureStore(folder / "store")
    assert alone.document["signatures"]["rad"]["counts"]["offered"] == len(NAMES)
    [region] = alone.document["regions"]
    assert region["columns"] == list(alone.model.radiomics)
    rows = store.wide(features=SET, regions=["rim5"])
    # Other values of the outlines move nothing.
    other = rows
    for name in NAMES:
        place = rows.column_names.index(name)
        other = other.set_column(place, rows.field(place), pc.add(rows[place], 100.0))
    found = alone.score(rows)
    assert found["dlrn"].null_count < len(found)
    assert found.equals(alone.score(other))


def test_a_bundle_takes_its_regions_to_another_store(bundle: Bundle, tmp_path: Path) -> None:
    job = bundle_job(read_job("extract", None, ["regions=[hull]"]), bundle, {}, tmp_path)
    assert job.regions == ("hull", "rim5")
    _, specs = resolve_regions(job.regions, VOLUME_SPEC)
    require_bundle_specs((VOLUME_SPEC, *specs), bundle, {})
    old = Spec("region", VOLUME_SPEC.spec_id, canonical_json({**RIM_SPEC.content(), "revision": 0}))
    with pytest.raises(InputError, match=f"region rim5 of specification {RIM_SPEC.spec_id}") as caught:
        require_bundle_specs((VOLUME_SPEC, old), bundle, {})
    assert caught.value.kind == "other_revision"


def test_a_recalibrated_bundle_takes_the_same_regions(folder: Path, bundle: Bundle, tmp_path: Path) -> None:
    recalibrate_bundle(folder / "bundle", tmp_path / "again", Function(0.1, 1.0), RECALIBRATION)
    again, rows = load_bundle(tmp_path / "again"), FeatureStore(folder / "store").wide(features=SET, regions=["rim5"])
    assert again.document["regions"] == bundle.document["regions"]
    assert again.score(rows)["dlr"].equals(bundle.score(rows)["dlr"])


def test_a_bundle_that_contradicts_itself_is_refused(folder: Path, tmp_path: Path) -> None:
    document = json.loads((folder / "bundle" / DOCUMENT).read_text())
    [found] = document["regions"]
    for name, changed, kind in (
        ("unsaid", [], "bundle_damaged"),
        ("another", [{**found, "name": "core2"}], "bundle_damaged"),
        ("fewer", [{**found, "columns": found["columns"][1:]}], "bundle_damaged"),
        ("unknown", [{**found, "name": "oedema"}], "bundle_too_new"),
    ):
        other = Path(shutil.copytree(folder / "bundle", tmp_path / name))
        (other / DOCUMENT).write_text(json.dumps({**document, "regions": changed}))
        with pytest.raises(FormatError) as caught:
            load_bundle(other)
        assert caught.value.kind == kind, name


def test_variants_with_and_without_rims_have_the_rows_of_both(folder: Path) -> None:
    pinned = open_pinned(str(folder / "store"), "paper", "compare-models")
    job = read_job(
        "compare-models",
        None,
        ["cohort.training_centers=[C1]", f"fit.features={SET}", "compare.variants={rim: {fit: {regions: [rim]}}}"],
    )
    plan = plan_comparison(job, pinned, ())
    cohorts = _same_rows({refit.source: read_training(refit.source) for refit in plan.refits.values()})
    outline, both = (cohorts[plan.refits[name].source] for name in ("dlrn", "rim"))
    assert outline.keys == both.keys
    assert len(both.keys) == 38
    assert both.radiomics_names[: len(outline.radiomics_names)] == outline.radiomics_names
    assert np.array_equal(both.radiomics[:, : outline.radiomics.shape[1]], outline.radiomics)
    assert describe_variant("rim", job, plan) == 'model dlrn, fit.regions=["rim"]'

"""What a report says of an outline is what the store holds of it as it is, and of no other state."""

from dataclasses import replace
from pathlib import Path

import pytest

from cvtbatch.dicom_results import codes
from cvtbatch.dicom_results.values import Measured, Results
from cvtbatch.dlrn.bundle import Bundle, load_bundle
from cvtbatch.dlrn.description import Mark, SpecChain
from cvtbatch.dlrn.settings import Model
from cvtbatch.pipelines.results.outline_results import RESEARCH_USE, to_outline, to_results
from cvtbatch.pipelines.results.stored_results import DIAMETERS, StoredResults, read_stored_results
from cvtbatch.spec import Spec, canonical_json
from cvtbatch.store import FeatureStore
from tests.support.paths import ROOT
from tests.support.result_stores import SCORES
from tests.support.store_rows import (
    EMBEDDING_SPEC,
    NOW,
    RADIOMICS_SPEC,
    VOLUME_SPEC,
    add_cases,
    add_specs,
    case_rows,
    row,
)

OUTLINING = Spec(
    "outline",
    VOLUME_SPEC.spec_id,
    canonical_json({"method": "blast-ct", "least_ml": 1.0, "weights": {"source": "blast-ct", "sha256": "b" * 64}}),
)


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    """A bundle of an earlier version, as one of the store's specifications."""
    kept = load_bundle(ROOT / "tests" / "compat" / "bundle-3")
    specs = SpecChain(VOLUME_SPEC.spec_id, RADIOMICS_SPEC.spec_id, EMBEDDING_SPEC.spec_id)
    marks = (Mark("of few cases", (Model.DL,)),)
    return replace(kept, description=replace(kept.description, specs=specs, marks=marks))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, bundle: Bundle) -> FeatureStore:
    """Case 1 is scored; case 2 before its clinical values changed; case 3 was found, under another bundle."""
    store = FeatureStore.open_for_writing(str(tmp_path_factory.mktemp("store")))
    cases = [case_rows(store, number) for number in (1, 2, 3)]
    cases[0]["rois"][0] |= {"volume_ml": 20.4296875, "largest_slice_area_mm2": 812.5, "flags": ["tiny"]}
    cases[0]["volumes"][0] |= {"flags": ["tilted"]}
    cases[2]["rois"][0] |= {"outline_spec_id": OUTLINING.spec_id, "flags": ["auto", "not_for_inference"]}
    add_cases(store, *cases)
    add_specs(store, VOLUME_SPEC, RADIOMICS_SPEC, EMBEDDING_SPEC, OUTLINING)
    rows = []
    for number in (1, 2, 3):
        identity = {name: cases[number - 1]["rois"][0][name] for name in ("roi_key", "case_key", "center", "case_id")}
        inputs = {
            "radiomics_digest": f"input-A-{number}",
            "clinical_digest": f"clinical-{number if number != 2 else 9}",
        }
        more = {"reader": "C", "fitted_reader": "A", "flags": ["outside_training_range", "excluded_traumatic"]}
        own = {"bundle_digest": bundle.digest if number != 3 else "another"}
        rows.append(row("scores", **identity, **inputs, **more, **own, **SCORES))
    store.table("scores").append(rows)
    return FeatureStore(store.location.url)


def told(results: Results) -> list[str]:
    return [one.text for one in results.told]


def result_of(stored: StoredResults, number: int, bundle: Bundle | None) -> Results:
    [roi] = stored.rois[f"A/{number}"]
    return to_results(stored, roi, 20.171875, 61.5, bundle)


def test_every_value_is_the_stores(store: FeatureStore, bundle: Bundle) -> None:
    stored = read_stored_results(store.at(None), bundle)
    results = result_of(stored, 1, bundle)
    shape = store.current("radiomics").to_pylist()[0]
    grid, thresholds = codes.STORED_GRID, bundle.description.thresholds
    outline = [
        Measured(codes.VOLUME, 20.171875, codes.ML, method=codes.SOURCE_SLICES),
        Measured(codes.VOLUME, 20.4296875, codes.ML, method=grid),
        Measured(codes.AREA, 812.5, codes.MM2, codes.MAXIMUM, grid),
        Measured(codes.DIAMETER, shape[DIAMETERS[0]], codes.MM, codes.MAXIMUM, grid),
        Measured(codes.DIAMETER_3D, shape[DIAMETERS[1]], codes.MM, codes.MAXIMUM, grid),
        Measured(codes.ATTENUATION, 61.5, codes.HU, codes.MEAN, grid),
    ]
    assert list(results.measured[:6]) == outline
    values = {one.concept.value: one.value for one in results.measured[6:]}
    cuts = {f"{model}_thr_{at}": cut for model, named in thresholds.items() for at, cut in named.items()}
    assert len(cuts) == 12
    names = ("rad", "dl", "dlr", "rad_probability", "dlr_probability", "points_dlr", "points_epilepsy", "points_total")
    scores = {name: SCORES[name] for name in (*names, "outside_count")}
    assert values == {**scores, **cuts, "dlrn_probability": SCORES["dlrn"]}
    classes = {one.concept.value: one.value for one in results.judged}
    assert classes.pop("dlrn_cls_sens95") == codes.NEGATIVE
    assert (len(classes), set(classes.values())) == (11, {codes.POSITIVE})
    assert results.recorded_at == NOW


def test_texts_say_what_the_values_must_be_read_with(store: FeatureStore, bundle: Bundle) -> None:
    results = result_of(read_stored_results(store.at(None), bundle), 1, bundle)
    texts = told(results)
    assert texts[0] == RESEARCH_USE
    assert "(0.5 x 0.5 x 5 mm)" in texts[1]
    assert "tilted: the gantry was tilted; resampled by the slices' own positions" in texts
    assert "tiny: a very small outline" in texts
    assert "outside_training_range: a selected feature outside the training range" in texts
    assert "excluded_traumatic: the study's criteria exclude such a case" in texts
    assert any(text.startswith("Not for inference: the image network") for text in texts)
    assert "The model was fitted on outlines by A, and applied to one by C." in texts
    assert "DL: of few cases." in texts
    assert bundle.digest in texts
    assert [one.text for one in results.told if one.concept == codes.CLINICAL_POINTS] == ["age: 7.25"]
    assert not any("no settings" in text for text in texts)
    assert len(texts) == len(set(texts))


@pytest.mark.parametrize("number", [2, 3])
def test_a_score_of_other_values_or_of_another_bundle_is_none(store: FeatureStore, bundle: Bundle, number: int) -> None:
    results = result_of(read_stored_results(store.at(None), bundle), number, bundle)
    assert (len(results.measured), results.judged) == (6, ())
    assert sum("holds no score" in text for text in told(results)) == 1


def test_without_a_bundle_nothing_is_said_of_scores(store: FeatureStore) -> None:
    results = result_of(read_stored_results(store.at(None), None), 1, None)
    assert (len(results.measured), results.judged) == (6, ())
    assert not any("score" in text for text in told(results))


def test_a_found_outline_says_how_and_that_nobody_accepted_it(store: FeatureStore, tmp_path: Path) -> None:
    stored = read_stored_results(store.at(None), None)
    algorithm = to_outline(stored, stored.rois["A/3"][0]).algorithm
    assert algorithm is not None
    assert (algorithm.name, algorithm.version, algorithm.is_learned) == ("blast-ct", "b" * 64, True)
    assert dict(algorithm.parameters) == {
        "outline_spec_id": OUTLINING.spec_id,
        "least_ml": "1.0",
        "weights": "blast-ct",
    }
    texts = told(result_of(stored, 3, None))
    assert sum(text.startswith("Not for inference: the method") for text in texts) == 1
    assert sum("no review has accepted it" in text for text in texts) == 1
    assert to_outline(stored, stored.rois["A/1"][0]).algorithm is None
    assert not any("review" in text for text in told(result_of(stored, 1, None)))
    looked = {"roi_key": "A/3/hematoma/A/1", "case_key": "A/3", "input_digest": "input-A-3", "verdict": "accept"}
    FeatureStore.open_for_writing(store.location.url, existing=True).table("reviews").append([row("reviews", **looked)])
    texts = told(result_of(read_stored_results(FeatureStore(store.location.url).at(None), None), 3, None))
    assert not any("no review" in text for text in texts)

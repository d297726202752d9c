"""Predict with clinical terms: values as a manifest has them, and why there is no number."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cvtbatch import contracts
from cvtbatch.dlrn.attention import Attention
from cvtbatch.dlrn.bundle import load_bundle
from cvtbatch.dlrn.combat import Harmonisation
from cvtbatch.dlrn.pooling import Pooling
from cvtbatch.dlrn.prediction_sets import PredictionSets
from cvtbatch.dlrn.scoring import score_batch
from cvtbatch.errors import InputError
from cvtbatch.pipelines.cases.case_inputs import CaseInputs
from cvtbatch.pipelines.cases.predict import Prediction, predict_case
from cvtbatch.pipelines.centers.bundle_facts import bundle_facts, training_ranges
from cvtbatch.reporting.outlined_slice import OutlinedSlice
from cvtbatch.validation.report.card import card_lines
from tests.support.clinical_fit import fitted
from tests.support.cohorts import SPECS, as_table, write


def problems(found: Prediction) -> list[str]:
    return contracts.problems_of(json.loads(json.dumps(found.to_document())), "commands/predict.json")


def test_a_card_takes_clinical_values_as_a_manifest_has_them_and_says_which_are_missing(tmp_path: Path) -> None:
    cohort, fit = fitted()
    write(tmp_path / "bundle", fit)
    bundle = load_bundle(tmp_path / "bundle")
    known = score_batch(fit.model, SPECS, as_table(cohort), explain=False).to_pylist()
    low, high = training_ranges(bundle)["dlr"].low, training_ranges(bundle)["dlr"].high
    place = next(
        at for at, row in enumerate(known) if not row["outside_features"] and row["dlrn"] and low <= row["dlr"] <= high
    )
    values = dict(zip(cohort.radiomics_names, cohort.radiomics[place].tolist(), strict=True))
    picture = OutlinedSlice(np.zeros((4, 4), np.int16), np.ones((4, 4), np.uint8), (1.0, 1.0))
    inputs = CaseInputs("one", (), "image", "input", 1.0, 1.0, values, cohort.embedding[place], picture)
    given = {name: str(cohort.clinical[name][place]) for name in ("age", "location", "epilepsy", "x_gcs")}
    card = predict_case(bundle, inputs, given).card
    assert card.models[-1].score == known[place]["dlrn"]
    assert [term.points for term in card.terms[1:]] == known[place]["clinical_points"]
    assert card.terms[2].value == given["location"]
    assert card.terms[2].levels == ("lobar", "deep", "other")
    assert problems(predict_case(bundle, inputs, given)) == []
    assert "in training lobar, deep, other" in "\n".join(card_lines(card))
    for changes, words in (
        ({"age": None, "x_gcs": None}, "age and gcs are not known"),
        ({"age": "99"}, r"outside the training range \(age\)"),
        ({"location": "brainstem"}, "no training case had location 'brainstem', but lobar, deep, other"),
    ):
        changed = {name: value for name, value in {**given, **changes}.items() if value is not None}
        found = predict_case(bundle, inputs, changed)
        assert re.search(words, found.card.models[-1].score.reason)
        assert problems(found) == []
    for wrong, kind in (
        ({"sex": "F"}, "no_such_term"),
        ({"age": "old"}, "bad_value"),
        ({"epilepsy": "2"}, "bad_value"),
    ):
        with pytest.raises(InputError) as caught:
            predict_case(bundle, inputs, wrong)
        assert caught.value.kind == kind


def test_a_case_of_a_centre_that_the_bundle_makes_alike_is_taken_as_its_others(tmp_path: Path) -> None:
    cohort, fit = fitted()
    write(tmp_path / "bundle", fit)
    bundle = load_bundle(tmp_path / "bundle")
    count = len(bundle.model.radiomics)
    location, scale = np.zeros((2, count)), np.ones((2, count))
    location[1], scale[1] = 8.0, 2.0
    alike = replace(
        bundle, model=replace(bundle.model, harmonisation=Harmonisation(("C1", "C2"), "C1", location, scale))
    )
    values = dict(zip(cohort.radiomics_names, cohort.radiomics[0].tolist(), strict=True))
    picture = OutlinedSlice(np.zeros((4, 4), np.int16), np.ones((4, 4), np.uint8), (1.0, 1.0))
    inputs = CaseInputs("one", (), "image", "input", 1.0, 1.0, values, cohort.embedding[0], picture)
    expected = predict_case(bundle, inputs, {}).card
    stretched = replace(inputs, features={name: 2 * value + 8 for name, value in values.items()})
    found = predict_case(alike, stretched, {}, "C2").card
    assert [model.score for model in found.models] == [model.score for model in expected.models]
    assert (found.outside, found.flags) == (expected.outside, expected.flags)
    for center in ("C9", None):
        elsewhere = predict_case(alike, inputs, {}, center).card
        assert [model.score for model in elsewhere.models] == [model.score for model in expected.models]
        assert "not_harmonised" in elsewhere.flags


def test_slices_of_a_case_are_weighed_as_those_of_a_store(tmp_path: Path) -> None:
    cohort, fit = fitted()
    write(tmp_path / "bundle", fit)
    bundle = load_bundle(tmp_path / "bundle")
    values = dict(zip(cohort.radiomics_names, cohort.radiomics[0].tolist(), strict=True))
    picture = OutlinedSlice(np.zeros((4, 4), np.int16), np.ones((4, 4), np.uint8), (1.0, 1.0))
    inputs = CaseInputs("one", (), "image", "input", 1.0, 1.0, values, cohort.embedding[0], picture)
    # Two slices, of which one weighs nothing beside the other: the one whose first number is large.
    length = len(cohort.embedding[0])
    hidden = np.zeros((length, 1))
    hidden[0] = 1.0
    attention = Attention(hidden, np.full(1, 1e3), np.full(1, 40.0))
    looked_at = cohort.embedding[0].copy()
    looked_at[0] = 2e3
    model = replace(bundle.model, pooling=Pooling.ATTENTION, attention=attention)
    pooled = predict_case(
        replace(bundle, model=model), replace(inputs, embedding=np.concatenate([cohort.embedding[1], looked_at])), {}
    )
    alone = predict_case(bundle, replace(inputs, embedding=looked_at), {})
    assert pooled.row == alone.row
    assert pooled.card.outside == alone.card.outside


def test_a_case_has_the_set_that_its_row_in_a_table_has(tmp_path: Path) -> None:
    cohort, fit = fitted()
    write(tmp_path / "bundle", fit)
    bundle = load_bundle(tmp_path / "bundle")
    sets = PredictionSets(0.2, ((np.linspace(0.2, 1, 9), np.linspace(0, 0.8, 9)),) * 2)
    model = replace(bundle.model, folds=(bundle.model, bundle.model), sets=sets)
    columns = ("set_event", "set_other")
    of_table = score_batch(model, SPECS, as_table(cohort), explain=False).select(columns).to_pylist()
    place = next(at for at, row in enumerate(of_table) if row["set_event"] != row["set_other"])
    values = dict(zip(cohort.radiomics_names, cohort.radiomics[place].tolist(), strict=True))
    picture = OutlinedSlice(np.zeros((4, 4), np.int16), np.ones((4, 4), np.uint8), (1.0, 1.0))
    inputs = CaseInputs("one", (), "image", "input", 1.0, 1.0, values, cohort.embedding[place], picture)
    given = {name: str(cohort.clinical[name][place]) for name in ("age", "location", "epilepsy", "x_gcs")}
    row = predict_case(replace(bundle, model=model), inputs, given).row
    assert {name: row[name] for name in columns} == of_table[place]
    without = predict_case(replace(bundle, model=model), inputs, {}).row
    assert [without[name] for name in columns] == [None, None]


def test_the_nomogram_of_a_report_gives_the_bundles_points(tmp_path: Path) -> None:
    cohort, fit = fitted()
    write(tmp_path / "bundle", fit)
    found = bundle_facts(load_bundle(tmp_path / "bundle")).nomogram
    scored = score_batch(fit.model, SPECS, as_table(cohort), explain=False).to_pylist()
    levels = {term.column: [name for _, name in term.levels] for term in found.terms}
    for place in (0, 1, 2, 3):
        row = scored[place]
        values = {name: cohort.clinical[name][place] for name in row["clinical_terms"]}
        values["location"] = float(levels["location"].index(values["location"]))
        points = [found.points(term, values[term.column]) for term in found.terms[1:]]
        assert points == pytest.approx(row["clinical_points"], abs=1e-9)
        assert found.probability(found.points(found.terms[0], row["dlr"]) + sum(points)) == pytest.approx(row["dlrn"])
    assert [term.name for term in found.terms] == ["DLR signature", "age", "location", "epilepsy", "gcs"]

"""Reporting checklists: what is answered is there, and rests on a value of report.json."""

import csv
import dataclasses
import io
import json
from fractions import Fraction

import pytest
import yaml

from cvtbatch import contracts
from cvtbatch.documents import from_document
from cvtbatch.validation.evaluate import Validation, evaluate
from cvtbatch.validation.model_result import ModelComparison
from cvtbatch.validation.readers import OtherReading
from cvtbatch.validation.report.answer import to_pointer
from cvtbatch.validation.report.checklists import Checklist, fill_checklists
from cvtbatch.validation.report.document import to_document
from cvtbatch.validation.report.store_answers import store_answers
from cvtbatch.validation.study import Availability, Segmentation, Shared, Study
from cvtbatch.validation.values import NotComputable
from tests.support.paths import ROOT
from tests.support.validation_cases import make_bundle, make_cohort, make_provenance, make_training

# Weights of categories and of items within them as ranks (Kocak 2024: "rank-sum based conversion to importance scores").
RANKS = (
    (18, (2, 4, 5)),
    (13, (3, 2, 3, 2)),
    (6, (3, 2, 1)),
    (12, (6, 3, 4)),
    (8, (2, 2, 3, 2)),
    (8, (2, 1)),
    (12, (6, 4, 3, 2, 5, 3)),
    (10, (1, 2)),
    (2, (1, 1, 1)),
)
EXAMPLE = yaml.safe_load((ROOT / "docs" / "study.yaml").read_text(encoding="utf-8"))
STUDY = from_document(Study, EXAMPLE | {"dates": {"first": "2019-01", "last": "2024-06-30"}})


@pytest.fixture(scope="module")
def validation() -> Validation:
    return evaluate(make_cohort(1, 40), make_bundle(), make_training(1), make_provenance(), seed=1)


def with_study(validation: Validation, study: Study | None) -> Validation:
    return dataclasses.replace(validation, provenance=dataclasses.replace(validation.provenance, study=study))


def by_name(validation: Validation) -> dict[str, Checklist]:
    return {found.name: found for found in fill_checklists(validation)}


def resolve(pointer: str, document: object) -> object:
    """Return the value that a JSON pointer names, as RFC 6901 says."""
    assert pointer.startswith("/")
    for part in pointer[1:].split("/"):
        part = part.replace("~1", "/").replace("~0", "~")
        document = document[int(part)] if isinstance(document, list) else document[part]  # type: ignore[index]
    return document


def odd(name: str) -> Validation:
    cohort, bundle, training = {
        "three cases": lambda: (make_cohort(1, 3), make_bundle(), make_training(1)),
        "one class": lambda: (make_cohort(1, 12, outcomes="one"), make_bundle(), None),
        "no outcomes": lambda: (make_cohort(1, 5, outcomes="none"), make_bundle(False), None),
        "no epilepsy": lambda: (make_cohort(1, 12, epilepsy=False), make_bundle(False), make_training(1)),
    }[name]()
    return evaluate(cohort, bundle, training, make_provenance(), seed=1)


@pytest.mark.parametrize("name", ["usual", "with study", "three cases", "one class", "no outcomes", "no epilepsy"])
def test_every_answer_rests_on_a_value_of_the_document(validation: Validation, name: str) -> None:
    found = with_study(validation, STUDY) if name == "with study" else validation if name == "usual" else odd(name)
    document = json.loads(json.dumps(to_document(found)))
    for checklist in fill_checklists(found):
        for item in checklist.items:
            answer = item.answer
            if answer.verdict == "open":
                assert answer.pointer == ""
                continue
            assert answer.text
            value = resolve(answer.pointer, document)
            # A yes rests on something that is there.
            if answer.verdict == "yes":
                assert value not in (None, "", [], {}), (checklist.name, item.number)
                assert not (isinstance(value, dict) and "not_computable" in value), (checklist.name, item.number)


def test_pointers_escape_what_they_must() -> None:
    assert to_pointer("a/b", "m~n", 0) == "/a~1b/m~0n/0"
    assert resolve(to_pointer("a/b", "m~n", 0), {"a/b": {"m~n": [7]}}) == 7


def test_a_comparison_with_non_radiomic_models_is_denied_until_there_is_one(validation: Validation) -> None:
    def verdicts(found: Validation) -> list[str]:
        lists = by_name(found)
        items = {(name, item.number): item.answer for name, list_ in lists.items() for item in list_.items}
        return [items[place].verdict for place in (("CLEAR", "42"), ("CLEAR", "48"), ("METRICS", "24"))]

    assert verdicts(validation) == ["no"] * 3
    clinical = ModelComparison("DLRN", "clinical", 39, validation.comparisons[0].result)
    assert verdicts(dataclasses.replace(validation, comparisons=(*validation.comparisons, clinical))) == ["yes"] * 3


def test_a_feature_set_is_told_in_place_of_the_studys_features(validation: Validation) -> None:
    own = {
        "feature set": "params, 31 features",
        "image types": "Original, Wavelet (level 2)",
        "feature classes": "shape, glcm",
    }
    settings = {**validation.provenance.settings, **own}
    provenance = dataclasses.replace(validation.provenance, settings=settings)
    found = store_answers(dataclasses.replace(validation, provenance=provenance))
    assert found["features"].text == "Feature set params, 31 features, named as PyRadiomics names them."
    assert found["image_types"].text == "Original, Wavelet (level 2)."
    assert found["classes"].text.startswith("shape, glcm; 2,048 values")
    whole = f"{len(contracts.feature_names()):,}"
    assert whole not in " ".join(answer.text for answer in found.values())
    assert store_answers(validation)["features"].text.startswith(f"{whole} PyRadiomics features")


def test_eligibility_is_answered_only_where_every_criterion_is_recorded(validation: Validation) -> None:
    step = validation.flow[-1]
    part = dataclasses.replace(step, unrecorded=(("quality", 1),))
    for flow, verdict in ((validation.flow, "yes"), ((*validation.flow[:-1], part), "open")):
        lists = by_name(dataclasses.replace(validation, flow=flow))
        for name, number in (("CLEAR", "11"), ("TRIPOD+AI", "6b"), ("METRICS", "2")):
            [answer] = [item.answer for item in lists[name].items if item.number == number]
            assert answer.verdict == verdict, name
            assert ("image quality: not recorded for 1 of 40 cases" in answer.text) == (verdict == "open")


def test_readers_that_are_too_few_for_an_icc_are_told(validation: Validation) -> None:
    corrected = OtherReading("corrected, reading 1", 1, 1)
    [answer] = [
        item.answer
        for item in by_name(dataclasses.replace(validation, readers=(), others=(corrected,)))["CLEAR"].items
        if item.number == "31"
    ]
    assert answer.verdict == "no"
    assert "1 case has an outline by corrected, reading 1 beside the one by A, reading 1" in answer.text


def test_what_is_not_computable_is_no_yes() -> None:
    lists = by_name(odd("no outcomes"))
    clear = {item.number: item.answer.verdict for item in lists["CLEAR"].items}
    assert [clear[number] for number in ("31", "36", "39", "40", "41", "47")] == ["no", "open", *["no"] * 4]
    tripod = {item.number: item.answer.verdict for item in lists["TRIPOD+AI"].items}
    assert [tripod[number] for number in ("20c", "22", "23a", "24")] == ["no", "no", "no", "no"]


def test_a_protocol_that_nobody_knows_and_a_training_without_folds_are_denied(validation: Validation) -> None:
    unknown = tuple(dataclasses.replace(row, first=NotComputable("unknown")) for row in validation.protocol)
    models = tuple(dataclasses.replace(model, training=()) for model in validation.models)
    lists = by_name(dataclasses.replace(validation, protocol=unknown, models=models))
    items = {item.number: item.answer.verdict for item in lists["METRICS"].items}
    assert (items["6"], items["26"]) == ("no", "no")


def test_what_authors_say_closes_items_and_what_they_deny_is_no(validation: Validation) -> None:
    before, after = by_name(validation), by_name(with_study(validation, STUDY))
    closed = {name: sorted(set(before[name].open) - set(after[name].open)) for name in before}
    assert closed == {
        "CLEAR": sorted(["7", "8", "10", "18", "19", "20", "53", "54", "56", "57", "58"]),
        "TRIPOD+AI": sorted(["5b", "6a", "6c", "8b", "8c", "9c", "17", "18a", "18b", "18c", "18d", "18e", "18f", "19"]),
        "METRICS": sorted(["1", "3", "5", "7", "8", "9", "10", "28", "29", "30"]),
    }
    clear = {item.number: item.answer for item in after["CLEAR"].items}
    assert clear["53"].verdict == "no"
    assert clear["54"].verdict == "yes"
    assert clear["20"].text == "A: neurosurgeon, 12 years; B: neurosurgeon, 6 years."
    assert by_name(with_study(validation, Study()))["CLEAR"].open == before["CLEAR"].open


def test_weights_of_metrics_are_the_published_ones(validation: Validation) -> None:
    weights = [item.weight for item in by_name(validation)["METRICS"].items]
    derived = [Fraction(whole * rank, 89 * sum(ranks)) for whole, ranks in RANKS for rank in ranks]
    assert sum(derived) == 1
    assert weights == [round(float(value), 4) for value in derived]
    assert sum(weights) == pytest.approx(1, abs=1e-9)  # type: ignore[arg-type]


def test_the_score_of_metrics_is_the_weight_that_is_met_of_what_applies(validation: Validation) -> None:
    found = by_name(with_study(validation, STUDY))["METRICS"]
    assert {item.number for item in found.items if item.answer.verdict == "not applicable"} == {"9", "17"}
    assert {item.number for item in found.items if item.answer.verdict == "no"} == {"24", "25"}
    assert found.open == ("14", "16")
    assert found.score is not None
    # By hand: 1 - 0.0225 - 0.0200 applies; 0.0293 + 0.0176 is not met, 0.0200 + 0.0300 is open.
    assert found.score.low == pytest.approx(100 * (0.9575 - 0.0469 - 0.05) / 0.9575)
    assert found.score.high == pytest.approx(100 * (0.9575 - 0.0469) / 0.9575)


def test_automated_segmentation_must_be_evaluated(validation: Validation) -> None:
    automated = Study(segmentation=Segmentation("A network.", "automated", False))
    items = {item.number: item.answer.verdict for item in by_name(with_study(validation, automated))["METRICS"].items}
    assert (items["9"], items["10"]) == ("open", "yes")
    alone = dataclasses.replace(with_study(validation, automated), readers=())
    items = {item.number: item.answer.verdict for item in by_name(alone)["METRICS"].items}
    assert items["9"] == "no"


def test_data_are_shared_if_images_or_features_are(validation: Validation) -> None:
    for images, features, verdict in ((True, False, "yes"), (False, True, "yes"), (False, False, "no")):
        told = Availability(images=Shared(images, "here"), features=Shared(features, "there"))
        items = {
            item.number: item.answer
            for item in by_name(with_study(validation, Study(availability=told)))["METRICS"].items
        }
        assert items["28"].verdict == verdict


def test_files_hold_every_item_with_its_answer(validation: Validation) -> None:
    for found in fill_checklists(with_study(validation, STUDY)):
        rows = list(csv.DictReader(io.StringIO(found.to_table().to_csv())))
        assert [row["item"] for row in rows if row["item"] != "score"] == [item.number for item in found.items]
        for row, item in zip(rows, found.items, strict=False):
            assert row["answer"] == item.answer.verdict
            assert row["rests on (report.json)"] == item.answer.pointer
        assert ("weight" in rows[0]) == (found.name == "METRICS")

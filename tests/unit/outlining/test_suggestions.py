"""Suggested values of eligibility's columns: the volumes that say yes, no and nothing, and the words of the manifest."""

from typing import get_args

import pytest

from cvtbatch.contracts import manifest_fields
from cvtbatch.outlining.blood import Tissue
from cvtbatch.outlining.location import Location, Place
from cvtbatch.outlining.suggestions import Suggestions, suggest
from cvtbatch.validation.eligibility import assess_eligibility

LOBAR = Place(infratentorial=False, location="lobar")


def volumes(iph: float = 20.0, eah: float = 0.0, ivh: float = 0.0) -> dict[Tissue, float]:
    return {
        Tissue.INTRAPARENCHYMAL: iph,
        Tissue.EXTRA_AXIAL: eah,
        Tissue.OEDEMA: 40.0,
        Tissue.INTRAVENTRICULAR: ivh,
    }


@pytest.mark.parametrize(("ivh_ml", "suggested"), [(0.0, False), (0.99, False), (1.0, None), (1.99, None), (2.0, True)])
def test_blood_in_the_ventricles(ivh_ml: float, suggested: bool | None) -> None:
    assert suggest(volumes(ivh=ivh_ml), volumes(), LOBAR) == Suggestions(suggested, False, "lobar")


@pytest.mark.parametrize(("eah_ml", "suggested"), [(1.2, False), (2.0, None), (4.9, None), (5.0, True)])
def test_blood_around_the_brain(eah_ml: float, suggested: bool | None) -> None:
    assert suggest(volumes(eah=eah_ml), volumes(), LOBAR) == Suggestions(False, suggested, "lobar")


def test_an_outline_of_mostly_extra_axial_blood_lies_elsewhere() -> None:
    head = volumes(iph=10, eah=30)
    assert suggest(head, volumes(iph=10, eah=11), LOBAR).location == "other"
    assert suggest(head, volumes(iph=10, eah=10), LOBAR).location == "lobar"


def test_a_method_without_classes_suggests_its_place_alone() -> None:
    assert suggest(None, None, LOBAR) == Suggestions(None, None, "lobar")
    assert suggest(None, None, Place(None, None)) == Suggestions(None, None, None)


def test_places_are_words_of_the_manifest_and_of_eligibility() -> None:
    assert {*get_args(Location), "other"} == set(manifest_fields()["location"].enum)
    for infratentorial in ("cerebellum", "brainstem"):
        assert assess_eligibility({"location": infratentorial}).reasons == ("infratentorial",)

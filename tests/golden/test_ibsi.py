"""IBSI-1's consensus values: the study's features within its tolerances, every deviation named, and each step of its processing."""

import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from cvtbatch.radiomics.box import label_index
from cvtbatch.radiomics.ibsi_processing import interpolate, lay_grid, resegment
from cvtbatch.radiomics.parameter_file import load_feature_set
from cvtbatch.radiomics.settings import IbsiPreparation
from tests.golden.ibsi_cases import (
    CONFIGURATIONS,
    FOLDER,
    TABLE,
    Row,
    compute_rows,
    ct_phantom,
    expected_deviations,
    is_within,
    read_rows,
    to_table,
)
from tests.support.outside_data import outside

ORDERS = ("ibsi", "pyradiomics")
FEATURES = 104


@cache
def computed() -> list[Row]:
    """Every value, computed once."""
    data = outside("ibsi")
    with tempfile.TemporaryDirectory() as scratch:
        return list(compute_rows(data, Path(scratch)))


def test_values_outside_the_tolerance_are_those_that_are_expected() -> None:
    rows = computed()
    assert len(rows) == len({(row.configuration, row.ibsi_code) for row in rows}) == FEATURES * len(CONFIGURATIONS)
    outside_tolerance = {
        (row.configuration, order, row.feature) for row in rows for order in ORDERS if not row.within(order)
    }
    assert outside_tolerance == set(expected_deviations())


def test_values_are_those_of_stock_pyradiomics_on_an_image_processed_elsewhere() -> None:
    """By PyRadiomics 3.0.1, for IBSI's order with bins from the lower bound where they have a width."""
    rows = computed()
    runs = {
        ("digital", "ibsi"): "stock digital",
        ("digital", "pyradiomics"): "stock digital",
        ("C", "ibsi"): "stock C IBSI-preprocessed, bins from -1000",
        ("C", "pyradiomics"): "stock C IBSI-preprocessed",
        ("D", "ibsi"): "stock D IBSI-preprocessed",
        ("D", "pyradiomics"): "stock D IBSI-preprocessed",
        ("E", "ibsi"): "stock E IBSI-preprocessed",
        ("E", "pyradiomics"): "stock E IBSI-preprocessed",
    }
    stock = {
        (row["run"], row["pyradiomics_feature"]): float(row["measured"])
        for row in read_rows(outside("ibsi") / "measured.csv")
        if row["aggregation_code"] in ("", "ITBB", "KOBO")  # means over angles, in three dimensions
    }
    off = [
        (row.configuration, order, row.feature)
        for row in rows
        for order, value in row.values.items()
        if value != pytest.approx(stock[runs[row.configuration, order], row.feature], rel=1e-9, abs=1e-12)
    ]
    assert off == []


def test_the_page_shows_what_is_computed() -> None:
    """After a change that moves a value: `python -m tests.golden.make_ibsi_table`."""
    shown, ours = read_rows(TABLE), to_table(computed())
    numbers = {"ibsi_order", "pyradiomics_order"}
    assert [_but(row, numbers) for row in shown] == [_but(row, numbers) for row in ours]
    for there, here in zip(shown, ours, strict=True):
        assert [float(there[name]) for name in numbers] == pytest.approx(
            [float(here[name]) for name in numbers], rel=2e-5
        )


def _but(row: dict[str, str], names: set[str]) -> dict[str, str]:
    return {name: value for name, value in row.items() if name not in names}


def test_the_page_judges_as_ibsi_does() -> None:
    reasons = expected_deviations()
    rows = read_rows(TABLE)
    assert len(rows) == FEATURES * len(CONFIGURATIONS)
    for row in rows:
        for order in ORDERS:
            kept = is_within(float(row[f"{order}_order"]), float(row["consensus"]), float(row["tolerance"]))
            assert row[f"{order}_order_within"] == ("yes" if kept else "no")
            assert kept == ((row["configuration"], order, row["feature"]) not in reasons)
        assert bool(row["reason"]) == ("no" in (row["ibsi_order_within"], row["pyradiomics_order_within"]))


@pytest.mark.parametrize("configuration", ["C", "D", "E"])
def test_each_step_gives_ibsi_voxels_and_gray_values(configuration: str) -> None:
    data = outside("ibsi")
    preparation = load_feature_set(FOLDER / f"{configuration}.yaml").preparation
    assert isinstance(preparation, IbsiPreparation)
    ct, mask = map(sitk.ReadImage, map(str, ct_phantom(data)))
    found = interpolate(ct, label_index(mask, 1), preparation, lay_grid(ct, preparation))
    first_hu, first_mask = sitk.GetArrayFromImage(ct), sitk.GetArrayFromImage(mask) == 1
    kept = resegment(found.hu, found.mask, preparation)
    steps = dict(
        [
            *_of_image("init", first_hu, ct.GetSpacing()),
            *_of_image("interp", found.hu, found.spacing_mm[::-1]),
            *_of_roi("init", first_hu, first_mask, first_mask),
            *_of_roi("interp", found.hu, found.mask, found.mask),
            *_of_roi("reseg", found.hu, found.mask, kept),
        ]
    )
    references = [
        row
        for row in read_rows(data / "ibsi1.csv")
        if row["configuration"] == configuration and row["family"] == "Diagnostics"
    ]
    assert {row["tag"] for row in references} == set(steps)
    off = {
        row["tag"]: (steps[row["tag"]], row["value"], row["tolerance"])
        for row in references
        if not _agrees(steps[row["tag"]], row)
    }
    assert off == {}
    assert (found.mask.sum(), kept.sum()) == (45985, {"C": 45981, "D": 44465, "E": 44484}[configuration])


def _agrees(value: float, row: dict[str, str]) -> bool:
    """Say whether a step keeps to its tolerance, as it is or, but for counts, at three significant figures."""
    consensus, tolerance = float(row["value"]), float(row["tolerance"])
    return abs(value - consensus) <= tolerance or ("count" not in row["tag"] and is_within(value, consensus, tolerance))


def _of_image(step: str, hu: np.ndarray, spacing_mm: tuple[float, ...]) -> Iterator[tuple[str, float]]:
    for axis, size, mm in zip("xyz", hu.shape[::-1], spacing_mm, strict=True):
        yield f"img_dim_{axis}_{step}_img", size
        yield f"vox_dim_{axis}_{step}_img", mm
    for name, value in (("mean", hu.mean()), ("min", hu.min()), ("max", hu.max())):
        yield f"{name}_int_{step}_img", float(value)


def _of_roi(step: str, hu: np.ndarray, morphological: np.ndarray, intensity: np.ndarray) -> Iterator[tuple[str, float]]:
    for axis, size in zip("xyz", intensity.shape[::-1], strict=True):
        yield f"int_mask_dim_{axis}_{step}_roi", size
    for name, mask in (("int", intensity), ("morph", morphological)):
        for axis, voxels in zip("zyx", np.nonzero(mask), strict=True):
            yield f"{name}_mask_bb_dim_{axis}_{step}_roi", int(voxels.max() - voxels.min() + 1)
        yield f"{name}_mask_vox_count_{step}_roi", int(mask.sum())
    inside = hu[intensity]
    for name, value in (("mean", inside.mean()), ("min", inside.min()), ("max", inside.max())):
        yield f"int_mask_{name}_int_{step}_roi", float(value)

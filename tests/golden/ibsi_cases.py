"""IBSI's digital and CT phantom, its consensus values, and the values that are computed here of them.

Values, tolerances and phantoms are read in the folder `ibsi` of the data that came from elsewhere. A value is within the tolerance
if it is so at three significant figures.
"""

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import SimpleITK as sitk
import yaml

import cvtbatch
from cvtbatch import contracts
from tests.support.paths import ROOT

Order = Literal["ibsi", "pyradiomics"]
CONFIGURATIONS = ("digital", "C", "D", "E")
# The parameter files, one a configuration, and the table that the page of IBSI is made of.
FOLDER = ROOT / "docs" / "ibsi"
TABLE = FOLDER / "values.csv"
DEVIATIONS = Path(__file__).with_name("ibsi_deviations.yaml")
CT = "ct_phantom_CC-BY-NC"
# Of what IBSI's processing is done with already.
PYRADIOMICS_SETTINGS: Mapping[str, Mapping[str, object]] = {
    "digital": {"binWidth": 1},
    "C": {"binWidth": 25},
    "D": {"binCount": 32},
    "E": {"binCount": 32},
}


@dataclass(frozen=True, slots=True)
class Row:
    """One feature of one configuration: what IBSI says of it, and what is computed.

    Attributes:
        feature: PyRadiomics' class and name.
        values: by order of processing, in IBSI's convention.
    """

    configuration: str
    ibsi_feature: str
    ibsi_code: str
    aggregation: str
    feature: str
    consensus: float
    tolerance: float
    values: Mapping[Order, float]

    def within(self, order: Order) -> bool:
        """Say whether a value keeps to IBSI's tolerance."""
        return is_within(self.values[order], self.consensus, self.tolerance)


def is_within(value: float, consensus: float, tolerance: float) -> bool:
    """Say whether a value keeps to a tolerance at three significant figures."""
    return abs(float(f"{value:.2e}") - consensus) <= tolerance + 1e-9 * abs(consensus)


def read_rows(path: Path) -> list[dict[str, str]]:
    """Read a CSV."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def compute_rows(data: Path, scratch: Path) -> Iterator[Row]:
    """Compute the study's features of every configuration, in both orders, as a user does.

    Args:
        data: the folder `ibsi`.
        scratch: an empty folder.
    """
    for configuration in CONFIGURATIONS:
        yield from to_rows(
            configuration,
            data,
            {
                "ibsi": _in_ibsi_order(configuration, data),
                "pyradiomics": _in_pyradiomics_order(configuration, data, scratch),
            },
        )


def to_rows(configuration: str, data: Path, values: Mapping[Order, Mapping[str, float]]) -> Iterator[Row]:
    """Yield the study's features of one configuration from values of the original image, by order and name."""
    references = {row["tag"]: row for row in read_rows(data / "ibsi1.csv") if row["configuration"] == configuration}
    for row in read_rows(data / "ibsi_to_pyradiomics.csv"):
        if row[f"in_cvtbatch_{len(contracts.feature_names())}"] != "yes":
            continue
        feature, reference = row["pyradiomics_feature"], references[row["tag"]]
        # IBSI's is the excess over a normal distribution's.
        less = 3 if feature == "firstorder_Kurtosis" else 0
        yield Row(
            configuration,
            row["ibsi_feature"],
            row["ibsi_code"],
            row["aggregation"],
            feature,
            float(reference["value"]),
            float(reference["tolerance"]),
            {order: found[f"original_{feature}"] - less for order, found in values.items()},
        )


def digital_phantom(data: Path) -> tuple[sitk.Image, sitk.Image]:
    """Return the digital phantom and its mask, voxels of 2 mm."""
    rows = read_rows(data / "digital_phantom.csv")
    place = tuple(np.array([int(row[axis]) for row in rows]) for axis in "zyx")
    images = []
    for column in ("value", "mask"):
        array = np.zeros((4, 4, 5), np.int16)
        array[place] = [int(row[column]) for row in rows]
        image = sitk.GetImageFromArray(array)
        image.SetSpacing((2.0, 2.0, 2.0))
        images.append(image)
    return images[0], images[1]


def ct_phantom(data: Path) -> tuple[Path, Path]:
    """Return the files of the CT phantom and its mask, as they came."""
    return data / CT / "ct_phantom.nii.gz", data / CT / "ct_phantom_mask.nii.gz"


def _in_ibsi_order(configuration: str, data: Path) -> dict[str, float]:
    image, mask = digital_phantom(data) if configuration == "digital" else ct_phantom(data)
    return cvtbatch.extract_features(image, mask, params=FOLDER / f"{configuration}.yaml")


def _in_pyradiomics_order(configuration: str, data: Path, scratch: Path) -> dict[str, float]:
    """Compute on an image that was processed as IBSI asks: shape of the morphological mask, all else of the intensity mask."""
    setting = dict(PYRADIOMICS_SETTINGS[configuration])
    classes = dict.fromkeys(("firstorder", "glcm", "gldm", "glrlm", "glszm", "ngtdm"))
    shape, others = scratch / f"{configuration}-shape.yaml", scratch / f"{configuration}.yaml"
    shape.write_text(yaml.safe_dump({"featureClass": {"shape": None}}))
    others.write_text(yaml.safe_dump({"featureClass": classes, "setting": setting}))
    if configuration == "digital":
        image, mask = digital_phantom(data)
        morphological = mask
    else:
        image = data / CT / f"pre_{'E' if configuration == 'E' else 'CD'}_image.nii.gz"
        mask = data / CT / f"pre_{configuration}_intensity_mask.nii.gz"
        morphological = data / CT / "pre_morph_mask.nii.gz"
    return {
        **cvtbatch.extract_features(image, morphological, params=shape),
        **cvtbatch.extract_features(image, mask, params=others),
    }


def expected_deviations() -> dict[tuple[str, Order, str], str]:
    """Return the reason of every deviation that is expected, by configuration, order and feature."""
    return {
        (entry["configuration"], order, feature): entry["reason"]
        for entry in yaml.safe_load(DEVIATIONS.read_text(encoding="utf-8"))
        for order in entry["orders"]
        for feature in entry["features"]
    }


def to_table(rows: list[Row]) -> list[dict[str, str]]:
    """Return the rows as `docs/ibsi/values.csv` has them."""
    reasons = expected_deviations()
    return [
        {
            "configuration": row.configuration,
            "ibsi_feature": row.ibsi_feature,
            "ibsi_code": row.ibsi_code,
            "aggregation": row.aggregation,
            "feature": row.feature,
            "consensus": f"{row.consensus:g}",
            "tolerance": f"{row.tolerance:g}",
            "ibsi_order": f"{row.values['ibsi']:.6g}",
            "ibsi_order_within": "yes" if row.within("ibsi") else "no",
            "pyradiomics_order": f"{row.values['pyradiomics']:.6g}",
            "pyradiomics_order_within": "yes" if row.within("pyradiomics") else "no",
            "reason": next(
                (reasons[key] for order in row.values if (key := (row.configuration, order, row.feature)) in reasons),
                "",
            ),
        }
        for row in rows
    ]

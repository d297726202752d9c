"""The values in the store are PyRadiomics' own, to the last bit, computed on the stored volume and mask."""

import logging
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from cvtbatch import contracts
from cvtbatch.errors import InternalError
from cvtbatch.imaging.resampling import to_image
from cvtbatch.pipelines.extraction.stored_cases import read_known
from cvtbatch.store import FeatureStore
from tests.support.archives import tiny_archive
from tests.support.commands import extract_json

radiomics = pytest.importorskip("radiomics", reason="PyRadiomics builds on Python 3.11 and no later one")

SETTINGS = {
    "cvt-1834": {"binWidth": 5, "preCrop": True, "padDistance": 10},
    "onekey-1834": {
        "binWidth": 5,
        "preCrop": True,
        "padDistance": 10,
        "normalize": True,
        "normalizeScale": 1000,
        "voxelArrayShift": 1000,
    },
}
GLCM = [
    "Autocorrelation",
    "JointAverage",
    "ClusterProminence",
    "ClusterShade",
    "ClusterTendency",
    "Contrast",
    "Correlation",
    "DifferenceAverage",
    "DifferenceEntropy",
    "DifferenceVariance",
    "JointEnergy",
    "JointEntropy",
    "Imc1",
    "Imc2",
    "Idm",
    "Idmn",
    "Id",
    "Idn",
    "InverseVariance",
    "MaximumProbability",
    "SumEntropy",
    "SumSquares",
]


def stock(ct: sitk.Image, mask: sitk.Image, settings: dict[str, object]) -> dict[str, float]:
    """Return PyRadiomics' values as its own documentation says to get them."""
    from radiomics.featureextractor import RadiomicsFeatureExtractor

    radiomics.setVerbosity(logging.CRITICAL)
    extractor = RadiomicsFeatureExtractor(additionalInfo=False, **settings)
    extractor.disableAllImageTypes()
    for name in ("Original", "Wavelet", "Square", "SquareRoot", "Logarithm", "Exponential", "Gradient", "LBP3D"):
        extractor.enableImageTypeByName(name)
    extractor.enableImageTypeByName("LoG", customArgs={"sigma": [1.0, 2.0, 3.0]})
    extractor.disableAllFeatures()
    extractor.enableFeaturesByName(shape=[], firstorder=[], gldm=[], glrlm=[], glszm=[], ngtdm=[], glcm=GLCM)
    values = extractor.execute(sitk.Cast(ct, sitk.sitkFloat64), mask)
    return {name: float(value) for name, value in values.items()}


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("golden")
    tiny_archive(folder, 3)
    return folder


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("profile", SETTINGS)
def test_stored_values_are_stock_values_to_the_last_bit(archive: Path, tmp_path: Path, profile: str) -> None:
    extract_json(
        archive / "manifest.csv",
        tmp_path / "store",
        "--set",
        f"radiomics.profile={profile}",
        "--set",
        "radiomics.engine=pyradiomics",
    )
    store = FeatureStore(str(tmp_path / "store"))
    known = read_known(store.at(None), {})
    rows = store.radiomics().to_pylist()
    assert len(rows) == 3
    for row in rows:
        case = known[row["case_key"]]
        assert case.volume is not None
        grid = case.volume.grid
        ct = to_image(store.read_array(case.volume.stored), grid)
        mask = to_image(store.read_array(case.rois[row["roi_key"]].stored), grid)
        expected = stock(ct, mask, SETTINGS[profile])
        assert set(expected) == set(contracts.feature_names())
        stored = np.array([row[name] for name in expected])
        assert np.array_equal(stored, np.array(list(expected.values())), equal_nan=True)
        # The boxed region, cut out by hand: what the filters scale by.
        where = np.argwhere(sitk.GetArrayViewFromImage(mask))
        low, high = np.maximum(where.min(axis=0) - 10, 0), where.max(axis=0) + 11
        box = sitk.GetArrayViewFromImage(ct)[low[0] : high[0], low[1] : high[1], low[2] : high[2]]
        assert row["filter_scale_hu"] == np.abs(box.astype(float)).max()


def test_fewer_names_fail_before_work_starts(archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without SciPy's sph_harm, stock PyRadiomics drops all LBP-3D features with nothing but a warning."""
    import scipy.special
    from click.testing import CliRunner

    from cvtbatch.cli import cli

    monkeypatch.delattr(scipy.special, "sph_harm")
    command = [
        "extract",
        str(archive / "manifest.csv"),
        "--store",
        str(tmp_path / "store"),
        "--workers",
        "0",
        "--set",
        "embedding.weights=none",
    ]
    command += ["--set", "radiomics.engine=pyradiomics"]
    result = CliRunner().invoke(cli, command)
    assert isinstance(result.exception, InternalError)
    assert f"1561 features instead of {len(contracts.feature_names())}: 273 missing" in str(result.exception)
    assert "LBP-3D needs SciPy < 1.17: pip install 'cvtbatch[stock]'" in str(result.exception)
    assert not (tmp_path / "store").exists()

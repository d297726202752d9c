"""How hard the synthetic task is, and what it costs: `benchmark_synthesis.py [--cases 160] [--seeds 1 2 3]`.

Draws small cohorts, computes shape, first-order and GLCM features of the unfiltered image with PyRadiomics (bin width
5) after resampling to 0.5 x 0.5 x 5 mm, and cross-validates a ridge-penalised logistic regression of CVT on them.
Prints the cross-validated AUC, that of the latent traits themselves (a bound that no image can pass by much), the
odds ratio of epilepsy, and the time of drawing a case. The slices of tilted cases are stacked as if they were not.
"""

import argparse
import json
import logging
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import radiomics
import SimpleITK as sitk
from radiomics.featureextractor import RadiomicsFeatureExtractor

from cvtbatch.synthesis import SyntheticCase, plan_cohort, render
from cvtbatch.synthesis.cohort import EFFECT_SIZES, CasePlan

Array = npt.NDArray[np.float64]
SPACING_MM = (0.5, 0.5, 5.0)
MARGIN = 8
FOLDS = 5
REPEATS = 10
PENALTY = 10.0


def crop_resampled(case: SyntheticCase) -> tuple[sitk.Image, sitk.Image]:
    """Image (float64) and mask around the hematoma on the grid of the feature store."""
    hits = np.argwhere(case.mask_zyx)
    box = tuple(slice(max(0, a - MARGIN), b + MARGIN + 1) for a, b in zip(hits.min(0), hits.max(0), strict=True))
    pair = []
    for array, interpolator in ((case.hu_zyx, sitk.sitkBSpline), (case.mask_zyx, sitk.sitkNearestNeighbor)):
        image = sitk.GetImageFromArray(array[box].astype(np.float64))
        image.SetSpacing(case.spacing_xyz_mm)
        size = [
            int(np.ceil(n * s / t)) for n, s, t in zip(image.GetSize(), image.GetSpacing(), SPACING_MM, strict=True)
        ]
        pair.append(sitk.Resample(image, size, sitk.Transform(), interpolator, image.GetOrigin(), SPACING_MM))
    return sitk.Cast(sitk.Round(pair[0]), sitk.sitkFloat64), sitk.Cast(pair[1], sitk.sitkUInt8)


def extractor() -> RadiomicsFeatureExtractor:
    """Original image; shape, first order, GLCM."""
    radiomics.setVerbosity(logging.ERROR)
    chosen = RadiomicsFeatureExtractor(additionalInfo=False, binWidth=5.0)
    chosen.disableAllFeatures()
    for name in ("shape", "firstorder", "glcm"):
        chosen.enableFeatureClassByName(name)
    return chosen


def auc(scores: Array, positive: npt.NDArray[np.bool_]) -> float:
    """Area under the ROC curve as the share of pairs in the right order, ties half."""
    difference = scores[positive][:, None] - scores[~positive][None, :]
    return float((difference > 0).mean() + (difference == 0).mean() / 2)


def fit_ridge_logistic(x: Array, y: Array) -> Array:
    """Coefficients (intercept first, not penalised) by Newton's method."""
    design = np.column_stack([np.ones(len(x)), x])
    penalty = PENALTY * np.diag([0.0, *np.ones(x.shape[1])])
    beta = np.zeros(design.shape[1])
    for _ in range(25):
        p = 1 / (1 + np.exp(-design @ beta))
        gradient = design.T @ (y - p) - penalty @ beta
        beta += np.linalg.solve(design.T @ (design * (p * (1 - p))[:, None]) + penalty, gradient)
    return beta


def cross_validated_auc(x: Array, cvt: npt.NDArray[np.bool_]) -> float:
    """Mean over repeats of the AUC of out-of-fold scores; folds are stratified, scaling is the training fold's."""
    rng, found = np.random.default_rng(0), []
    for _ in range(REPEATS):
        fold = np.empty(len(x), dtype=int)
        for group in (cvt, ~cvt):
            fold[group] = rng.permutation(np.arange(group.sum()) % FOLDS)
        scores = np.empty(len(x))
        for k in range(FOLDS):
            train = fold != k
            mean, sd = x[train].mean(0), x[train].std(0) + 1e-12
            beta = fit_ridge_logistic((x[train] - mean) / sd, cvt[train].astype(float))
            scores[~train] = beta[0] + ((x[~train] - mean) / sd) @ beta[1:]
        found.append(auc(scores, cvt))
    return float(np.mean(found))


def odds_ratio(plans: Iterable[CasePlan]) -> float:
    """Of epilepsy, CVT against the rest."""
    table = np.zeros((2, 2))
    for plan in plans:
        table[plan.clinical.cvt, plan.clinical.epilepsy] += 1
    return float(table[1, 1] * table[0, 0] / (table[1, 0] * table[0, 1]))


def measure(cases: int, centers: int, seed: int, dump: Path | None) -> dict[str, float]:
    """Draw a cohort and measure it."""
    plans, features, seconds = list(plan_cohort(cases, centers, seed, "small")), [], []
    chosen = extractor()
    for plan in plans:
        start = time.perf_counter()
        case = render(plan)
        seconds.append(time.perf_counter() - start)
        features.append({name: float(value) for name, value in chosen.execute(*crop_resampled(case)).items()})
    cvt = np.array([bool(plan.clinical.cvt) for plan in plans])
    x = np.array([list(row.values()) for row in features])
    latent = np.array([[getattr(plan.hematoma, name) for name in EFFECT_SIZES] for plan in plans])
    if dump:
        dump.write_text(json.dumps({"x": x.tolist(), "names": list(features[0]), "cvt": cvt.tolist()}))
    return {
        "seed": seed,
        "cvt_share": round(float(cvt.mean()), 3),
        "auc": round(cross_validated_auc(x, cvt), 3),
        "auc_latent": round(cross_validated_auc(latent, cvt), 3),
        "best_single": round(max(abs(auc(column, cvt) - 0.5) + 0.5 for column in x.T), 3),
        "epilepsy_odds_ratio_20000_plans": round(odds_ratio(plan_cohort(20_000, 2, seed, "small")), 2),
        "seconds_a_case": round(float(np.median(seconds)), 3),
    }


def main() -> None:
    """Run the measurement for every seed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=160)
    parser.add_argument("--centers", type=int, default=2)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--dump", type=Path, help="write the features of the last seed as JSON")
    chosen = parser.parse_args()
    for seed in chosen.seeds:
        print(json.dumps(measure(chosen.cases, chosen.centers, seed, chosen.dump)), flush=True)


if __name__ == "__main__":
    main()

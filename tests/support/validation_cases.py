"""Plausible inputs of a validation, drawn from a seed: no store, no images but drawn ellipses."""

import numpy as np
from scipy.special import expit, logit

from cvtbatch.reporting.outlined_slice import OutlinedSlice
from cvtbatch.validation.development_size import DevelopmentCohort
from cvtbatch.validation.inputs import (
    BundleFacts,
    Case,
    CenterCohort,
    Contribution,
    Count,
    Explanation,
    FlowStep,
    Importance,
    ModelFacts,
    Provenance,
    Training,
    TrainingEstimate,
)
from cvtbatch.validation.nomogram import Nomogram, Term, TrainingRange
from cvtbatch.validation.readers import FeatureAgreement, reader_study, score_agreement
from cvtbatch.validation.values import Estimate, Interval, NotComputable, Scored

FEATURES = (
    "original_shape_Sphericity",
    "original_firstorder_Mean",
    "original_glcm_Contrast",
    "wavelet-LLH_glszm_SmallAreaEmphasis",
    "log-sigma-2-0-mm-3D_firstorder_90Percentile",
    "logarithm_gldm_DependenceEntropy",
    "lbp-3D-k_ngtdm_Coarseness",
    "gradient_glrlm_RunEntropy",
    "dl_017",
    "dl_101",
)
MODELS = ("Rad", "DL", "DLR", "DLRN")
NOMOGRAM = Nomogram(
    -3.1,
    (
        Term("DLR signature", 5.2, 0.0, 1.0, (), Estimate(181.3, Interval(28.0, 1170.0)), TrainingRange(0.02, 0.97)),
        Term(
            "epilepsy",
            1.1,
            0.0,
            1.0,
            ((0.0, "no"), (1.0, "yes")),
            Estimate(3.0, Interval(1.2, 7.4)),
            TrainingRange(0.0, 1.0),
        ),
    ),
)


def _columns(rng: np.random.Generator, outcome: np.ndarray, shift: float) -> dict[str, np.ndarray]:
    found = {}
    for place, name in enumerate(FEATURES):
        moved = shift if place in (1, 4) else 0.0
        found[name] = rng.normal(size=len(outcome)) + (0.9 - 0.07 * place) * outcome + moved
    return found


def _clinical(rng: np.random.Generator, outcome: np.ndarray) -> dict[str, list[float | str | None]]:
    n = len(outcome)
    return {
        "age": [float(value) for value in rng.normal(57, 12, n).clip(18, 92).round()],
        "sex": [str(value) for value in rng.choice(["F", "M"], n)],
        "epilepsy": [int(value) for value in rng.uniform(size=n) < np.where(outcome, 0.4, 0.15)],
        "hypertension": [int(value) for value in rng.uniform(size=n) < 0.5],
        "headache": [None if k % 17 == 3 else int(value) for k, value in enumerate(rng.uniform(size=n) < 0.6)],
        "onset_to_ct_h": [float(value) for value in np.exp(rng.normal(1.3, 0.8, n)).clip(0.5, 24).round(1)],
        "location": [str(value) for value in rng.choice(["lobar", "deep", "other"], n, p=[0.62, 0.34, 0.04])],
        "confirmed_by": [("MRV", "CTA", "DSA")[k % 3] for k in range(n)],
        "volume_ml": [float(value) for value in np.exp(rng.normal(3, 0.7, n)).round(1)],
    }


def _acquisition(rng: np.random.Generator, n: int, center: str) -> dict[str, list[float | str | None]]:
    scanners = ["Philips Brilliance"] if center == "C1" else ["GE Revolution", "Siemens Definition AS"]
    return {
        "scanner": [str(value) for value in rng.choice(scanners, n)],
        "slice gap (mm)": [float(value) for value in rng.choice([2.5, 5.0], n, p=[0.8, 0.2])],
        "gantry tilt (degrees)": [float(value) for value in rng.normal(0 if center == "C1" else 12, 3, n).round(1)],
        "filter scaling maximum (HU)": [float(value) for value in rng.normal(1800, 250, n).round()],
    }


def make_training(seed: int, n: int = 192) -> Training:
    """Draw a training cohort."""
    rng = np.random.default_rng([seed, 1])
    outcome = np.arange(n) % 4 == 0
    columns = _columns(rng, outcome, 0.0)
    return Training(
        outcome=outcome.astype(float),
        clinical=_clinical(rng, outcome),
        acquisition=_acquisition(rng, n, "C1"),
        features=columns,
        embedding=rng.normal(size=(n, 24)),
    )


def make_cohort(seed: int, n: int, center: str = "C2", outcomes: str = "both", epilepsy: bool = True) -> CenterCohort:
    """Draw a centre.

    Args:
        outcomes: "both", "none" (unknown), or "one" class.
        epilepsy: False: unknown in all cases, so that DLRN is not there.
    """
    rng = np.random.default_rng([seed, 2])
    outcome = np.arange(n) % 4 == 1
    if outcomes == "one":
        outcome[:] = False
    columns = _columns(rng, outcome, 0.8)
    clinical, acquisition = _clinical(rng, outcome), _acquisition(rng, n, center)
    if not epilepsy:
        clinical["epilepsy"] = [None] * n
    odds = -1.4 + 0.8 * sum(columns.values()) / 2.5
    noise = {"Rad": 1.2, "DL": 1.4, "DLR": 0.7}
    scores = {name: expit(odds + rng.normal(0, spread, n)).round(3) for name, spread in noise.items()}
    cases = []
    for k in range(n):
        own = {name: float(values[k]) for name, values in scores.items()}
        seizure = clinical["epilepsy"][k]
        if seizure is not None:
            own["DLRN"] = float(expit(-3.1 + 5.2 * own["DLR"] + 1.1 * float(seizure)))
        points = (Contribution("DLR signature", 100 * own["DLR"]), Contribution("epilepsy", 21.2 * float(seizure or 0)))
        added = tuple(
            Contribution(name, float(amount))
            for name, amount in zip(FEATURES[::-2], rng.normal(0, 0.06, 5), strict=True)
        )
        over = float(columns[FEATURES[1]][k]) - 2.6
        outside = FEATURES[1:2] if over > 0 else ()
        flags = (("outside_training_range",) if outside else ()) + (("uneven_gaps",) if k % 11 == 5 else ())
        cases.append(
            Case(
                key=f"{center}/case-{k + 1:04d}",
                patient=f"P{k + 1}",
                outcome=None if outcomes == "none" or k % 41 == 40 else bool(outcome[k]),
                scores=own,
                clinical={name: values[k] for name, values in clinical.items()},
                acquisition={name: values[k] for name, values in acquisition.items()},
                flags=flags + (() if seizure is not None else ("epilepsy_unknown",)),
                outside=tuple(outside),
                beyond=dict.fromkeys(outside, over / 5.2),
                distance_percentile=float(rng.uniform(0, 100)),
                explanation=Explanation(points if seizure is not None else (), 0.24, added, 0.02),
                probabilities={name: float(expit(0.8 * logit(own[name]) - 0.6)) for name in noise},
            )
        )
    return CenterCohort(
        center=center,
        cases=tuple(cases),
        flow=(
            FlowStep("screened", n + 9),
            FlowStep.leaving_out(
                "readable, with an outline",
                n + 6,
                {"unreadable series": [f"{center}/out-1", f"{center}/out-2"], "outline awaited": [f"{center}/out-3"]},
            ),
            FlowStep.leaving_out(
                "eligible", n, {"substantial intraventricular hemorrhage": [f"{center}/out-{k}" for k in range(4, 10)]}
            ),
        ),
        failures=(Count("missing_slices", 1), Count("mask_outside_image", 1)),
        features=columns,
        embedding=rng.normal(0.2, 1, size=(n, 24)),
        readers=(make_readers(seed),) if n >= 20 else (),
    )


def make_readers(seed: int) -> object:
    """Draw an inter-reader study of 30 cases."""
    rng = np.random.default_rng([seed, 3])
    features = []
    for place in range(60):
        feature_class = ("shape", "firstorder", "glcm", "glrlm", "glszm", "ngtdm")[place % 6]
        value = float(rng.beta(9, 1.6))
        icc = Estimate(value, Interval(max(-1.0, value - 0.1), min(1.0, value + 0.06)))
        features.append(FeatureAgreement(f"original_{feature_class}_Feature{place}", icc, 30))
    features.append(FeatureAgreement("square_firstorder_Range", NotComputable("the feature does not vary"), 30))
    first = np.exp(rng.normal(3, 0.7, 30))
    second = first * rng.normal(1.02, 0.06, 30)
    scores = rng.uniform(size=30)
    return reader_study(
        "inter-reader",
        ("A, reading 1", "B, reading 1"),
        features,
        [float(value) for value in rng.beta(30, 3, 30)],
        (first, second),
        [score_agreement("DLRN", scores, np.clip(scores + rng.normal(0, 0.05, 30), 0, 1), 0.4)],
    )


def make_out_of_fold(seed: int, n: int = 192) -> Scored:
    """Draw what a training cohort scored out of fold."""
    rng = np.random.default_rng([seed, 4])
    outcome = np.arange(n) % 4 == 0
    return Scored(outcome, expit(-1.4 + 1.6 * outcome + rng.normal(0, 1.1, n)))


def make_bundle(epilepsy: bool = True) -> BundleFacts:
    """Return the facts of a bundle."""
    training = (
        TrainingEstimate("nested cross-validation", Estimate(0.84, Interval(0.77, 0.90))),
        TrainingEstimate("study protocol", Estimate(0.95, Interval(0.92, 0.98)), "selection before cross-validation"),
    )
    return BundleFacts(
        models=tuple(
            ModelFacts(
                name,
                {"youden": 0.33, "sens90": 0.2, "sens95": 0.12},
                training,
                make_out_of_fold(place),
                "probability" if name == "DLRN" else "recalibrated votes",
            )
            for place, name in enumerate(MODELS)
        ),
        nomogram=NOMOGRAM if epilepsy else NotComputable("the bundle has no nomogram"),
        importances=tuple(
            Importance(name, 0.2 / (k + 1), 0.1 * (-1) ** k if k % 3 else None) for k, name in enumerate(FEATURES)
        ),
        columns=len(FEATURES),
        development=DevelopmentCohort(192, 188, 48, 2347, 0.84),
    )


def make_provenance(center: str = "C2") -> Provenance:
    """Return where a made-up validation comes from."""
    return Provenance(
        center=center,
        training_centers=("C1",),
        training_cases=192,
        intended_use="Research on the cause of intracerebral hematomas on non-enhanced head CT.",
        fitted_reader="A, reading 1",
        applied_reader="A, reading 1",
        unfit_outlines=0,
        weights="random:0",
        not_for_inference=True,
        bundle_digest="sha256:" + "4f" * 32,
        snapshot="auto-0007",
        snapshot_digest="sha256:" + "a1" * 32,
        settings={
            "volume specification": "vol-485de907f340",
            "radiomics specification": "rad-71a7e07d3cb0",
            "radiomics settings": "binWidth 5",
        },
        software={"cvtbatch": "0.1.0", "numpy": "2.4.6"},
        created="2026-11-23 10:00 UTC",
        cautions=("thresholds rest on few training events",),
    )


def make_slice(key: str) -> OutlinedSlice | None:
    """Draw a head slice with a hematoma; the fifth case has none."""
    if key.endswith("0005"):
        return None
    rng = np.random.default_rng(sum(key.encode()))
    y, x = np.mgrid[-120:120, -100:100]
    brain = (x / 80) ** 2 + (y / 100) ** 2 < 1
    hu = np.where(brain, 34.0, np.where((x / 88) ** 2 + (y / 108) ** 2 < 1, 900.0, -1000.0))
    cx, cy = rng.uniform(-40, 40, 2)
    mask = ((x - cx) / 22) ** 2 + ((y - cy) / 15) ** 2 < 1
    hu[mask] = 64
    hu += rng.normal(0, 4, hu.shape)
    return OutlinedSlice(hu.astype(np.int16), mask.astype(np.uint8), (0.8, 0.8))

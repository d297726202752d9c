"""Who is in a synthetic archive: centres, their scanners, patients and hematomas.

A cohort is planned before it is drawn: `plan_cohort` yields small frozen values, `render` makes the voxels of one. A
plan depends on the seed, the centre's number and the case's number within its centre alone, so that a longer archive
begins with the shorter one, and cases can be drawn in any order and on any machine.

What separates cerebral venous thrombosis (CVT) from the rest, so that the task is neither trivial nor hopeless:

* epilepsy at admission, odds ratio 4 (age, sex, hypertension and headache do not separate, as in the study);
* latent traits of the hematoma, shifted by `EFFECT_SIZES` standard deviations each;
* location: CVT is lobar, close under the cortex, more often than the others.

Measured by tests/benchmarks/benchmark_synthesis.py on 160 small cases of two centres, seeds 1, 2 and 3: a ridge
logistic regression on shape, first-order and GLCM features of the original image reaches a cross-validated AUC of
0.86, 0.82 and 0.84 (on the latent traits themselves: 0.93, 0.86, 0.89; the best single feature: 0.80, 0.82, 0.81);
the odds ratio of epilepsy over 20,000 plans is 3.97, 3.59 and 4.07; a small case takes 0.3 s on one core.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Literal

import numpy as np

from cvtbatch.errors import InputError
from cvtbatch.synthesis.anatomy import BRAIN, HeadPlan
from cvtbatch.synthesis.fields import Point, Pose
from cvtbatch.synthesis.head import SyntheticCase, scan_head
from cvtbatch.synthesis.hematoma import LARGEST_ML, SMALLEST_ML, HematomaPlan, equal_sphere_radius_mm
from cvtbatch.synthesis.scanner import Scanner

Size = Literal["small", "full"]

EFFECT_SIZES: Mapping[str, float] = MappingProxyType(
    {"attenuation_hu": -1.2, "irregularity": 0.7, "raggedness": 0.8, "edge_mm": 0.7, "mottle_hu": 0.6}
)
"""Shift of a CVT hematoma's traits in standard deviations of the trait (Cohen's d); their distributions overlap."""

EPILEPSY_ODDS_RATIO = 4.0
EPILEPSY_ELSEWHERE = 0.15
"""Share with a seizure at admission among hematomas of other causes."""

BLOCK = 8
CVT_IN_BLOCK = 2
THIRD_CVT_SHARE = 0.2
"""Every eight consecutive cases of a centre hold two CVT, or three with this probability: 27.5 %."""
OUTSIDER_EVERY = 20
FIRST_OUTSIDER = 11
"""A centre's 12th case, and every 20th after it, fails one of the study's inclusion criteria."""
OUTSIDER_KINDS = ("ivh", "sah", "traumatic", "quality", "onset_to_ct_h")

HEADACHE_SHARE = 0.6
MALE_SHARE = 0.55
MEDIAN_ML = 20.0
LOG_SD_ML = 0.6
SLICE_COVER_MM = 160.0


@dataclass(frozen=True, slots=True)
class Etiology:
    """How patients with one cause of hematoma look at admission.

    Attributes:
        share: among the causes other than CVT.
        age, age_sd: years.
        hypertension, lobar: probabilities.
        confirmed_by: imaging that proves the cause, with probabilities.
    """

    share: float
    age: float
    age_sd: float
    hypertension: float
    lobar: float
    confirmed_by: Mapping[str, float]


# Age and hypertension have equal means over HP, CAA and AVM and in CVT: the study found no difference.
ETIOLOGIES: Mapping[str, Etiology] = MappingProxyType(
    {
        "CVT": Etiology(0.0, 56, 13, 0.48, 0.90, {"MRV": 0.7, "CTA": 0.15, "DSA": 0.15}),
        "HP": Etiology(0.50, 57, 11, 0.70, 0.40, {"CTA": 0.7, "MRV": 0.1, "DSA": 0.2}),
        "CAA": Etiology(0.28, 67, 8, 0.35, 0.95, {"CTA": 0.6, "MRV": 0.3, "DSA": 0.1}),
        "AVM": Etiology(0.22, 40, 12, 0.15, 0.70, {"DSA": 0.7, "CTA": 0.3}),
    }
)


@dataclass(frozen=True, slots=True)
class ClinicalValues:
    """A row's clinical columns, under the manifest's names; 0 and 1 are no and yes."""

    etiology: str
    cvt: int
    epilepsy: int
    age: int
    sex: str
    hypertension: int
    headache: int
    onset_to_ct_h: float
    location: str
    ivh: int
    sah: int
    traumatic: int
    quality: str
    confirmed_by: str

    def to_columns(self) -> dict[str, str | int | float]:
        """Values by column name, in the manifest's order."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class CasePlan:
    """Everything that a case's voxels and values follow from; small, picklable, and equal wherever it is made.

    Attributes:
        center, case_id, patient: the manifest's columns of these names.
        stream: (seed, centre's number, case's number), from 0.
    """

    center: str
    case_id: str
    patient: str
    stream: tuple[int, int, int]
    scanner: Scanner
    head: HeadPlan
    hematoma: HematomaPlan
    clinical: ClinicalValues


def plan_cohort(cases: int, centers: int, seed: int, size: Size) -> Iterator[CasePlan]:
    """Plan `cases` cases spread evenly over `centers` centres, centre by centre; no voxel is made.

    Raises:
        InputError: fewer cases than centres, no centre, a negative seed or an unknown size.
    """
    if not 1 <= centers <= cases or seed < 0:
        raise InputError(
            "bad_cohort", f"{cases} cases of {centers} centres with seed {seed}: ask for a case a centre, a seed from 0"
        )
    if size not in ("small", "full"):
        raise InputError("bad_cohort", f"size {size!r} is neither 'small' nor 'full'")
    return (
        plan_case(seed, center, number, size)
        for center in range(centers)
        for number in range(cases // centers + (center < cases % centers))
    )


def synthetic_cohort(cases: int, centers: int, seed: int, size: Size) -> Iterator[SyntheticCase]:
    """Plan a cohort and draw it, one case at a time."""
    return map(render, plan_cohort(cases, centers, seed, size))


def plan_case(seed: int, center: int, number: int, size: Size) -> CasePlan:
    """Plan case `number` (from 0) of centre `center` (from 0)."""
    rng = _stream("case", seed, center, number)
    name = f"C{center + 1}"
    etiology = _etiology(seed, center, number, rng)
    clinical = _clinical(etiology, _outsider(seed, center, number), rng)
    return CasePlan(
        center=name,
        case_id=f"{name}-{number + 1:04d}",
        patient=f"{name}-P{number + 1:04d}",
        stream=(seed, center, number),
        scanner=plan_scanner(seed, center, size),
        head=_head(clinical, rng),
        hematoma=_hematoma(clinical, rng),
        clinical=clinical,
    )


@lru_cache(maxsize=256)
def plan_scanner(seed: int, center: int, size: Size) -> Scanner:
    """The scanner of centre `center`; every second centre tilts its gantry."""
    rng = _stream("scanner", seed, center, 0)
    tilt = round(float(rng.uniform(8, 20) * rng.choice([-1, 1])), 1) if center % 2 else 0.0
    field_mm, noise, kernel = rng.uniform(224, 240), rng.uniform(2.5, 4.5), rng.uniform(0.5, 0.9)
    offset, gap_share = rng.uniform(-1, 1), rng.uniform()
    if size == "small":
        pixels, gap, slices = 256, round(5.7 + 0.6 * gap_share, 1), 24
    else:
        pixels, gap = 512, (2.5, 3.0, 4.0, 5.0)[int(gap_share * 4)]
        slices = round(SLICE_COVER_MM / gap)
    return Scanner(
        columns=pixels,
        rows=pixels,
        slices=slices,
        pixel_mm=round(float(field_mm) / pixels, 4),
        gap_mm=gap,
        tilt_deg=tilt,
        center_mm=(0.0, 0.0, 13.0),
        noise_hu=float(noise),
        kernel_mm=float(kernel),
        offset_hu=float(offset),
    )


def render(plan: CasePlan) -> SyntheticCase:
    """Draw a planned case."""
    seed, center, number = plan.stream
    scan = scan_head(
        plan.head,
        plan.hematoma,
        plan.scanner,
        moved=plan.clinical.quality == "inadequate",
        seed=_sequence("voxels", seed, center, number),
    )
    scanner = plan.scanner
    return SyntheticCase(
        center=plan.center,
        case_id=plan.case_id,
        patient=plan.patient,
        hu_zyx=scan.hu_zyx,
        mask_zyx=scan.mask_zyx,
        spacing_xyz_mm=(scanner.pixel_mm, scanner.pixel_mm, scanner.gap_mm),
        origin_mm=scanner.origin_mm,
        tilt_deg=scanner.tilt_deg,
        column_direction=scanner.column_direction,
        slice_step_mm=scanner.slice_step_mm,
        clinical=plan.clinical.to_columns(),
    )


def _etiology(seed: int, center: int, number: int, rng: np.random.Generator) -> str:
    """CVT by the centre's block of eight, so that a small centre has both classes; another cause by its share."""
    others = [name for name in ETIOLOGIES if name != "CVT"]
    other = str(rng.choice(others, p=[ETIOLOGIES[name].share for name in others]))
    block, place = divmod(number, BLOCK)
    return "CVT" if place in _cvt_places(seed, center, block) else other


@lru_cache(maxsize=256)
def _cvt_places(seed: int, center: int, block: int) -> frozenset[int]:
    """Which of a block's cases are CVT."""
    draw = _stream("block", seed, center, block)
    order = draw.permutation(BLOCK)
    return frozenset(int(place) for place in order[: CVT_IN_BLOCK + int(draw.uniform() < THIRD_CVT_SHARE)])


def _outsider(seed: int, center: int, number: int) -> str:
    """The inclusion criterion that this case fails, or an empty text."""
    if number % OUTSIDER_EVERY != FIRST_OUTSIDER:
        return ""
    return str(_stream("outsider", seed, center, number).choice(OUTSIDER_KINDS))


def _clinical(name: str, fails: str, rng: np.random.Generator) -> ClinicalValues:
    etiology, cvt = ETIOLOGIES[name], int(name == "CVT")
    odds = EPILEPSY_ELSEWHERE / (1 - EPILEPSY_ELSEWHERE) * (EPILEPSY_ODDS_RATIO if cvt else 1)
    onset = rng.uniform(24.5, 72) if fails == "onset_to_ct_h" else 0.5 + 23 * rng.beta(1.3, 4)
    return ClinicalValues(
        etiology=name,
        cvt=cvt,
        epilepsy=int(rng.uniform() < odds / (1 + odds)),
        age=int(np.clip(rng.normal(etiology.age, etiology.age_sd), 18, 92)),
        sex="M" if rng.uniform() < MALE_SHARE else "F",
        hypertension=int(rng.uniform() < etiology.hypertension),
        headache=int(rng.uniform() < HEADACHE_SHARE),
        onset_to_ct_h=round(float(onset), 1),
        location="lobar" if rng.uniform() < etiology.lobar else "deep",
        ivh=int(fails == "ivh"),
        sah=int(fails == "sah"),
        traumatic=int(fails == "traumatic"),
        quality="inadequate" if fails == "quality" else "adequate",
        confirmed_by=str(rng.choice(list(etiology.confirmed_by), p=list(etiology.confirmed_by.values()))),
    )


def _head(clinical: ClinicalValues, rng: np.random.Generator) -> HeadPlan:
    x, y, z = rng.uniform(-5, 5, 3)
    width, length, height = rng.normal(1, 0.025, 3).clip(0.94, 1.06)
    years = (clinical.age - 55) / 35
    return HeadPlan(
        pose=Pose(
            (float(x), float(y), float(z)), float(rng.uniform(-6, 6)), (float(width), float(length), float(height))
        ),
        ventricle_scale=float(np.clip(1 + 0.2 * years + rng.normal(0, 0.08), 0.7, 1.4)),
        sulcus_width=float(np.clip(0.16 + 0.06 * years + rng.normal(0, 0.02), 0.06, 0.28)),
        intraventricular=bool(clinical.ivh),
        subarachnoid=bool(clinical.sah),
    )


def _hematoma(clinical: ClinicalValues, rng: np.random.Generator) -> HematomaPlan:
    """Draw the latent traits: a standard normal each, shifted for CVT by its effect size."""
    trait = {name: float(rng.normal() + clinical.cvt * shift) for name, shift in EFFECT_SIZES.items()}
    volume = float(np.clip(MEDIAN_ML * np.exp(LOG_SD_ML * rng.normal()), SMALLEST_ML, LARGEST_ML))
    x, y, z = rng.uniform(0.8, 1.3, 3)
    depth = 0.75 if clinical.cvt else 1.0
    if clinical.location == "lobar":
        center = _lobar_center((depth + rng.normal(0, 0.15)) * equal_sphere_radius_mm(volume), rng)
    else:
        center = (float(rng.uniform(22, 32)), float(rng.normal(2, 7)), float(rng.normal(6, 4)))
    side = float(rng.choice([-1, 1]))
    return HematomaPlan(
        center_mm=(side * center[0], center[1], center[2]),
        volume_ml=volume,
        proportions=(float(x), float(y), float(z)),
        yaw_deg=float(rng.uniform(-40, 40)),
        attenuation_hu=float(np.clip(63 + 4.5 * trait["attenuation_hu"], 44, 80)),
        mottle_hu=float(np.clip(5 + 1.5 * trait["mottle_hu"], 1.5, 11)),
        irregularity=float(np.clip(0.15 * np.exp(0.35 * trait["irregularity"]), 0.03, 0.45)),
        raggedness=float(1 / (1 + np.exp(1.5 - trait["raggedness"]))),
        edge_mm=float(np.clip(2.2 * np.exp(0.35 * trait["edge_mm"]), 0.8, 7)),
        edema_mm=float(rng.uniform(2, 7)),
    )


def _lobar_center(depth_mm: float, rng: np.random.Generator) -> Point:
    """A point `depth_mm` under the upper convexity of the template's left hemisphere (x > 0)."""
    azimuth, z = np.radians(rng.uniform(-60, 60)), rng.uniform(-5, 32)
    girth = np.sqrt(1 - (z / BRAIN.semi_axes_mm[2]) ** 2)
    x, y = BRAIN.semi_axes_mm[0] * girth * np.cos(azimuth), BRAIN.semi_axes_mm[1] * girth * np.sin(azimuth)
    inward = max(0.25, 1 - depth_mm / float(np.hypot(x, y)))
    return float(x * inward), float(y * inward), float(z)


Purpose = Literal["scanner", "block", "outsider", "case", "voxels"]
PURPOSES: tuple[Purpose, ...] = ("scanner", "block", "outsider", "case", "voxels")


def _sequence(purpose: Purpose, seed: int, center: int, number: int) -> np.random.SeedSequence:
    return np.random.SeedSequence(seed, spawn_key=(PURPOSES.index(purpose), center, number))


def _stream(purpose: Purpose, seed: int, center: int, number: int) -> np.random.Generator:
    return np.random.default_rng(_sequence(purpose, seed, center, number))

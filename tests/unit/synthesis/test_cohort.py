"""Plans of cohorts: prevalence, associations, ranges; no voxel is drawn."""

import pickle
from collections import Counter

import numpy as np
import pytest

from cvtbatch.errors import InputError
from cvtbatch.synthesis import plan_cohort
from cvtbatch.synthesis.cohort import EFFECT_SIZES, EPILEPSY_ODDS_RATIO, ETIOLOGIES, OUTSIDER_KINDS

CASES = 6_000


@pytest.fixture(scope="module")
def plans():
    return list(plan_cohort(CASES, 3, 11, "small"))


def is_outsider(clinical):
    return (
        clinical.ivh
        or clinical.sah
        or clinical.traumatic
        or clinical.quality == "inadequate"
        or clinical.onset_to_ct_h > 24
    )


def shift(plans, name):
    """Cohen's d of a hematoma's trait."""
    values = np.array([getattr(plan.hematoma, name) for plan in plans])
    cvt = np.array([plan.clinical.cvt for plan in plans], dtype=bool)
    spread = np.sqrt((values[cvt].var() + values[~cvt].var()) / 2)
    return (values[cvt].mean() - values[~cvt].mean()) / spread


def odds_ratio(plans, column):
    table = Counter((plan.clinical.cvt, getattr(plan.clinical, column)) for plan in plans)
    return table[1, 1] * table[0, 0] / (table[1, 0] * table[0, 1])


def test_epilepsy_alone_separates_the_classes(plans):
    assert odds_ratio(plans, "epilepsy") == pytest.approx(EPILEPSY_ODDS_RATIO, abs=1)
    for column in ("hypertension", "headache"):
        assert odds_ratio(plans, column) == pytest.approx(1, abs=0.25)
    ages = [[plan.clinical.age for plan in plans if plan.clinical.cvt == cvt] for cvt in (0, 1)]
    assert np.mean(ages[0]) == pytest.approx(np.mean(ages[1]), abs=1.5)


def test_hematomas_differ_by_the_documented_effect(plans):
    for name, effect in EFFECT_SIZES.items():
        assert shift(plans, name) == pytest.approx(effect, abs=0.12), name
    assert abs(shift(plans, "volume_ml")) < 0.1


def test_prevalence_and_etiologies(plans):
    shares = Counter(plan.clinical.etiology for plan in plans)
    assert shares.keys() == ETIOLOGIES.keys()
    assert 0.25 <= shares["CVT"] / CASES <= 0.30
    assert all(plan.clinical.cvt == (plan.clinical.etiology == "CVT") for plan in plans)


def test_every_center_of_eight_has_both_classes_twice():
    for seed in range(30):
        classes = Counter((plan.center, plan.clinical.cvt) for plan in plan_cohort(24, 3, seed, "small"))
        assert len(classes) == 6
        assert min(classes.values()) >= 2


def test_a_twentieth_falls_outside_and_none_of_a_small_center(plans):
    assert sum(map(is_outsider, (plan.clinical for plan in plans))) == CASES // 20
    assert not any(is_outsider(plan.clinical) for plan in plan_cohort(22, 2, 5, "small"))
    assert sum(is_outsider(plan.clinical) for plan in plan_cohort(24, 2, 5, "small")) == 2
    assert len(OUTSIDER_KINDS) == 5


def test_columns_stay_in_range(plans):
    for plan in plans:
        clinical = plan.clinical
        assert 18 <= clinical.age <= 92
        assert clinical.sex in {"F", "M"}
        assert clinical.location in {"lobar", "deep"}
        assert clinical.quality in {"adequate", "inadequate"}
        assert clinical.confirmed_by in {"MRV", "CTA", "DSA"}
        assert 0 < clinical.onset_to_ct_h <= 72
        for column in ("cvt", "epilepsy", "hypertension", "headache", "ivh", "sah", "traumatic"):
            assert getattr(clinical, column) in {0, 1}
        assert all(type(value) in {str, int, float} for value in clinical.to_columns().values())


def test_a_longer_cohort_holds_the_shorter_one():
    few, many = list(plan_cohort(7, 2, 3, "full")), list(plan_cohort(31, 2, 3, "full"))
    assert all(plan in many for plan in few)
    assert [plan.center for plan in few] == ["C1"] * 4 + ["C2"] * 3
    assert len({(plan.center, plan.case_id) for plan in many}) == 31
    assert pickle.loads(pickle.dumps(many)) == many


def test_centers_have_scanners_of_their_own_and_some_tilt():
    scanners = {plan.center: plan.scanner for plan in plan_cohort(8, 4, 3, "full")}
    assert len(set(scanners.values())) == 4
    assert [bool(scanners[f"C{n}"].tilt_deg) for n in (1, 2, 3, 4)] == [False, True, False, True]
    for scanner in scanners.values():
        assert (scanner.columns, scanner.rows) == (512, 512)
        assert 32 <= scanner.slices <= 64


@pytest.mark.parametrize(
    ("cases", "centers", "seed", "size"),
    [(3, 4, 0, "small"), (0, 0, 0, "small"), (4, 2, -1, "small"), (4, 2, 0, "huge")],
)
def test_impossible_cohorts_are_refused(cases, centers, seed, size):
    with pytest.raises(InputError) as caught:
        plan_cohort(cases, centers, seed, size)
    assert caught.value.kind == "bad_cohort"

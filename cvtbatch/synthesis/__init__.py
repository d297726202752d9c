"""Synthetic head CT with hematomas, and multi-centre cohorts of them: pure, deterministic by seed."""

from cvtbatch.synthesis.cohort import CasePlan, ClinicalValues, plan_case, plan_cohort, render, synthetic_cohort
from cvtbatch.synthesis.head import SyntheticCase

__all__ = ["CasePlan", "ClinicalValues", "SyntheticCase", "plan_case", "plan_cohort", "render", "synthetic_cohort"]

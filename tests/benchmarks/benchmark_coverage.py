"""How often 95 % intervals cover the truth where patients have several scans: `python -m tests.benchmarks.benchmark_coverage [N]`.

N simulated cohorts (2,000 by default) of each kind: 80, 40 and 20 patients of whom 32 % have the event, with 1 to 5 scans each. A
patient's log odds are normal (mean -1.05, SD 1.5); a score errs by 0.4 (SD) in a patient and by 0.5 more in a scan. The truth is
that of 400,000 patients. Printed are what the package's intervals cover, in per cent, and, as what they replace, DeLong's interval
and the percentile bootstrap of the AUC over patients. Returns 1 where a coverage with 80 patients lies outside 93 to 97 % by more
than two standard errors of the simulation.
"""

import math
import sys
from collections import defaultdict
from collections.abc import Mapping

import numpy as np
from scipy.special import expit

from cvtbatch.validation import calibration, decisions, roc
from cvtbatch.validation.decision_curve import THRESHOLDS, decision_curve, net_benefit, standardised_net_benefit
from cvtbatch.validation.values import Estimate, Floats, Interval, Maybe, NotComputable, Scored

COHORTS = (80, 40, 20)
MOST_SCANS = 5
MEAN_ODDS, SD_ODDS, SD_OF_PATIENT, SD_OF_SCAN = -1.05, 1.5, 0.4, 0.5
THRESHOLD = 0.3
TRUTH_PATIENTS = 400_000
LEAST, MOST = 93.0, 97.0
RESAMPLES = 400
REPLACED = ("AUC, DeLong", "AUC, percentile bootstrap")


def draw(rng: np.random.Generator, patients: int) -> tuple[Scored, Scored]:
    """Draw a cohort by two scores that are equally good."""
    odds = rng.normal(MEAN_ODDS, SD_ODDS, patients)
    events = rng.uniform(size=patients) < expit(odds)
    patient = np.repeat(np.arange(patients), rng.integers(1, MOST_SCANS + 1, patients))
    # What a score gets wrong of a patient is the same in all scans; what it gets wrong of a scan is not.
    one, other = (
        Scored(
            events[patient],
            expit((odds + rng.normal(0, SD_OF_PATIENT, patients))[patient] + rng.normal(0, SD_OF_SCAN, len(patient))),
            patient,
        )
        for _ in range(2)
    )
    return one, other


def estimates(scored: Scored, other: Scored) -> Mapping[str, Maybe[Estimate]]:
    """Return what the package estimates of a cohort, by name."""
    found: dict[str, Maybe[Estimate]] = {
        "AUC": roc.auc(scored),
        "AUC, DeLong": roc.auc(Scored(scored.outcome, scored.score)),
    }
    compared, precision = roc.compare_auc(scored, other), roc.precision_recall(scored)
    found["difference of AUCs"] = compared if isinstance(compared, NotComputable) else compared.difference
    found["average precision"] = precision if isinstance(precision, NotComputable) else precision.average_precision
    decided = decisions.decide(scored, THRESHOLD)
    if not isinstance(decided, NotComputable):
        for name in (
            "sensitivity",
            "specificity",
            "accuracy",
            "positive_predictive_value",
            "negative_predictive_value",
        ):
            found[name.replace("_", " ")] = getattr(decided, name)
        for name in ("positive_likelihood_ratio", "negative_likelihood_ratio"):
            found[name.replace("_", " ")] = getattr(decided, name)
    terms, brier = calibration.terms(scored), calibration.brier(scored)
    found["calibration intercept"], found["calibration slope"] = terms.intercept, terms.slope
    found["net benefit / share of events"] = standardised_net_benefit(scored, THRESHOLD)
    found["calibration curve"] = _curve(scored)
    found["O/E"] = calibration.observed_over_expected(scored)
    found["Brier score"] = brier if isinstance(brier, NotComputable) else brier.score
    return found


def _curve(scored: Scored) -> Maybe[Estimate]:
    """Return the flexible calibration curve at the threshold."""
    curve = calibration.smooth_curve(scored)
    if isinstance(curve, NotComputable):
        return curve
    value, low, high = (
        float(np.interp(THRESHOLD, curve.predicted, line)) for line in (curve.observed, curve.low, curve.high)
    )
    return Estimate(value, Interval(low, high))


def bootstrap_auc(scored: Scored, rng: np.random.Generator) -> Interval | None:
    """Return the percentile interval of the AUC over resamples of patients."""
    members = [np.flatnonzero(scored.patient == one) for one in range(scored.patients)]
    areas = []
    for _ in range(RESAMPLES):
        rows = np.concatenate([members[one] for one in rng.integers(0, len(members), len(members))])
        resampled = Scored(scored.outcome[rows], scored.score[rows])
        if 0 < resampled.events < resampled.n:
            areas.append(roc.area(resampled))
    return Interval(*np.quantile(areas, [0.025, 0.975])) if areas else None


def truth() -> tuple[dict[str, float], float]:
    """Return the value of every estimate in a huge cohort, and the net benefit at the threshold."""
    rng = np.random.default_rng(0)
    one, other = draw(rng, TRUTH_PATIENTS)
    # Each scan counts for itself, so that no interval is computed over patients.
    found = {
        name: value.value
        for name, value in estimates(*(Scored(part.outcome, part.score) for part in (one, other))).items()
        if isinstance(value, Estimate)
    }
    found["difference of AUCs"] = 0.0
    return found, float(net_benefit(one, np.array([THRESHOLD]))[0][0])


def covered(patients: int, cohorts: int, true: Mapping[str, float], benefit: float) -> tuple[dict[str, float], Floats]:
    """Return what intervals cover, in per cent, by name, and the patients with the event of each cohort."""
    rng = np.random.default_rng(patients)
    place = THRESHOLDS.index(THRESHOLD)
    hits: dict[str, list[bool]] = defaultdict(list)
    events = []
    for number in range(cohorts):
        one, other = draw(rng, patients)
        events.append(one.where(one.outcome).patients)
        for name, value in estimates(one, other).items():
            if isinstance(value, Estimate) and isinstance(value.interval, Interval):
                hits[name].append(value.interval.low <= true[name] <= value.interval.high)
        curve = decision_curve(one, number)
        if not isinstance(curve, NotComputable):
            hits["net benefit"].append(curve.low[place] <= benefit <= curve.high[place])
        if number % 4 == 0 and (span := bootstrap_auc(one, rng)):
            hits["AUC, percentile bootstrap"].append(span.low <= true["AUC"] <= span.high)
    return {name: 100 * float(np.mean(found)) for name, found in hits.items()}, np.array(events, dtype=float)


def main(cohorts: int) -> int:
    true, benefit = truth()
    columns = []
    for patients in COHORTS:
        found, events = covered(patients, cohorts, true, benefit)
        columns.append(found)
        print(f"{patients} patients, {events.mean():.1f} of them with the event (SD {events.std():.1f})", flush=True)
    print(f"{'per cent covered with patients:':36s}" + "".join(f"{patients:8d}" for patients in COHORTS))
    for name in columns[0]:
        print(f"{name:36s}" + "".join(f"{column.get(name, math.nan):8.1f}" for column in columns))
    slack = 2 * 100 * math.sqrt(0.95 * 0.05 / cohorts)
    outside = [
        name
        for name, value in columns[0].items()
        if name not in REPLACED and not LEAST - slack <= value <= MOST + slack
    ]
    print(f"outside {LEAST:g} to {MOST:g} % with {COHORTS[0]} patients: {', '.join(outside) or 'none'}")
    return int(bool(outside))


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 2000))

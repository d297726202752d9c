"""What a cohort of this size can show, and how large one would have to be."""

import math
from dataclasses import dataclass

from cvtbatch.validation.calibration import Terms, log_odds
from cvtbatch.validation.decision_curve import standardised_net_benefit
from cvtbatch.validation.decisions import Decisions
from cvtbatch.validation.sample_size import (
    cases_for_auc,
    cases_for_net_benefit,
    cases_for_observed_over_expected,
    cases_for_proportion,
    cases_for_slope,
)
from cvtbatch.validation.values import Estimate, Maybe, NotComputable, Scored

FEW_EVENTS = 10
"""With and without the event: with fewer, nothing that is found here tells how many it would take."""
ENOUGH_EVENTS = 100
"""With and without the event, for an external validation (Vergouwe et al., J Clin Epidemiol 2005;58:475)."""
AUC_WIDTH, SENSITIVITY_WIDTH, RATIO_WIDTH = 0.1, 0.2, 0.5
CRITERION_WIDTH = 0.2
"""Of O/E, calibration slope and net benefit, as `pmvalsampsize` asks for by default (Riley et al., Stat Med 2021;40:4230)."""


@dataclass(frozen=True, slots=True)
class Target:
    """How many cases give a 95 % interval of a width.

    Attributes:
        anticipated: the value here, which the calculation assumes; for O/E and slope it assumes 1.
        width: asked for.
        now: the width here.
        n, events: that would give it at this cohort's share of events, each of another patient.
    """

    measure: str
    anticipated: float
    width: float
    now: Maybe[float]
    n: Maybe[int]
    events: Maybe[int]


@dataclass(frozen=True, slots=True)
class Power:
    """A verdict in words, and the targets behind it.

    Attributes:
        n, events: patients.
        targets: of the primary model's AUC, sensitivity and O/E.
        criteria: those of Riley et al. 2021.
    """

    n: int
    events: int
    verdict: str
    targets: tuple[Target, ...]
    criteria: tuple[Target, ...]


def power(
    scored: Scored,
    auc: Maybe[Estimate],
    decisions: Maybe[Decisions],
    terms: Terms,
    observed_over_expected: Maybe[Estimate],
) -> Power:
    """Say what a cohort can show.

    Args:
        scored: cases with the primary model's probability.
        auc, decisions, terms, observed_over_expected: as found, of the primary model at its frozen threshold.
    """
    n, events, others = scored.patients, scored.where(scored.outcome).patients, scored.where(~scored.outcome).patients
    share = scored.events / scored.n if scored.n else 0.0
    targets: list[Target] = []
    criteria: list[Target] = []
    if isinstance(auc, Estimate):
        discrimination = _target("AUC", auc, AUC_WIDTH, cases_for_auc(auc.value, share, AUC_WIDTH), share)
        targets.append(discrimination)
    if isinstance(decisions, Decisions) and isinstance(decisions.sensitivity, Estimate):
        found = decisions.sensitivity
        cases = cases_for_proportion(found.value, share, SENSITIVITY_WIDTH)
        targets.append(_target("sensitivity", found, SENSITIVITY_WIDTH, cases, share))
    if isinstance(observed_over_expected, Estimate):
        for rows, width in ((targets, RATIO_WIDTH), (criteria, CRITERION_WIDTH)):
            cases = cases_for_observed_over_expected(share, width)
            rows.append(_target("observed / expected", observed_over_expected, width, cases, share))
    if isinstance(terms.slope, Estimate):
        cases = cases_for_slope(log_odds(scored.score), CRITERION_WIDTH)
        criteria.append(_target("calibration slope", terms.slope, CRITERION_WIDTH, cases, share))
    if isinstance(auc, Estimate):
        criteria.append(discrimination)
    if isinstance(decisions, Decisions):
        criteria += _of_net_benefit(scored, decisions, share)
    unit = "patients" if scored.repeated else "cases"
    asked_for = _asked_for(criteria, unit) if min(events, others) >= FEW_EVENTS else ""
    verdict = f"{scored.none[0].upper()}{scored.none[1:]}; this model is not judged here."
    if scored.n:
        verdict = _verdict(n, events, others, unit) + asked_for
    return Power(n, events, verdict, tuple(targets), tuple(criteria))


def _target(measure: str, found: Estimate, width: float, needed: Maybe[int], share: float) -> Target:
    now = found.interval if isinstance(found.interval, NotComputable) else found.interval.width
    events = needed if isinstance(needed, NotComputable) else math.ceil(needed * share)
    return Target(measure, found.value, width, now, needed, events)


def _of_net_benefit(scored: Scored, decisions: Decisions, share: float) -> list[Target]:
    """Return the criterion of the net benefit over the share of events, at the frozen threshold."""
    sensitivity, specificity = decisions.sensitivity, decisions.specificity
    found = standardised_net_benefit(scored, decisions.threshold)
    if not (isinstance(found, Estimate) and isinstance(sensitivity, Estimate) and isinstance(specificity, Estimate)):
        return []
    cases = cases_for_net_benefit(sensitivity.value, specificity.value, share, decisions.threshold, CRITERION_WIDTH)
    return [_target("net benefit / share of events", found, CRITERION_WIDTH, cases, share)]


def _asked_for(criteria: list[Target], unit: str) -> str:
    """Say which criterion asks for most cases."""
    known = [(row.n, row) for row in criteria if not isinstance(row.n, NotComputable)]
    if not known:
        return ""
    n, row = max(known, key=lambda pair: pair[0])
    return (
        f" Riley's criteria for an external validation (2021) ask for {n:,} {unit} at this share of events, {row.events:,} of "
        f"them with the event ({row.measure}, an interval of {row.width:g})."
    )


def _verdict(n: int, events: int, others: int, unit: str) -> str:
    if events == 0 or others == 0:
        return f"All {n} {unit} are of one class: discrimination and calibration cannot be judged here."
    counts = f"{events} {unit} with and {others} without the event"
    if min(events, others) >= ENOUGH_EVENTS:
        return f"{counts}: at least {ENOUGH_EVENTS} of each, as is advised for an external validation."
    if min(events, others) < FEW_EVENTS:
        return f"Only {counts}: far too few to judge a model; read every figure here as a description of these {unit}."
    return (
        f"Only {counts}, where at least {ENOUGH_EVENTS} of each are advised for an external validation: "
        "intervals are wide, and a difference that is not found may still be there."
    )

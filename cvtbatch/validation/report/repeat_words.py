"""What a report says where patients have several scans: what intervals count, and how often such intervals cover. Pure."""

from cvtbatch.validation.evaluate import Validation

ENOUGH_PATIENTS, ENOUGH_RARER = 80, 25
"""From here on 95 % intervals cover 93 to 97 % (`tests/benchmarks/benchmark_coverage.py`)."""
SIMULATED = (
    "In simulated cohorts of 40 patients, 13 of them with the event, intervals that are said to cover 95 % covered 93 to 98 %; of "
    "20 patients, 6 of them with the event, 92 to 100 %."
)


def repeats_in_words(validation: Validation) -> str:
    """Return how many scans patients have and what is done about it; an empty text where each has one."""
    found = validation.repeats
    if found is None:
        return ""
    told = (
        f"{found.cases:,} cases come from {found.patients:,} patients, of whom {found.several:,} have several scans, up to "
        f"{found.most}. Scans of one patient are not independent: intervals and tests of scores are those of patients (AUC: "
        "Obuchowski 1997; net benefit: bootstrap; the rest: variance of patients' sums, Student's quantiles). Baseline, shift and "
        "readers take one scan a patient, the earliest after onset."
    )
    size = validation.power
    few = size.n < ENOUGH_PATIENTS or min(size.events, size.n - size.events) < ENOUGH_RARER
    return f"{told} {SIMULATED}" if few else told

"""Bundles that lie are refused, or score as the one that they were made of."""

from tests.faults.bundle_trial import run, unsound

# The first of those that `python -m tests.faults.bundle_trial` makes.
MUTATIONS = 200


def test_a_changed_bundle_is_refused_or_scores_as_it_did() -> None:
    results = run(range(MUTATIONS))
    assert len(results) == MUTATIONS
    assert [result for result in results if unsound(result)] == []
    # Most of what a bundle holds decides a score, so most changes must be refused; some may not.
    assert 0.8 * MUTATIONS < sum(outcome.startswith("refused") for _, _, _, outcome, *_ in results) < MUTATIONS

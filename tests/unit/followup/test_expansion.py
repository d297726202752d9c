"""Expansion by the published definitions, on volumes whose growth is plain arithmetic."""

import pytest

from cvtbatch.followup.expansion import Growth, has_expanded, has_expanded_revised

NONE = Growth(0.0, 0.0)


@pytest.mark.parametrize(
    ("baseline_ml", "followup_ml", "more_than", "at_least"),
    [
        (40.0, 45.9, False, False),  # 5.9 ml, 14.75 %
        (40.0, 46.0, False, True),  # 6 ml, 15 %
        (40.0, 46.1, True, True),  # 6.1 ml
        (10.1, 16.1, True, True),  # 6 ml, 59 %
        (50.1, 56.1, False, True),  # 6 ml, 12 %; 56.1 - 50.1 is 6.0 in no float
        (10.0, 13.2, False, False),  # 3.2 ml, 32 %
        (10.0, 13.3, False, True),  # 33 %
        (10.0, 13.4, True, True),  # 34 %
        (30.0, 20.0, False, False),  # shrank
        (30.0, 30.0, False, False),
    ],
)
def test_brouwers_asks_for_more_than_the_line_and_yogendrakumar_for_the_line(
    baseline_ml: float, followup_ml: float, more_than: bool, at_least: bool
) -> None:
    growth = Growth(baseline_ml, followup_ml)
    assert has_expanded(growth) is more_than
    assert has_expanded_revised(growth, NONE) is at_least


@pytest.mark.parametrize(
    ("ivh", "expanded"),
    [
        (Growth(0.0, 0.2), True),  # new, however little
        (Growth(2.0, 2.9), False),
        (Growth(2.1, 3.1), True),  # 1 ml; 3.1 - 2.1 is 1.0 in no float
        (Growth(2.0, 3.5), True),
        (Growth(5.0, 0.0), False),  # gone
        (NONE, False),
    ],
)
def test_new_or_growing_blood_in_the_ventricles_is_an_expansion_by_the_revised_definition(
    ivh: Growth, expanded: bool
) -> None:
    still = Growth(20.0, 20.0)
    assert has_expanded_revised(still, ivh) is expanded
    assert not has_expanded(still)

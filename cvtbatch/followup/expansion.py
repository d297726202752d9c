"""How a hematoma grew between two studies, and whether that is an expansion by published definitions.

* `expansion`: growth of more than 6 ml or more than 33 % (Brouwers et al., JAMA Neurology 2014, doi 10.1001/jamaneurol.2013.5433).
* `expansion_revised`: growth of at least 6 ml or at least 33 %, or new intraventricular hemorrhage, or at least 1 ml more of it
  (Yogendrakumar et al., Stroke 2020, doi 10.1161/STROKEAHA.119.027451, whose definitions with any IVH and with 1 ml are one here:
  what is new counts whatever its size, what was there from 1 ml).

The two differ at the line too. A volume is a number of voxels times that of one, so that growth may lie on it: what is nearer than
`TOLERANCE` lies on the line, whatever a float makes of 16.1 - 10.1.
"""

from dataclasses import dataclass

# Name of the ROI that holds intraventricular hemorrhage.
IVH = "ivh"
TOLERANCE = 1e-9


@dataclass(frozen=True, slots=True)
class ExpansionRules:
    """Thresholds of both definitions; another value is another specification."""

    growth_ml: float = 6.0
    growth_percent: float = 33.0
    ivh_growth_ml: float = 1.0
    ivh_roi: str = IVH


RULES = ExpansionRules()


@dataclass(frozen=True, slots=True)
class Growth:
    """What became of a volume of blood.

    Attributes:
        baseline_ml: above 0, but for intraventricular hemorrhage.
    """

    baseline_ml: float
    followup_ml: float

    @property
    def ml(self) -> float:
        """Growth; negative where it shrank."""
        return self.followup_ml - self.baseline_ml

    @property
    def percent(self) -> float:
        """Growth in per cent of the first volume, which is not 0."""
        return 100.0 * self.ml / self.baseline_ml


def has_expanded(hematoma: Growth) -> bool:
    """Say whether a hematoma expanded: by more than 6 ml or more than 33 %."""
    return _above(hematoma.ml, RULES.growth_ml) or _above(hematoma.percent, RULES.growth_percent)


def has_expanded_revised(hematoma: Growth, ivh: Growth) -> bool:
    """Say whether a hematoma expanded by the definition that takes intraventricular hemorrhage in.

    Args:
        ivh: volumes of intraventricular hemorrhage, 0 where there is none.
    """
    is_new = ivh.baseline_ml == 0 and ivh.followup_ml > 0
    return (
        not _above(RULES.growth_ml, hematoma.ml)
        or not _above(RULES.growth_percent, hematoma.percent)
        or is_new
        or not _above(RULES.ivh_growth_ml, ivh.ml)
    )


def _above(value: float, line: float) -> bool:
    return value - line > TOLERANCE * max(abs(value), abs(line))

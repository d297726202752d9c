"""What bundle.json says of a model that arrays do not: the names of its columns, and what its folds differ in."""

from dataclasses import dataclass

from cvtbatch.dlrn.clinical_terms import DEFAULT_TERMS, ClinicalTerm
from cvtbatch.dlrn.combat import HarmonisedCenters
from cvtbatch.dlrn.nomogram import NO_NOMOGRAM, Nomogram


@dataclass(frozen=True, slots=True)
class Columns:
    """Columns in use, in the order of the arrays."""

    radiomics: tuple[str, ...]
    components: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FoldDescription:
    """The model of one fold, as far as it is not the bundle's.

    Attributes:
        nomogram: none of several classes.
    """

    columns: Columns
    nomogram: Nomogram = NO_NOMOGRAM
    clinical_terms: tuple[ClinicalTerm, ...] = DEFAULT_TERMS
    harmonisation: HarmonisedCenters | None = None


@dataclass(frozen=True, slots=True)
class SetsDescription:
    """Prediction sets, made by the models of all folds.

    Attributes:
        alpha: share of each class that a set may lack.
        bound: share of each class that it holds at least, where cases are exchangeable with training's.
    """

    method: str
    alpha: float
    bound: float
    folds: tuple[FoldDescription, ...]

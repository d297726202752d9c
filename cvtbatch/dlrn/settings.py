"""The settings of a fit, as `jobs/fit.yaml` gives them; defaults and ranges stand in `schemas/job.json`."""

from dataclasses import dataclass
from enum import StrEnum
from itertools import product

from cvtbatch.dlrn.combat import NewCenters
from cvtbatch.dlrn.pooling import Pooling
from cvtbatch.errors import InputError
from cvtbatch.spec import digest
from cvtbatch.validation.outcome import CVT, ETIOLOGY, EXPANSION

LARGEST_GRID = 8
FEWEST_CLASSES = 3
YES_OR_NO = (CVT.column, EXPANSION)


class Model(StrEnum):
    """The scores of a case: three signatures, and the nomogram of the fused one with clinical terms."""

    RAD = "rad"
    DL = "dl"
    DLR = "dlr"
    DLRN = "dlrn"


SIGNATURES = (Model.RAD, Model.DL, Model.DLR)


class Protocol(StrEnum):
    """In which order a model is fitted.

    SOUND: tests and scaling see real rows; SMOTE acts inside each inner fold; nomogram and thresholds rest on out-of-fold scores.
    STUDY: the paper's order: SMOTE first, everything after it on the enlarged cohort; nomogram and thresholds in sample.
    """

    SOUND = "sound"
    STUDY = "study"


class Harmonising(StrEnum):
    """How radiomics features of several centres are made alike before anything is fitted."""

    NONE = "none"
    COMBAT = "combat"


@dataclass(frozen=True, slots=True)
class HarmoniseSettings:
    """Harmonisation of centres; see section fit.harmonise.

    Attributes:
        reference: the centre whose values stay as they are; by default that with most cases.
        new_centers: what becomes of centres that are not trained on.
    """

    method: Harmonising
    reference: str | None
    new_centers: NewCenters

    def __post_init__(self) -> None:
        if self.method is not Harmonising.NONE:
            return
        if self.reference is not None or self.new_centers is not NewCenters.AS_THEY_ARE:
            told = "a reference" if self.reference is not None else "new_centers"
            raise InputError(
                "bad_job", f"fit.harmonise names {told} and no method: set fit.harmonise.method=combat as well"
            )


@dataclass(frozen=True, slots=True)
class PredictionSetSettings:
    """Sets of classes; see section fit.prediction_sets.

    Attributes:
        alpha: share of each class that a set may lack; None for no sets.
    """

    alpha: float | None


@dataclass(frozen=True, slots=True)
class SelectionSettings:
    """Filters, in their order; see `schemas/job.json`, section fit.selection.

    Attributes:
        icc_table: a file; in what a bundle keeps, its SHA-256.
    """

    icc_minimum: float | None
    icc_readers: tuple[str, ...]
    icc_table: str | None
    volume_correlation: float | None
    mann_whitney_p: float
    correlation: float
    lasso_folds: int
    lasso_alphas: int
    lasso_eps: float

    def __post_init__(self) -> None:
        if self.icc_readers and self.icc_table is not None:
            raise InputError(
                "bad_job", "fit.selection names icc_readers and icc_table: agreement comes from one of them"
            )
        if self.icc_minimum is None and (self.icc_readers or self.icc_table is not None):
            raise InputError(
                "bad_job", "fit.selection names whose agreement counts, and no icc_minimum that it must exceed"
            )


@dataclass(frozen=True, slots=True)
class ForestSettings:
    """A random forest and its grid; see section fit.forest."""

    trees: int
    grid_trees: int
    folds: int
    max_depth: tuple[int | None, ...]
    min_samples_leaf: tuple[int, ...]
    max_features: tuple[str | float, ...]

    def __post_init__(self) -> None:
        if len(self.grid()) > LARGEST_GRID:
            raise InputError(
                "grid_too_large", f"fit.forest spans {len(self.grid())} points; at most {LARGEST_GRID} are searched"
            )

    def grid(self) -> list[dict[str, int | float | str | None]]:
        """Return the points of the grid, in order."""
        names = ("max_depth", "min_samples_leaf", "max_features")
        values = (self.max_depth, self.min_samples_leaf, self.max_features)
        return [dict(zip(names, point, strict=True)) for point in product(*values)]


@dataclass(frozen=True, slots=True)
class ClinicalSettings:
    """Clinical columns of the nomogram; see section fit.clinical.

    Attributes:
        terms: columns that enter.
        candidates: columns that enter if their test has a P below p_value.
        splines: columns among them that enter as restricted cubic splines of so many knots.
    """

    terms: tuple[str, ...]
    candidates: tuple[str, ...]
    p_value: float
    splines: tuple[str, ...]
    knots: int

    def __post_init__(self) -> None:
        if twice := [name for name in self.candidates if name in self.terms]:
            raise InputError(
                "bad_job", f"fit.clinical names {twice[0]} among terms and among candidates: a term is not tested"
            )
        if alone := [name for name in self.splines if name not in self.columns]:
            raise InputError(
                "bad_job", f"fit.clinical.splines names {alone[0]}, which is neither among terms nor among candidates"
            )

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns that may enter."""
        return (*self.terms, *self.candidates)


@dataclass(frozen=True, slots=True)
class NestedSettings:
    """The nested estimate; see section fit.nested. With 0 repeats there is none.

    Attributes:
        leave_one_center_out: beside it, estimate each training centre by models of the others.
    """

    folds: int
    repeats: int
    bootstrap: int
    leave_one_center_out: bool


@dataclass(frozen=True, slots=True)
class FitSettings:
    """Everything that a fit's numbers depend on, but for its cohort.

    Attributes:
        features: what the cohort's radiomics are: "radiomics", the study's features, or the name of a feature set.
        pooling: what the cohort's embeddings are made of.
        outcome: column that says what is told.
        classes: names of several classes of it, in the order of their numbers; none where an event is told.
        embedding_spec: of these, or several fused, with a plus between them; None where the store has one alone, or the command
            names it.
        regions: derived of the outlines, whose features are columns too.
        outline_features: whether the outlines' own are.
    """

    outcome: str
    classes: tuple[str, ...]
    features: str
    pooling: Pooling
    embedding_spec: str | None
    regions: tuple[str, ...]
    outline_features: bool
    protocol: Protocol
    seed: int
    smote_neighbors: int
    components: int
    crossfit_folds: int
    firth: bool
    missing_feature: str
    harmonise: HarmoniseSettings
    clinical: ClinicalSettings
    selection: SelectionSettings
    forest: ForestSettings
    nested: NestedSettings
    prediction_sets: PredictionSetSettings

    def __post_init__(self) -> None:
        if not (self.outline_features or self.regions):
            raise InputError(
                "bad_job",
                "fit.outline_features=false leaves the features of regions alone, and fit.regions names none, e.g. [rim5]",
            )
        if self.prediction_sets.alpha is not None and self.protocol is Protocol.STUDY:
            raise InputError(
                "bad_job",
                "fit.prediction_sets are made by models of folds, and fit.protocol=study freezes one that has none",
            )
        if self.prediction_sets.alpha is not None and self.harmonise.new_centers is NewCenters.OWN_CASES:
            raise InputError(
                "bad_job",
                "fit.prediction_sets are made by models of folds, each on a scale of its own, and own cases of a new centre "
                "(fit.harmonise.new_centers) are put on that of the whole cohort: ask for one of them",
            )
        if self.nested.leave_one_center_out and self.harmonise.new_centers is NewCenters.OWN_CASES:
            raise InputError(
                "bad_job",
                "fit.nested.leave_one_center_out scores the centre that is left out as it is, and own cases of a new centre "
                "(fit.harmonise.new_centers) move it: ask for one of them",
            )
        if self.classes or self.outcome == ETIOLOGY:
            self._require_classes()

    def _require_classes(self) -> None:
        """Refuse classes that are no three, or of an outcome that has none, and what is not done of several classes."""
        if self.outcome in YES_OR_NO or len(self.classes) < FEWEST_CLASSES:
            raise InputError(
                "bad_job",
                f"fit.outcome={self.outcome} with fit.classes=[{', '.join(self.classes)}]: {FEWEST_CLASSES} classes or more, e.g. "
                "[CVT, HP, CAA], are told of etiology or of an x_ column with names; two are told by outcome=cvt, expansion, or an "
                "x_ column with yes and no, without classes",
            )
        if self.protocol is Protocol.STUDY:
            raise InputError(
                "bad_job", f"fit.protocol=study is of two classes alone, and fit.classes names {len(self.classes)}"
            )

    def seed_of(self, *names: object) -> int:
        """Return the seed of one random step, the same in every process: it follows from the step's name."""
        return int(digest(str(self.seed), *map(str, names))[:8], 16) >> 1

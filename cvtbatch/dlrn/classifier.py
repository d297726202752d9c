"""The DLRN as a scikit-learn classifier: the code of `cvtbatch fit`, for cross-validation, pipelines and comparisons in a notebook.

It has no audit, no frozen artifact and no nested estimate: what is to be used elsewhere is a bundle, which `cvtbatch fit` makes.
"""

import math
import warnings
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from cvtbatch import contracts
from cvtbatch.contracts import JsonObject
from cvtbatch.dlrn.arrays import Booleans, Floats, Floats32, Integers
from cvtbatch.dlrn.clinical_choice import choose_terms, require_terms
from cvtbatch.dlrn.cohort import Cohort
from cvtbatch.dlrn.folds import grouped_folds
from cvtbatch.dlrn.settings import FitSettings, Model, Protocol
from cvtbatch.dlrn.signatures import Ledger, Signatures, fit_signatures
from cvtbatch.dlrn.tasks import fit_nomogram, nomogram_scores
from cvtbatch.dlrn.votes import fit_votes, to_probability
from cvtbatch.documents import from_document, to_document
from cvtbatch.errors import InputError, ProblemsError
from cvtbatch.extras import require

require("DLRNClassifier needs", "sklearn", "imblearn", "statsmodels")

from sklearn.base import BaseEstimator, ClassifierMixin  # noqa: E402
from sklearn.utils.multiclass import check_classification_targets  # noqa: E402
from sklearn.utils.validation import check_consistent_length, check_is_fitted, validate_data  # noqa: E402

# An array (n, p), or a DataFrame.
Rows = Any


class UncalibratedWarning(UserWarning):
    """Probabilities are votes of the forest as they are: out of fold, no line makes probabilities of them."""


class DLRNClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Principal components, z-scores, Mann-Whitney, correlation, LASSO and forest to a signature, and the nomogram on top of it.

    The sound protocol of `cvtbatch fit`, step by step and with its seeds: on the same rows, with an embedding of one slice a case,
    votes and DLRN are those of the bundle. Where a hematoma has more slices, a bundle's components see them all, and these the
    largest.

    A probability is the nomogram's of signature and clinical columns. Where no such column is named it is the one that the
    signature's votes stand for by a logistic step on out-of-fold votes; where there is none (`recalibration_.reason` says why),
    votes stay as they are, and an `UncalibratedWarning` says so. A row in which a clinical term or a selected feature is missing
    has NaN for its probabilities, and `predict` refuses it.

    Args:
        epilepsy: name of the column of X that holds epilepsy (0, 1, NaN); None where there is none.
        embedding: what the names of the embedding's columns in X begin with, "emb_" in those of `FeatureStore.X_y`; they are
            reduced to `components`. None where there are none. All other columns are features.
        random_state: seed of every random step, a whole number.
        clinical_terms: further clinical columns of X, of numbers, that enter the nomogram.
        clinical_candidates: those that enter if their test passes.

    The rest are settings of `cvtbatch fit`, described in `schemas/job.json`; those that begin with clinical_ or forest_ stand in
    its sections of these names.

    Attributes:
        classes_: (2,), the second is the positive one.
        signatures_: the fitted signature, under `Model.DLR`, with the verdict on every column.
        selected_features_: names of its columns; components are dl_001 ...
        out_of_fold_votes_: (n,), of the training rows.
        nomogram_: the fitted nomogram, or None.
        clinical_: its clinical terms, and what became of the candidates; None without a nomogram.
        recalibration_: what makes probabilities of votes, or None with a nomogram.
    """

    def __init__(
        self,
        *,
        epilepsy: str | None = None,
        embedding: str | None = None,
        random_state: int = 1,
        components: int = 512,
        crossfit_folds: int = 5,
        firth: bool = False,
        clinical_terms: tuple[str, ...] = (),
        clinical_candidates: tuple[str, ...] = (),
        clinical_p_value: float = 0.05,
        clinical_splines: tuple[str, ...] = (),
        clinical_knots: int = 4,
        smote_neighbors: int = 5,
        mann_whitney_p: float = 0.05,
        correlation: float = 0.9,
        lasso_folds: int = 10,
        lasso_alphas: int = 100,
        lasso_eps: float = 0.001,
        forest_trees: int = 200,
        forest_grid_trees: int = 100,
        forest_folds: int = 5,
        forest_max_depth: tuple[int | None, ...] = (3, 6),
        forest_min_samples_leaf: tuple[int, ...] = (2, 8),
        forest_max_features: tuple[str | float, ...] = ("sqrt",),
    ) -> None:
        self.epilepsy = epilepsy
        self.embedding = embedding
        self.random_state = random_state
        self.components = components
        self.crossfit_folds = crossfit_folds
        self.firth = firth
        self.clinical_terms = clinical_terms
        self.clinical_candidates = clinical_candidates
        self.clinical_p_value = clinical_p_value
        self.clinical_splines = clinical_splines
        self.clinical_knots = clinical_knots
        self.smote_neighbors = smote_neighbors
        self.mann_whitney_p = mann_whitney_p
        self.correlation = correlation
        self.lasso_folds = lasso_folds
        self.lasso_alphas = lasso_alphas
        self.lasso_eps = lasso_eps
        self.forest_trees = forest_trees
        self.forest_grid_trees = forest_grid_trees
        self.forest_folds = forest_folds
        self.forest_max_depth = forest_max_depth
        self.forest_min_samples_leaf = forest_min_samples_leaf
        self.forest_max_features = forest_max_features

    def fit_settings(self) -> FitSettings:
        """Return the settings as `cvtbatch fit` has them.

        Raises:
            ProblemsError: a parameter is none that a job may have.
        """
        fit = {
            "seed": self.random_state,
            **{name: getattr(self, name) for name in ("smote_neighbors", "components", "crossfit_folds", "firth")},
            "clinical": {
                **({"terms": self._terms()} if self._clinical_columns() else {}),
                **{name: getattr(self, f"clinical_{name}") for name in ("candidates", "p_value", "splines", "knots")},
            },
            "selection": {
                name: getattr(self, name)
                for name in ("mann_whitney_p", "correlation", "lasso_folds", "lasso_alphas", "lasso_eps")
            },
            "forest": {
                name: getattr(self, f"forest_{name}")
                for name in ("trees", "grid_trees", "folds", "max_depth", "min_samples_leaf", "max_features")
            },
        }
        document: JsonObject = {"version": 1, "kind": "fit", "fit": to_document(fit)}
        if problems := contracts.problems_of(document, "job.json"):
            raise ProblemsError.of("bad_job", "the parameters of DLRNClassifier, as a job has them,", problems)
        return from_document(FitSettings, contracts.with_defaults(document, "job.json")["fit"])

    def fit(self, X: Rows, y: npt.ArrayLike, groups: Sequence[object] | None = None) -> Self:
        """Fit on n cases.

        Args:
            X: (n, p) numbers, NaN where one is missing; a feature that misses one is not used.
            y: (n,) two classes.
            groups: (n,) whose rows stay together in every fold, e.g. patients; by default every row is alone.

        Raises:
            ProblemsError: a parameter is none that a job may have.
            InputError: too few patients for the folds, no usable column, separation (try firth=True), or there is no such column.
            ValueError: X and y are not what scikit-learn takes, or y has not two classes.
        """
        X, y = validate_data(self, X, y, dtype=np.float64, ensure_all_finite=False)
        check_classification_targets(y)
        self.classes_, outcome = np.unique(y, return_inverse=True)
        if len(self.classes_) != 2:
            raise ValueError(
                f"Only binary classification is supported: y has {len(self.classes_)} class{'es' * (len(self.classes_) > 1)}"
            )
        if groups is not None:
            check_consistent_length(X, groups)
        patients = [str(group) for group in (range(len(X)) if groups is None else groups)]
        cohort = self._cohort(X, np.asarray(outcome, np.int64), patients)
        settings, rows = self.fit_settings(), np.arange(len(X))
        self._require_enough(cohort, settings)
        with threadpool_limits(1):
            self.out_of_fold_votes_ = np.full(len(X), np.nan)
            splits = grouped_folds(cohort.outcome, patients, settings.crossfit_folds, settings.seed_of("crossfit"))
            for fold, (train, test) in enumerate(splits, 1):
                part = _fit(cohort, train, settings, f"crossfit-{fold}")
                self.out_of_fold_votes_[test] = part.score(cohort, test)[Model.DLR]
            self.signatures_ = _fit(cohort, rows, settings, "final")
            self._fit_probability(cohort)
        self.selected_features_ = list(self.signatures_.fitted[Model.DLR].selection.names())
        return self

    def _require_enough(self, cohort: Cohort, settings: FitSettings) -> None:
        """Refuse rows whose classes are too small for the folds within folds, whichever way these are drawn.

        Raises:
            InputError: "too_few_patients", with the counts of each class.
        """
        within = max(settings.selection.lasso_folds, settings.forest.folds)
        # Of n patients the largest of K folds holds at least n / K; what it leaves is cut into folds again.
        needed = max(settings.crossfit_folds, within)
        while needed - math.ceil(needed / settings.crossfit_folds) < within:
            needed += 1
        own = [np.array(cohort.patients)[cohort.outcome == label] for label in (0, 1)]
        if min(len(np.unique(patients)) for patients in own) >= needed:
            return
        counts = " and ".join(
            f"{len(patients)} rows of class {name!s} ({len(np.unique(patients))} patients)"
            for name, patients in zip(self.classes_, own, strict=True)
        )
        raise InputError(
            "too_few_patients",
            f"these {len(cohort.outcome)} rows, perhaps a fold of your own, have {counts}; LASSO, forest and SMOTE in "
            f"{within} folds (the larger of lasso_folds and forest_folds) within crossfit_folds={settings.crossfit_folds} need "
            f"{needed} patients of each: give more cases or smaller folds",
        )

    def _fit_probability(self, cohort: Cohort) -> None:
        """Fit what makes probabilities of votes: the nomogram, or a logistic step."""
        votes = self.out_of_fold_votes_
        self.nomogram_ = self.recalibration_ = None
        self.clinical_ = None
        if self._clinical_columns():
            clinical = self.fit_settings().clinical
            require_terms(cohort.clinical, cohort.outcome, clinical)
            self.clinical_ = choose_terms(cohort.clinical, cohort.outcome, clinical)
            self.nomogram_ = fit_nomogram(
                votes, cohort.clinical, cohort.outcome, self.clinical_.terms, firth=self.firth
            )
            return
        self.recalibration_ = fit_votes(cohort.outcome, votes, self.forest_trees)
        if self.recalibration_.slope is None:
            warnings.warn(
                f"probabilities are uncalibrated votes: {self.recalibration_.reason}", UncalibratedWarning, stacklevel=3
            )

    def decision_votes(self, X: Rows) -> Floats:
        """Return the signature's votes for the positive class: (n,), NaN where a selected feature is missing."""
        check_is_fitted(self)
        return self._votes(validate_data(self, X, dtype=np.float64, ensure_all_finite=False, reset=False))

    def predict_proba(self, X: Rows) -> Floats:
        """Return the probabilities of both classes: (n, 2), NaN where they cannot be told."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float64, ensure_all_finite=False, reset=False)
        votes = self._votes(X)
        if self.nomogram_ is not None and self.clinical_ is not None:
            positive = nomogram_scores(self.nomogram_, votes, self._clinical(X), self.clinical_.terms)
        elif self.recalibration_ is not None and self.recalibration_.slope is not None:
            positive = to_probability(votes, self.forest_trees, self.recalibration_)
        else:
            positive = votes
        return np.column_stack([1 - positive, positive])

    def predict(self, X: Rows) -> npt.NDArray[Any]:
        """Return the likelier class of each row: (n,).

        Raises:
            InputError: "missing_value": of some rows it cannot be told.
        """
        probability = self.predict_proba(X)
        unknown = np.isnan(probability[:, 0])
        if unknown.any():
            raise InputError(
                "missing_value",
                f"{int(unknown.sum())} rows miss a clinical term or a selected feature, the first is row "
                f"{int(np.argmax(unknown))}: they have no class; predict_proba gives NaN for them",
            )
        classes: npt.NDArray[Any] = self.classes_[np.argmax(probability, axis=1)]
        return classes

    def _names(self) -> list[str]:
        names = getattr(self, "feature_names_in_", None)
        return [f"x{number}" for number in range(self.n_features_in_)] if names is None else list(names)

    def _places(self) -> tuple[Booleans, Booleans, Booleans]:
        """Say which columns of X are features, clinical and the embedding: (p,) each.

        Raises:
            InputError: "no_such_column".
        """
        names = self._names()
        wanted = self._clinical_columns()
        clinical = np.array([name in wanted for name in names])
        embedding = np.array([self.embedding is not None and name.startswith(self.embedding) for name in names])
        for argument, name, there in (
            ("embedding", self.embedding, bool(embedding.any())),
            *(("epilepsy" if name == self.epilepsy else "clinical", name, name in names) for name in wanted),
        ):
            if name is not None and not there:
                raise InputError("no_such_column", f"{argument}={name!r}: X is no DataFrame with such a column")
        return ~(clinical | embedding), clinical, embedding

    def _terms(self) -> list[str]:
        return [*([] if self.epilepsy is None else [self.epilepsy]), *self.clinical_terms]

    def _clinical_columns(self) -> list[str]:
        return [*self._terms(), *self.clinical_candidates]

    def _clinical(self, X: Floats) -> dict[str, Floats]:
        """Return the clinical columns of X, in the order of the parameters.

        Raises:
            InputError: "bad_value": epilepsy is neither 0, 1 nor NaN.
        """
        names = self._names()
        found = {name: X[:, names.index(name)].copy() for name in self._clinical_columns()}
        epilepsy = found.get(self.epilepsy or "", np.zeros(0))
        if not (np.isin(epilepsy, (0.0, 1.0)) | np.isnan(epilepsy)).all():
            raise InputError("bad_value", "epilepsy is neither 0 nor 1 in some rows")
        return found

    def _cohort(self, X: Floats, outcome: Integers, patients: list[str]) -> Cohort:
        features, _, embedding = self._places()
        rows = np.arange(len(X))
        slices = self._embedding(X, embedding)
        return Cohort(
            keys=tuple(map(str, rows)),
            patients=tuple(patients),
            outcome=outcome,
            clinical=self._clinical(X),
            radiomics_names=tuple(name for name, own in zip(self._names(), features, strict=True) if own),
            radiomics=np.ascontiguousarray(X[:, features]),
            embedding=slices,
            slices=slices,
            slice_rows=rows,
        )

    def _embedding(self, X: Floats, places: Booleans) -> Floats32:
        return np.ascontiguousarray(X[:, places], np.float32)

    def _votes(self, X: Floats) -> Floats:
        features, _, embedding = self._places()
        values = self.signatures_.columns_of(np.ascontiguousarray(X[:, features]), self._embedding(X, embedding))
        signature = self.signatures_.fitted[Model.DLR]
        whole = np.isfinite(values[:, signature.columns]).all(axis=1)
        votes = np.full(len(X), np.nan)
        if whole.any():
            votes[whole] = signature.score(values[whole])
        return votes

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        tags.input_tags.allow_nan = True
        return tags


def _fit(cohort: Cohort, rows: Integers, settings: FitSettings, name: str) -> Signatures:
    return fit_signatures(cohort, rows, Protocol.SOUND, settings, (Model.DLR,), name, Ledger())

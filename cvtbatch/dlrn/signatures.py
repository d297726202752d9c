"""Rad, DL and DLR: from a cohort's rows to fitted signatures, under either protocol.

Every step names the rows that it was given, so that the audit can compare them with those that it may see.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from cvtbatch.dlrn.arrays import Floats, Floats32, Integers
from cvtbatch.dlrn.attention import Attention, embedding_of, fit_attention
from cvtbatch.dlrn.cohort import Cohort, component_names
from cvtbatch.dlrn.combat import Harmonisation, fit_combat, require_centers
from cvtbatch.dlrn.components import Components, fit_components
from cvtbatch.dlrn.folds import Split, grouped_folds
from cvtbatch.dlrn.forest import FittedForest, fit_forest, votes_of
from cvtbatch.dlrn.oversampling import oversample
from cvtbatch.dlrn.pooling import Pooling
from cvtbatch.dlrn.selection import Offered, Selection, offer, select
from cvtbatch.dlrn.settings import FitSettings, Harmonising, Model, Protocol
from cvtbatch.dlrn.stability import repeated_rows, unstable_reasons
from cvtbatch.errors import InputError


@dataclass(frozen=True, slots=True)
class Seen:
    """The rows that one step was given.

    Attributes:
        held_out: rows that its result is applied to as if they were new, besides those that the whole task holds out.
    """

    step: str
    rows: tuple[int, ...]
    held_out: tuple[int, ...] = ()


@dataclass(slots=True)
class Ledger:
    """What each step of a fit was given."""

    entries: list[Seen] = field(default_factory=list)

    def enter(self, step: str, rows: Integers) -> None:
        """Write down that a step was given some rows of the cohort."""
        self.entries.append(Seen(step, tuple(int(row) for row in rows)))


@dataclass(frozen=True, slots=True)
class Signature:
    """One fitted signature.

    Attributes:
        columns: (s,) numbers of its columns among all, radiomics first, then components.
        selection: what became of each column that it was offered.
    """

    model: Model
    columns: Integers
    selection: Selection
    forest: FittedForest

    def score(self, values: Floats) -> Floats:
        """Return the votes for the event: (n,), of all columns' raw values (n, R + K)."""
        return votes_of(self.forest.estimator, self.selection.scaler.apply(values[:, self.columns]))


@dataclass(frozen=True, slots=True)
class Signatures:
    """Fitted signatures, and the pool, projection and harmonisation that they share.

    Attributes:
        names: names of all columns, radiomics first, then components.
        harmonisation: of all radiomics columns; None where centres stay as they are.
        attention: what pools slices; None where they are pooled before, or not at all.
    """

    names: tuple[str, ...]
    components: Components
    fitted: dict[Model, Signature]
    harmonisation: Harmonisation | None = None
    attention: Attention | None = None

    def columns_of(self, radiomics: Floats, embedding: Floats32, centers: Sequence[str] = ()) -> Floats:
        """Return all columns' values, centres made alike and not scaled: (n, R + K).

        Args:
            centers: (n,) of each row; none where centres stay as they are.
        """
        if self.harmonisation is not None:
            radiomics = self.harmonisation.apply(radiomics, centers)
        return np.concatenate([radiomics, self.components.apply(embedding)], axis=1)

    def values_of(self, cohort: Cohort, rows: Integers) -> Floats:
        """Return all columns' values of some rows of a cohort: (len(rows), R + K)."""
        embedding = embedding_of(self.attention, cohort, rows)
        return self.columns_of(cohort.radiomics[rows], embedding, cohort.centers_of(rows))

    def score(self, cohort: Cohort, rows: Integers) -> dict[Model, Floats]:
        """Return the votes of some rows of a cohort, by signature: (len(rows),) each."""
        values = self.values_of(cohort, rows)
        return {model: signature.score(values) for model, signature in self.fitted.items()}


def fit_signatures(
    cohort: Cohort,
    rows: Integers,
    protocol: Protocol,
    settings: FitSettings,
    models: Sequence[Model],
    name: str,
    ledger: Ledger,
) -> Signatures:
    """Fit signatures on some rows of a cohort.

    Args:
        name: of this fit; its random steps are seeded by it.
        ledger: takes down which rows each step was given.

    Raises:
        InputError: too few patients for the folds, or no usable column.
    """
    attention = _attend(cohort, rows, settings, name, ledger)
    chosen = cohort.slices_of(rows)
    ledger.enter("components", np.unique(cohort.slice_rows[chosen]))
    pooled = cohort.slices[chosen] if attention is None else embedding_of(attention, cohort, rows)
    components = fit_components(pooled, settings.components, cohort.networks)
    harmonisation = _harmonise(cohort, rows, settings, ledger)
    names = (*cohort.radiomics_names, *component_names(components.loadings.shape[1]))
    shared = Signatures(names, components, {}, harmonisation, attention)
    values = shared.values_of(cohort, rows)
    outcome, patients = cohort.outcome[rows], [cohort.patients[row] for row in rows]
    if protocol is Protocol.STUDY:
        ledger.enter("smote", rows)
        values, outcome = _oversampled_first(values, outcome, settings, name)
        patients = [str(row) for row in range(len(outcome))]
    for looked_at in repeated_rows(cohort, rows, settings.selection):
        ledger.enter("agreement", looked_at)
    unstable = [*unstable_reasons(cohort, rows, settings.selection), *[""] * components.loadings.shape[1]]
    for step in ("scaler", "mann_whitney"):
        ledger.enter(step, rows)
    offered = offer(names, values, outcome, unstable)
    radiomics = range(len(cohort.radiomics_names))
    fused = range(len(names))
    columns = {Model.RAD: radiomics, Model.DL: fused[len(radiomics) :], Model.DLR: fused}
    plan = _Plan(protocol, settings, patients, rows, f"{name}/{protocol}")
    fitted = {model: _fit_signature(model, offered, columns[model], plan, ledger) for model in models}
    return replace(shared, fitted=fitted)


def require_alike(cohort: Cohort, settings: FitSettings) -> None:
    """Refuse a cohort whose centres cannot be made alike, where they are to be, before anything is fitted.

    Raises:
        InputError: as `combat.require_centers`.
    """
    if settings.harmonise.method is not Harmonising.NONE:
        require_centers(cohort.centers, settings.harmonise.reference)


def _attend(cohort: Cohort, rows: Integers, settings: FitSettings, name: str, ledger: Ledger) -> Attention | None:
    if settings.pooling is not Pooling.ATTENTION:
        return None
    ledger.enter("attention", rows)
    return fit_attention(cohort.stacked(rows), cohort.outcome[rows], settings.seed_of(name, "attention"))


def _harmonise(cohort: Cohort, rows: Integers, settings: FitSettings, ledger: Ledger) -> Harmonisation | None:
    if settings.harmonise.method is Harmonising.NONE:
        return None
    ledger.enter("combat", rows)
    return fit_combat(cohort.radiomics[rows], cohort.centers_of(rows), settings.harmonise.reference)


@dataclass(frozen=True, slots=True)
class _Plan:
    protocol: Protocol
    settings: FitSettings
    patients: list[str]
    rows: Integers
    name: str

    def splits(self, outcome: Integers, count: int, step: str) -> list[Split]:
        return grouped_folds(outcome, self.patients, count, self.settings.seed_of(self.name, step))


def _fit_signature(model: Model, offered: Offered, columns: Sequence[int], plan: _Plan, ledger: Ledger) -> Signature:
    settings, inside = plan.settings, plan.protocol is Protocol.SOUND
    for step in ("correlation", "lasso", "forest"):
        ledger.enter(f"{step}/{model}", plan.rows)
    seed = settings.seed_of(plan.name, model, "lasso smote")
    splits = plan.splits(offered.outcome, settings.selection.lasso_folds, "lasso folds")
    smote = (settings.smote_neighbors, seed) if inside else None
    selection = select(offered, columns, splits, settings.selection, smote)
    if selection is None:
        raise InputError("no_usable_column", f"no column of the signature {model} varies without missing values")
    taken = np.asarray(columns, np.int64)[selection.columns]
    forest = fit_forest(
        offered.scaled[:, taken],
        offered.outcome,
        plan.splits(offered.outcome, settings.forest.folds, "forest folds"),
        settings.forest,
        seed=settings.seed_of(plan.name, model, "forest"),
        smote_neighbors=settings.smote_neighbors if inside else None,
    )
    return Signature(model, taken, selection, forest)


def _oversampled_first(values: Floats, outcome: Integers, settings: FitSettings, name: str) -> tuple[Floats, Integers]:
    """SMOTE over raw columns, as the study has it; columns with missing values, which it cannot take, pass as they are."""
    whole = np.isfinite(values).all(axis=0)
    more, labels = oversample(
        values[:, whole], outcome, settings.smote_neighbors, settings.seed_of(name, "smote first")
    )
    filled = np.full((len(more), values.shape[1]), np.nan)
    filled[:, whole] = more
    return filled, labels

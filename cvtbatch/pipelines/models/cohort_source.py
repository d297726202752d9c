"""Where a training cohort is read, resolved of a job: small, so that it travels to workers."""

from collections.abc import Sequence
from dataclasses import dataclass

from cvtbatch import contracts
from cvtbatch.dlrn.pooling import Pooling
from cvtbatch.manifest import Reading
from cvtbatch.pipelines.models.clinical_names import require_clinical
from cvtbatch.pipelines.shared.job import Job
from cvtbatch.pipelines.shared.pinned_store import PinnedStore
from cvtbatch.validation.icc_table import IccTable
from cvtbatch.validation.outcome import CVT


@dataclass(frozen=True, slots=True)
class CohortSource:
    """Where a training cohort is read; small, so that it travels to workers, which read for themselves.

    Attributes:
        reviewed: only outlines that a review accepts.
        clinical: columns that may enter the nomogram.
        icc_readers: whose second outlines take part; empty for people's, if the primary ones are a person's.
        icc_table: agreement of features from elsewhere.
        features: "radiomics", the study's features, or the name of a feature set.
        pooling: which embeddings.
        outcome: column that says what is told.
        classes: names of several classes; none for yes or no.
        regions: whose features are columns too.
        outline_features: whether the outlines' own are.
        fitted_on: whether anything is fitted on its rows, for which each class has cases, and slices are needed beside the largest.
    """

    store_url: str
    snapshot: str
    training_centers: tuple[str, ...]
    primary: Reading
    spec_ids: tuple[str, ...]
    reviewed: bool
    clinical: tuple[str, ...] = ()
    icc_readers: tuple[str, ...] = ()
    icc_table: IccTable | None = None
    features: str = contracts.RADIOMICS
    pooling: Pooling = Pooling.LARGEST
    outcome: str = CVT.column
    classes: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    outline_features: bool = True
    fitted_on: bool = True


def cohort_source(job: Job, pinned: PinnedStore, spec_ids: Sequence[str], icc_table: IccTable | None) -> CohortSource:
    """Return where the cohort of a job whose readers are resolved is read."""
    return CohortSource(
        store_url=pinned.store.location.url,
        snapshot=pinned.name,
        training_centers=job.cohort.training_centers,
        primary=job.cohort.primary,
        spec_ids=(*spec_ids, *filter(None, [job.fit.embedding_spec])),
        reviewed=job.cohort.reviewed,
        clinical=require_clinical(job.fit.clinical.columns, pinned.view, job.fit.outcome),
        icc_readers=job.fit.selection.icc_readers,
        icc_table=icc_table,
        features=job.fit.features,
        pooling=job.fit.pooling,
        outcome=job.fit.outcome,
        classes=job.fit.classes,
        regions=job.fit.regions,
        outline_features=job.fit.outline_features,
    )

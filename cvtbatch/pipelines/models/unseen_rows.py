"""The rows of centres that no variant of a comparison is fitted on, read beside those of training."""

from dataclasses import dataclass, replace
from functools import lru_cache

from cvtbatch.dlrn.cohort import Cohort
from cvtbatch.dlrn.external import with_unseen
from cvtbatch.dlrn.settings import Protocol
from cvtbatch.errors import InputError
from cvtbatch.pipelines.models.cohort_source import CohortSource
from cvtbatch.pipelines.models.compare_plan import Plan
from cvtbatch.pipelines.models.training_cohort import TrainingData, read_training
from cvtbatch.pipelines.shared.job import Job

KEY = "compare.external_centers"


@dataclass(frozen=True, slots=True)
class UnseenRows:
    """Rows that no variant is fitted on, none by default; small, so that it travels to workers.

    Attributes:
        centers: that are not trained on.
        keys: of the rows of these that every fit has what it needs of.
    """

    centers: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()


def find_unseen(job: Job, plan: Plan) -> UnseenRows:
    """Return which rows of the external centres are compared.

    Raises:
        InputError: a centre is trained on too, there is no such one, or its cases have not what every variant needs.
    """
    centers = job.compare.external_centers
    if not centers:
        return UnseenRows()
    if both := sorted(set(centers) & set(job.cohort.training_centers)):
        raise InputError("bad_job", f"{KEY}: {both[0]} is a training centre; name centres that no variant is fitted on")
    if job.fit.protocol is Protocol.STUDY:
        raise InputError("bad_job", f"{KEY}: they are scored by models of fit.protocol sound, and it is study")
    common = set.intersection(*(_keys(source, centers) for source in {refit.source for refit in plan.refits.values()}))
    if not common:
        raise InputError("no_external_cases", f"{KEY}: no case has what every variant needs")
    return UnseenRows(centers, tuple(sorted(common)))


def _keys(source: CohortSource, centers: tuple[str, ...]) -> set[str]:
    """Return the rows of external centres that a fit has what it needs of.

    Raises:
        InputError: "other_spec": it is of another specification than training's.
    """
    trained, found = read_training(source), read_unseen(source, centers)
    if found.specs != trained.specs:
        raise InputError(
            "other_spec", f"{KEY}: their {source.features} or embeddings are of another specification than training's"
        )
    return set(found.cohort.keys)


def read_unseen(source: CohortSource, centers: tuple[str, ...]) -> TrainingData:
    """Read the cases of external centres as those of training are read, but for second outlines, which nothing is fitted on.

    Raises:
        InputError: as `read_training`.
    """
    try:
        return read_training(replace(source, training_centers=centers, icc_readers=(), icc_table=None, fitted_on=False))
    except InputError as error:
        raise InputError(error.kind, f"{KEY}: {error.message}", error.private) from None


@lru_cache(maxsize=1)
def cohort_with_unseen(source: CohortSource, keys: tuple[str, ...], unseen: UnseenRows) -> Cohort:
    """Return the training rows of some keys, and the unseen rows after them."""
    training = read_training(source).cohort.of_keys(keys)
    if not unseen.keys:
        return training
    return with_unseen(training, read_unseen(source, unseen.centers).cohort.of_keys(unseen.keys))

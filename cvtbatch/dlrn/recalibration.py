"""A recalibrated bundle: its parent with other probabilities of the DLRN, as a bundle of its own with its own digest.

    new log odds = intercept + slope x old log odds

Everything else is the parent's, in every byte that scoring reads. The DLRN's thresholds pass through the same function: they were
chosen for what they do to ranks (Youden's point, a sensitivity), the function is increasing, and so every case has the class that
the parent gives it; had the numbers been kept, recalibration would have moved decisions without saying so. The nomogram keeps its
points, and their sum stands for another probability.
"""

import io
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from cvtbatch.contracts import JsonObject
from cvtbatch.dlrn.arrays import Floats
from cvtbatch.dlrn.bundle import EXPECTED, Bundle, load_bundle, write_bundle
from cvtbatch.dlrn.bundle_files import GOLDEN, SELECTION, read_files
from cvtbatch.dlrn.kernels import recalibrate
from cvtbatch.dlrn.model import FrozenModel
from cvtbatch.dlrn.nomogram import Nomogram
from cvtbatch.dlrn.scoring import SpecIds, score_batch
from cvtbatch.dlrn.settings import Model
from cvtbatch.dlrn.thresholds import THRESHOLDS
from cvtbatch.dlrn.training_scores import ClassScores
from cvtbatch.errors import InputError, InternalError

# Two ways to the same number, through exp and log.
TOLERANCE = 1e-12


@dataclass(frozen=True, slots=True)
class Function:
    """The function from old probabilities to new ones.

    Attributes:
        slope: above 0, so that the function increases.
    """

    intercept: float
    slope: float

    def __post_init__(self) -> None:
        if not (np.isfinite([self.intercept, self.slope]).all() and self.slope > 0):
            raise InputError(
                "bad_recalibration",
                f"intercept {self.intercept:g}, slope {self.slope:g}: a recalibration takes finite terms and a slope above 0",
            )

    def apply(self, probability: Floats) -> Floats:
        """Return the new probabilities (n,); NaN for NaN."""
        return recalibrate(np.ascontiguousarray(probability, dtype=np.float64), self.intercept, self.slope)


def recalibrated_model(model: FrozenModel, function: Function) -> FrozenModel:
    """Return the model with the function behind its DLRN."""
    thresholds = dict(model.thresholds)
    names = list(thresholds[Model.DLRN])
    moved = function.apply(np.array([thresholds[Model.DLRN][name] for name in names]))
    thresholds[Model.DLRN] = dict(zip(names, moved.tolist(), strict=True))
    old = model.nomogram
    nomogram = Nomogram(old.axes, function.intercept + function.slope * old.intercept, function.slope * old.per_point)
    return replace(
        model,
        thresholds=thresholds,
        nomogram=nomogram,
        recalibration=np.array([function.intercept, function.slope]),
    )


def recalibrate_bundle(parent: Path, out: Path, function: Function, origin: JsonObject) -> str:
    """Write a bundle's recalibration and return its digest.

    Args:
        parent: its folder, or a tar of it.
        out: a new folder, or a new file that ends in .tar.
        origin: `recalibration` of the new bundle.json, but for the parent's digest.

    Raises:
        InputError: there is no bundle, it is recalibrated itself, there is something at `out`, or it cannot be written.
        FormatError: the bundle is damaged.
    """
    bundle = load_bundle(parent)
    refuse_recalibrated(bundle)
    files = read_files(parent)
    golden, selection = (pq.read_table(io.BytesIO(files[name])) for name in (GOLDEN, SELECTION))
    model = recalibrated_model(bundle.model, function)
    scores = dict(bundle.out_of_fold)
    if Model.DLRN in scores:
        old = scores[Model.DLRN]
        scores[Model.DLRN] = ClassScores(function.apply(old.events), function.apply(old.others))
    document = {name: value for name, value in bundle.document.items() if name not in OWN_KEYS}
    document["recalibration"] = {"parent_digest": bundle.digest, **origin}
    rows = _golden(model, bundle.specs, golden, function)
    return write_bundle(out, document, model, rows, selection, scores, bundle.moments)


# Keys of bundle.json that a bundle of its own has of its own.
OWN_KEYS = ("format", "format_version", "files")


def refuse_recalibrated(bundle: Bundle) -> None:
    """Refuse a bundle that is a recalibration: what it is of is what can be recalibrated anew.

    Raises:
        InputError: "recalibrated_already".
    """
    if found := bundle.description.recalibration:
        raise InputError(
            "recalibrated_already",
            f"this bundle is itself recalibrated, on centre {found.center!r}: recalibrate the bundle that it was made of, "
            f"{found.parent_digest[:12]}",
        )


def _golden(model: FrozenModel, specs: SpecIds, parent: pa.Table, function: Function) -> pa.Table:
    """Return the parent's golden rows with the probabilities that they now have.

    Raises:
        InternalError: the new model does not score them so, or gives one of them another class.
    """
    scored = score_batch(model, specs, parent, explain=False)
    name = EXPECTED + Model.DLRN
    before = parent[name].combine_chunks().to_numpy(zero_copy_only=False)
    with np.errstate(divide="ignore"):
        odds = np.log(before) - np.log1p(-before)
        expected = 1 / (1 + np.exp(-(function.intercept + function.slope * odds)))
    found = scored[str(Model.DLRN)].combine_chunks().to_numpy(zero_copy_only=False)
    if not np.allclose(found, expected, rtol=0, atol=TOLERANCE, equal_nan=True):
        raise InternalError("frozen_differs", "the recalibrated DLRN does not score as its terms say")
    for threshold in THRESHOLDS:
        own = f"{Model.DLRN}_{threshold}"
        if scored[own].to_pylist() != parent[EXPECTED + own].to_pylist():
            raise InternalError(
                "frozen_differs", f"the recalibrated DLRN decides otherwise than its parent at {threshold}"
            )
    return parent.set_column(parent.column_names.index(name), name, scored[str(Model.DLRN)])

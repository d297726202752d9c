"""The outlines that the backbone is tuned on, read from a snapshot."""

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from cvtbatch.errors import InternalError
from cvtbatch.manifest import Reading, refuse_twins, require_centers
from cvtbatch.pipelines.models.eligible_cases import Row, select_cases
from cvtbatch.pipelines.shared.job import Job
from cvtbatch.pipelines.shared.reviewed import refused_outlines
from cvtbatch.spec import canonical_json, digest, volume_spec
from cvtbatch.store import StoredArray, View


@dataclass(frozen=True, slots=True)
class TuningRoi:
    """The primary outline of a patient that the backbone is tuned on.

    Attributes:
        label: 1 for CVT, else 0.
        spacing_mm: x, y, z of the stored volume.
    """

    roi_key: str
    center: str
    patient: str
    label: int
    input_digest: str
    volume: StoredArray
    mask: StoredArray
    spacing_mm: tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class TuningCohort:
    """The outlines that the backbone is tuned on.

    Attributes:
        left_out: cases of the training centres that are not among them, by reason.
    """

    rois: tuple[TuningRoi, ...]
    left_out: Mapping[str, int]

    def digest(self) -> str:
        """Return the identity of patients, inputs and outcomes."""
        rows = sorted((roi.roi_key, roi.center, roi.patient, roi.label, roi.input_digest) for roi in self.rois)
        return digest(canonical_json(rows))


def read_tuning_cohort(view: View, job: Job) -> TuningCohort:
    """Read the primary outlines of eligible cases of a job's training centres, with an outcome, on volumes of its spacing.

    Raises:
        InputError: a training centre has no case in the snapshot, or another spelling there.
        InternalError: a case of another centre got in.
    """
    centers, primary = job.cohort.training_centers, job.cohort.primary
    spec_id = volume_spec(job.volume.spacing_mm).spec_id
    cases = view.rows("cases").to_pylist()
    known = {case["center"] for case in cases}
    require_centers(centers, known, "the snapshot")
    refuse_twins(centers, known)
    volumes = {row["case_key"]: row for row in _of_spec(view.rows("volumes"), spec_id)}
    drawn = [
        row
        for row in _of_spec(view.outlines(), spec_id)
        if row["center"] in centers and Reading(row["reader"], row["reading"]) == primary
    ]
    refused = refused_outlines(view, drawn, "roi_key") if job.cohort.reviewed else {}
    outlines: dict[str, list[Row]] = {}
    reasons = {}
    for row in drawn:
        if row["roi_key"] in refused:
            reasons[row["case_key"]] = refused[row["roi_key"]]
        else:
            outlines.setdefault(row["case_key"], []).append(row)

    def lack(case: Row) -> str:
        if case["cvt"] is None:
            return "outcome_unknown"
        return "" if case["case_key"] in outlines else reasons.get(case["case_key"], "no_primary_outline")

    selection = select_cases(cases, centers, lack)
    rois = tuple(_tuning_roi(case, row, volumes[key]) for key, case in selection.taken.items() for row in outlines[key])
    if strangers := {roi.center for roi in rois} - set(centers):
        raise InternalError("validation_patient", f"{len(strangers)} centres that are not to be trained on got in")
    return TuningCohort(rois, selection.left_out)


def _of_spec(rows: pa.Table, volume_spec_id: str) -> list[Row]:
    found: list[Row] = rows.filter(pc.equal(rows["volume_spec_id"], volume_spec_id)).to_pylist()
    return found


def _tuning_roi(case: Row, roi: Row, volume: Row) -> TuningRoi:
    x_mm, y_mm, z_mm = volume["spacing_mm"]
    return TuningRoi(
        roi_key=roi["roi_key"],
        center=roi["center"],
        patient=case["patient"],
        label=int(case["cvt"]),
        input_digest=roi["input_digest"],
        volume=StoredArray(volume["path"], volume["checksum"]),
        mask=StoredArray(roi["path"], roi["checksum"]),
        spacing_mm=(x_mm, y_mm, z_mm),
    )

"""Fine-tuning: training patients of a snapshot -> weights of the backbone."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.compute as pc

from cvtbatch.documents import to_document
from cvtbatch.embedding.learning_curve import draw_learning_curve
from cvtbatch.embedding.preprocessing import Preprocessing, prepare_slices
from cvtbatch.embedding.weights import Weights, load_weights, tensor_digest, to_bytes
from cvtbatch.errors import InputError, InternalError
from cvtbatch.manifest import patient_digest, refuse_twins
from cvtbatch.pipelines.shared.job import Job
from cvtbatch.pipelines.shared.pinned_store import open_pinned
from cvtbatch.spec import canonical_json, digest, volume_spec
from cvtbatch.store import FeatureStore, Snapshot, StoredArray
from cvtbatch.validation.eligibility import assess_eligibility
from cvtbatch.whole_files import written_whole

if TYPE_CHECKING:
    from cvtbatch.embedding.finetuning import Epoch, Examples

READERS = 4
Row = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class TrainingRoi:
    """The primary outline of a training patient."""

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
    """The outlines that are trained on.

    Attributes:
        left_out: cases of the training centres that are not, by reason.
    """

    rois: tuple[TrainingRoi, ...]
    left_out: Mapping[str, int]

    def digest(self) -> str:
        """Return the identity of patients, inputs and outcomes."""
        rows = sorted((roi.roi_key, roi.center, roi.patient, roi.label, roi.input_digest) for roi in self.rois)
        return digest(canonical_json(rows))


@dataclass(frozen=True, slots=True)
class FinetuneReport:
    """What was trained, and on whom."""

    snapshot: str
    cohort: TuningCohort
    patients: int
    weights: Weights
    best_epoch: int
    curve: "tuple[Epoch, ...]"
    picture: Path


def finetune(
    url: str,
    snapshot_name: str | None,
    job: Job,
    out: Path,
    on_batch: Callable[[int, int], None] = lambda *_: None,
) -> FinetuneReport:
    """Tune the backbone on the training centres of a snapshot, and write weights and learning curve.

    A checkpoint lies beside `out` until both are written; the same command continues from it.

    Raises:
        InputError: no training centre, no weights, too few patients, or `out` cannot be written.
        StorageError, FormatError: as `FeatureStore`; a volume is lost or damaged.
    """
    from cvtbatch.embedding.backbone import Network, choose_device
    from cvtbatch.embedding.finetuning import FineTuning

    if out.suffix != ".safetensors":
        raise InputError("unknown_format", f"--out {out}: the suffix is not .safetensors")
    centers = job.cohort.training_centers
    if not centers:
        raise InputError("no_training_centers", "cohort.training_centers is empty: name the centres to train on")
    if job.embedding.weights == "none":
        raise InputError("no_weights", "embedding.weights is none: name the weights to start from, e.g. imagenet")
    device = choose_device(job.embedding.device)
    start = load_weights(job.embedding.weights)
    pinned = open_pinned(url, snapshot_name, "finetune")
    cohort = select_cohort(pinned.store, pinned.snapshot, job)
    preprocessing = job.embedding.preprocessing()
    settings = {"preprocessing": preprocessing.settings(), "finetune": to_document(job.finetune)}
    checkpoint = out.with_suffix(".checkpoint")
    _require_writable(out)
    run = FineTuning(
        Network(start),
        read_examples(pinned.store, cohort, preprocessing),
        job.finetune,
        digest(start.sha256, cohort.digest(), canonical_json(settings)),
        checkpoint,
        device,
    )
    tuned = run.run(lambda done: on_batch(done, job.finetune.epochs * run.batches()))
    tensors = {
        name.removeprefix("body."): tensor.numpy()
        for name, tensor in tuned.state.items()
        if name.removeprefix("body.") in start.tensors
    }
    people = {patient_digest(roi.center, roi.patient) for roi in cohort.rois}
    training = {
        "backbone": "resnet101",
        "started_from": start.source,
        "started_from_sha256": start.sha256,
        "tensors_sha256": tensor_digest(tensors),
        "cohort_digest": cohort.digest(),
        "training_centers": _with_those_of(start, "training_centers", centers),
        "trained_on": _with_those_of(start, "trained_on", people),
        "snapshot": pinned.name,
        "snapshot_digest": pinned.content_digest,
        "settings": canonical_json(settings),
        "best_epoch": str(tuned.best_epoch),
        "curve": json.dumps([[epoch.number, epoch.training_loss, epoch.holdout_loss] for epoch in tuned.curve]),
    }
    weights = Weights("file", tensors, training["tensors_sha256"], start.not_for_inference, training)
    picture = out.with_suffix(".png")
    _write(out, to_bytes(weights))
    _write(picture, draw_learning_curve(tuned.curve, tuned.best_epoch))
    checkpoint.unlink()
    return FinetuneReport(pinned.name, cohort, len(people), weights, tuned.best_epoch, tuned.curve, picture)


def select_cohort(store: FeatureStore, snapshot: Snapshot, job: Job) -> TuningCohort:
    """Return the primary outlines of eligible cases of the training centres, with an outcome.

    Raises:
        InputError: a training centre has no case in the snapshot, or another spelling there.
        InternalError: a case of another centre got in.
    """
    centers, primary = job.cohort.training_centers, (job.cohort.primary_reader, job.cohort.primary_reading)
    spec_id = volume_spec(job.volume.spacing_mm).spec_id
    view = snapshot.view(store)
    cases = {str(row["case_key"]): row for row in _of_centers(view.rows("cases").to_pylist(), centers)}
    known = sorted(set(view.rows("cases", ["center"])["center"].to_pylist()))
    if absent := sorted(set(centers) - {str(row["center"]) for row in cases.values()}):
        told = ", ".join(known) or "none"
        raise InputError("no_such_center", f"training centres without a case: {', '.join(absent)}; there are {told}")
    refuse_twins(centers, known)
    volumes = view.rows("volumes")
    stored = {row["case_key"]: row for row in volumes.filter(pc.equal(volumes["volume_spec_id"], spec_id)).to_pylist()}
    outlines: dict[str, list[Row]] = {}
    for row in _of_centers(view.rows("rois").to_pylist(), centers):
        if (row["reader"], row["reading"]) == primary and row["volume_spec_id"] == spec_id:
            outlines.setdefault(str(row["case_key"]), []).append(row)
    rois, left_out = [], Counter[str]()
    for key, case in sorted(cases.items()):
        if reason := _why_not(case, outlines.get(key, [])):
            left_out[reason] += 1
            continue
        rois += [_training_roi(case, row, stored[key]) for row in outlines[key]]
    if strangers := {roi.center for roi in rois} - set(centers):
        raise InternalError("validation_patient", f"{len(strangers)} centres that are not to be trained on got in")
    return TuningCohort(tuple(rois), dict(sorted(left_out.items())))


def _of_centers(rows: Iterable[dict[str, object]], centers: Sequence[str]) -> list[dict[str, object]]:
    return [row for row in rows if row["center"] in centers]


def _why_not(case: Row, outlines: Sequence[Row]) -> str:
    """Say why a case is not trained on; empty if it is."""
    reasons = assess_eligibility(case).reasons
    if reasons:
        return reasons[0]
    if case["cvt"] is None:
        return "outcome_unknown"
    return "" if outlines else "no_primary_outline"


def _training_roi(case: Row, roi: Row, volume: Row) -> TrainingRoi:
    spacing = volume["spacing_mm"]
    assert isinstance(spacing, list)
    return TrainingRoi(
        roi_key=str(roi["roi_key"]),
        center=str(roi["center"]),
        patient=str(case["patient"]),
        label=int(str(case["cvt"])),
        input_digest=str(roi["input_digest"]),
        volume=StoredArray(str(volume["path"]), str(volume["checksum"])),
        mask=StoredArray(str(roi["path"]), str(roi["checksum"])),
        spacing_mm=(spacing[0], spacing[1], spacing[2]),
    )


def read_examples(store: FeatureStore, cohort: TuningCohort, preprocessing: Preprocessing) -> "Examples":
    """Read the largest slice of every outline."""
    from cvtbatch.embedding.finetuning import Examples

    def largest(roi: TrainingRoi) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        mask_zyx = np.asarray(store.read_array(roi.mask), dtype=np.uint8)

        def read_slices(indices: Sequence[int]) -> np.ndarray[tuple[int, ...], np.dtype[np.int16]]:
            return np.asarray(store.read_slices(roi.volume, indices), dtype=np.int16)

        return prepare_slices(mask_zyx, read_slices, roi.spacing_mm, preprocessing, only_largest=True).gray

    with ThreadPoolExecutor(READERS) as threads:
        slices = list(threads.map(largest, cohort.rois))
    gray = np.concatenate(slices) if slices else np.empty((0, 224, 224), np.float32)
    patients = tuple(f"{roi.center}\n{roi.patient}" for roi in cohort.rois)
    return Examples(gray, np.array([roi.label for roi in cohort.rois], np.int64), patients)


def _with_those_of(start: Weights, name: str, own: Iterable[str]) -> str:
    """Return a list of the metadata: what the weights that it started from have seen, these have seen too."""
    return json.dumps(sorted({*own, *json.loads(start.training.get(name, "[]"))}))


def _require_writable(out: Path) -> None:
    """Find out before hours of work."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        probe = out.with_name(f".{out.name}.part")
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise InputError("cannot_write", f"--out {out} cannot be written: {error.strerror}") from None


def _write(path: Path, data: bytes) -> None:
    with written_whole(path) as aside:
        aside.write_bytes(data)

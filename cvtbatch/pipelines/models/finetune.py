"""Fine-tuning: training patients of a snapshot -> weights of the backbone."""

import json
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cvtbatch.documents import to_document
from cvtbatch.embedding.architectures import find_architecture
from cvtbatch.embedding.learning_curve import draw_learning_curve
from cvtbatch.embedding.preprocessing import Preprocessing, prepare_slices
from cvtbatch.embedding.weights import Weights, load_weights, tensor_digest, to_bytes
from cvtbatch.errors import InputError
from cvtbatch.extras import require
from cvtbatch.file_errors import why
from cvtbatch.manifest import patient_digest
from cvtbatch.pipelines.models.tuning_cohort import TuningCohort, TuningRoi, read_tuning_cohort
from cvtbatch.pipelines.shared.job import Job
from cvtbatch.pipelines.shared.pinned_store import open_pinned
from cvtbatch.spec import canonical_json, digest
from cvtbatch.store import FeatureStore
from cvtbatch.whole_files import written_whole

if TYPE_CHECKING:
    from cvtbatch.embedding.finetuning import Epoch, Examples

READERS = 4


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

    def to_document(self, out: Path) -> dict[str, object]:
        """Return the JSON document of `cvtbatch finetune --json`; `out` are the weights."""
        return {
            "command": "finetune",
            "out": str(out),
            "weights_sha256": self.weights.sha256,
            "not_for_inference": self.weights.not_for_inference,
            "snapshot": self.snapshot,
            "cohort_digest": self.cohort.digest(),
            "outlines": len(self.cohort.rois),
            "patients": self.patients,
            "left_out": dict(self.cohort.left_out),
            "epochs": len(self.curve) - 1,
            "best_epoch": self.best_epoch,
            "holdout_loss_before": self.curve[0].holdout_loss,
            "holdout_loss": self.curve[self.best_epoch].holdout_loss,
            "picture": str(self.picture),
        }


def tune_backbone(
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
        ResourceError: the device, or the extra `embed` or `fit`, is not here.
        StorageError, FormatError: as `FeatureStore`; a volume is lost or damaged.
    """
    require("fine-tuning needs", "torch", "torchvision", "matplotlib")
    from cvtbatch.embedding.backbone import Network
    from cvtbatch.embedding.device import choose_device
    from cvtbatch.embedding.finetuning import FineTuning

    _refuse(job, out)
    [section] = job.embeddings
    device = choose_device(section.device, "embedding.device")
    architecture = find_architecture(section.backbone)
    preprocessing = section.preprocessing(architecture.taken)
    if architecture.taken.kind != "slice" or preprocessing.windows:
        raise InputError(
            "bad_backbone",
            f"embedding.backbone {architecture.name}: what is tuned sees single slices, under one window",
        )
    start = load_weights(section.weights, architecture)
    pinned = open_pinned(url, snapshot_name, "finetune")
    cohort = read_tuning_cohort(pinned.view, job)
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
        start.architecture.values,
    )
    tuned = run.run(lambda done: on_batch(done, job.finetune.epochs * run.batches()))
    tensors = {
        name.removeprefix("body."): tensor.numpy()
        for name, tensor in tuned.state.items()
        if name.removeprefix("body.") in start.tensors
    }
    people = {patient_digest(roi.center, roi.patient) for roi in cohort.rois}
    training = {
        "backbone": start.architecture.network,
        "started_from": start.source,
        "started_from_sha256": start.sha256,
        "tensors_sha256": tensor_digest(tensors),
        "cohort_digest": cohort.digest(),
        "training_centers": _with_those_of(start, "training_centers", job.cohort.training_centers),
        "trained_on": _with_those_of(start, "trained_on", people),
        "snapshot": pinned.name,
        "snapshot_digest": pinned.content_digest,
        "settings": canonical_json(settings),
        "best_epoch": str(tuned.best_epoch),
        "curve": json.dumps([[epoch.number, epoch.training_loss, epoch.holdout_loss] for epoch in tuned.curve]),
    }
    of_file = ("file", tensors, training["tensors_sha256"])
    weights = Weights(*of_file, start.not_for_inference, training, start.architecture, start.licence)
    picture = out.with_suffix(".png")
    _write(out, to_bytes(weights))
    _write(picture, draw_learning_curve(tuned.curve, tuned.best_epoch))
    checkpoint.unlink()
    return FinetuneReport(pinned.name, cohort, len(people), weights, tuned.best_epoch, tuned.curve, picture)


def _refuse(job: Job, out: Path) -> None:
    """Refuse what can be seen without the store."""
    if out.suffix != ".safetensors":
        raise InputError("unknown_format", f"--out {out}: the suffix is not .safetensors")
    if not job.cohort.training_centers:
        raise InputError(
            "no_training_centers",
            "cohort.training_centers is empty: name the centres to train on, e.g. --set 'cohort.training_centers=[C1]'",
        )
    if len(job.embeddings) > 1:
        raise InputError(
            "bad_embeddings", "embedding is a list of sections, and one network is tuned: give one section"
        )
    if job.embeddings[0].weights == "none":
        raise InputError("no_weights", "embedding.weights is none: name the weights to start from, e.g. imagenet")


def read_examples(store: FeatureStore, cohort: TuningCohort, preprocessing: Preprocessing) -> "Examples":
    """Read the largest slice of every outline, as the backbone sees it: gray (n, side, side), in the order of the cohort."""
    from cvtbatch.embedding.finetuning import Examples

    def largest(roi: TuningRoi) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        mask_zyx = np.asarray(store.read_array(roi.mask), dtype=np.uint8)

        def read_slices(indices: Sequence[int]) -> np.ndarray[tuple[int, ...], np.dtype[np.int16]]:
            return np.asarray(store.read_slices(roi.volume, indices), dtype=np.int16)

        return prepare_slices(mask_zyx, read_slices, roi.spacing_mm, preprocessing, "largest").gray

    with ThreadPoolExecutor(READERS) as threads:
        slices = list(threads.map(largest, cohort.rois))
    gray = (
        np.concatenate(slices)
        if slices
        else np.empty((0, preprocessing.taken.side, preprocessing.taken.side), np.float32)
    )
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
        raise InputError("cannot_write", f"--out {out} cannot be written: {why(error)}") from None


def _write(path: Path, data: bytes) -> None:
    with written_whole(path) as aside:
        aside.write_bytes(data)

"""The method of a run on a worker, loaded once a process."""

from collections.abc import Sequence
from functools import lru_cache

from cvtbatch.errors import CvtbatchError, FormatError, InputError
from cvtbatch.extras import require
from cvtbatch.ingest.nifti import read_nifti
from cvtbatch.outlining.command import CommandMethod, run_command
from cvtbatch.outlining.head import BloodMap, Head, Method
from cvtbatch.outlining.threshold import Threshold
from cvtbatch.outlining.weights import Weights, from_bytes
from cvtbatch.pipelines.extraction.outline_plan import OutlineWork
from cvtbatch.pipelines.extraction.outline_settings import command_method
from cvtbatch.pipelines.shared.job import OutlineSection
from cvtbatch.store import ArrayStore


def load_method(work: OutlineWork) -> Method:
    """Return what finds blood.

    Raises:
        FormatError: "weights_missing" or "weights_damaged": the store's are gone, or are not what was written.
        ResourceError: the device is not there.
    """
    return _load(work.settings, work.weights_sha256, work.features.store_url, work.threads)


@lru_cache(maxsize=1)
def _load(settings: OutlineSection, weights_sha256: str, store_url: str, threads: int | None) -> Method:
    if settings.method == "threshold":
        return Threshold()
    if settings.method == "command":
        return Program(command_method(settings.command))
    require("outline.method blast-ct needs", "torch")
    from cvtbatch.embedding.device import choose_device
    from cvtbatch.outlining.ensemble import Ensemble

    return Ensemble(_fetch(weights_sha256, store_url), choose_device(settings.device, "outline.device"), threads)


def _fetch(sha256: str, store_url: str) -> Weights:
    """Return the weights that a run started with."""
    damaged = FormatError(
        "weights_damaged",
        f"the weights {sha256[:12]} in the store are not what was written: remove their file below weights/ and run again, "
        "which writes it anew",
    )
    try:
        weights = from_bytes(ArrayStore(store_url).read_weights(sha256))
    except InputError:
        raise damaged from None
    if weights.sha256 != sha256:
        raise damaged
    return weights


class Program:
    """A program that segments, as a `Method`; what it finds outside the skull is left out."""

    device = "command"

    def __init__(self, command: CommandMethod) -> None:
        self._command = command

    def find(self, heads: Sequence[Head]) -> list[BloodMap | CvtbatchError]:
        """Return what is blood in each head, or why the program did not say it."""
        outcomes = run_command(self._command, [(head.hu_zyx, head.grid) for head in heads], read_nifti)
        return [
            outcome if isinstance(outcome, CvtbatchError) else BloodMap(outcome & head.inside.mask_zyx)
            for head, outcome in zip(heads, outcomes, strict=True)
        ]

"""A failure as a value, and how an exception becomes one without telling what only its user may know."""

import hashlib
import traceback
from dataclasses import dataclass

from cvtbatch.errors import CvtbatchError


@dataclass(frozen=True, slots=True)
class Failure:
    """What went wrong with a case or ROI.

    Attributes:
        roi_key: empty where the whole case failed.
        input_digest: whose values an audit found wanting; empty for a failure of the extraction.
        private: paths and foreign texts, for the user's own log.
    """

    roi_key: str
    spec_id: str
    scope: str
    stage: str
    kind: str
    message: str
    traceback_digest: str
    source_fingerprint: str
    manifest_row: int
    private: str
    input_digest: str = ""


def failure_of(
    error: Exception, *, roi_key: str, spec_id: str, scope: str, stage: str, source_fingerprint: str, manifest_row: int
) -> Failure:
    """Return the failure that an exception means; the text of a foreign one, which may name a file or a patient, is private."""
    known = isinstance(error, CvtbatchError)
    trace = "" if known else _traceback_digest(error)
    return Failure(
        roi_key=roi_key,
        spec_id=spec_id,
        scope=scope,
        stage=stage,
        kind=error.kind if isinstance(error, CvtbatchError) else _foreign_kind(error),
        message=error.message if isinstance(error, CvtbatchError) else _foreign_message(error, trace),
        traceback_digest=trace,
        source_fingerprint=source_fingerprint,
        manifest_row=manifest_row,
        private=error.private if isinstance(error, CvtbatchError) else "".join(traceback.format_exception(error)),
    )


def _foreign_kind(error: Exception) -> str:
    return "out_of_memory" if isinstance(error, MemoryError) else "internal_error"


def _foreign_message(error: Exception, trace: str) -> str:
    """Say what a foreign exception was without its text, which may name a file or a patient."""
    if isinstance(error, MemoryError):
        return "the worker has too little memory for this case: use fewer workers, or a machine with more"
    return f"{type(error).__name__} in cvtbatch or a library that it uses (place {trace}); the log of the run has the whole text"


def _traceback_digest(error: Exception) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    places = "\n".join(f"{frame.filename.rsplit('/', 1)[-1]}:{frame.name}:{frame.line}" for frame in frames)
    return hashlib.sha256(f"{type(error).__name__}\n{places}".encode()).hexdigest()[:12]

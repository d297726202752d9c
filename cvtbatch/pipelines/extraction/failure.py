"""A failure as a value, what it is about, and how an exception becomes one without telling what only its user may know."""

import hashlib
import traceback
from dataclasses import dataclass
from typing import Literal

from cvtbatch.errors import CvtbatchError, lacks_memory
from cvtbatch.manifest import CompactPickle

Scope = Literal["extraction", "audit"]


@dataclass(frozen=True, slots=True)
class FailureKey(CompactPickle):
    """What a failure is about; it is live until its key succeeds.

    Attributes:
        roi_key: empty where the whole case failed.
        spec_id: specification of what could not be made.
        scope: "audit" where values were made and found wanting.
        input_digest: of an audit, whose values; else empty.
    """

    roi_key: str
    spec_id: str
    scope: Scope = "extraction"
    input_digest: str = ""


@dataclass(frozen=True, slots=True)
class Failure(CompactPickle):
    """What went wrong with a case or ROI.

    Attributes:
        kind: as `schemas/` lists them; "internal_error" or "out_of_memory" for what is none of our errors.
        source_fingerprint: of the sources that it was about.
        private: paths and foreign texts, for the user's own log.
    """

    key: FailureKey
    stage: str
    kind: str
    message: str
    traceback_digest: str
    source_fingerprint: str
    manifest_row: int
    private: str

    @property
    def spec_id(self) -> str:
        """Specification of what could not be made."""
        return self.key.spec_id


@dataclass(frozen=True, slots=True)
class KnownFailure:
    """A live failure of a store, the fingerprint of the sources that it was about, and what could not be made."""

    fingerprint: str
    stage: str
    kind: str
    spec_id: str = ""


def failure_of(error: Exception, key: FailureKey, *, stage: str, source_fingerprint: str, manifest_row: int) -> Failure:
    """Return the failure that an exception means; the text of a foreign one, which may name a file or a patient, is private."""
    known = isinstance(error, CvtbatchError)
    trace = "" if known else _traceback_digest(error)
    return Failure(
        key=key,
        stage=stage,
        kind=error.kind if isinstance(error, CvtbatchError) else _foreign_kind(error),
        message=error.message if isinstance(error, CvtbatchError) else _foreign_message(error, trace),
        traceback_digest=trace,
        source_fingerprint=source_fingerprint,
        manifest_row=manifest_row,
        private=error.private if isinstance(error, CvtbatchError) else "".join(traceback.format_exception(error)),
    )


def _foreign_kind(error: Exception) -> str:
    return "out_of_memory" if lacks_memory(error) else "internal_error"


def _foreign_message(error: Exception, trace: str) -> str:
    """Say what a foreign exception was without its text, which may name a file or a patient."""
    if lacks_memory(error):
        return "the worker has too little memory for this case: use fewer workers, or a machine with more"
    return f"{type(error).__name__} in cvtbatch or a library that it uses (place {trace}); the log of the run has the whole text"


def _traceback_digest(error: Exception) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    places = "\n".join(f"{frame.filename.rsplit('/', 1)[-1]}:{frame.name}:{frame.line}" for frame in frames)
    return hashlib.sha256(f"{type(error).__name__}\n{places}".encode()).hexdigest()[:12]
